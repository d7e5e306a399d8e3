"""The scenarios there are, and how to get a workload from a name.

To add one: its parameters in `scenarios.parameters`, a module with
``build(parameters, cpus, seed) -> Workload``, and an entry below. Neither NumPy nor a generator is
imported until a workload is built.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from scenarios import parameters
from scenarios.settings import ParameterError, nearest, parse

if TYPE_CHECKING:
    from scenarios.tape import Workload

__all__ = ["DEFAULT", "MAX_CPUS", "SCENARIOS", "ParameterError", "Scenario", "UnknownScenario", "build"]

DEFAULT = "offline-storm"
MAX_CPUS = 1024  # a tape is sound for as many; what plays it may have fewer


class UnknownScenario(ValueError):
    """There is no scenario of this name; `suggestion` is the nearest one or None."""

    def __init__(self, name: str) -> None:
        self.name, self.suggestion = name, nearest(name, SCENARIOS)
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        super().__init__(f"there is no scenario {name!r}{hint}; there are {', '.join(SCENARIOS)}")


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """A workload generator: `module` holds its `build`, `parameters` is the struct it takes."""

    name: str
    summary: str
    parameters: type[msgspec.Struct]
    module: str

    def build(self, params: Any, cpus: int, seed: int) -> Workload:
        """The workload for these parameters: the same for the same arguments, whatever the machine.

        Raises ParameterError, before anything is allocated, for a number of CPUs, a seed or a
        size that cannot be.
        """
        if not 1 <= cpus <= MAX_CPUS:
            raise ParameterError("cpus", str(cpus), f"a whole number from 1 to {MAX_CPUS}")
        if seed < 0:
            raise ParameterError("seed", str(seed), "a whole number, 0 or more")
        parameters.check_size(params, cpus)
        return importlib.import_module(self.module).build(params, cpus, seed)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "offline-storm",
            "Cgroups go offline at random while objects of theirs live on: do their caches ever die?",
            parameters.OfflineStorm,
            "scenarios.workloads.offline_storm",
        ),
        Scenario(
            "free-burst",
            "Allocate many objects, then free them all, in live caches: what the common case pays.",
            parameters.FreeBurst,
            "scenarios.workloads.free_burst",
        ),
        Scenario(
            "dead-free",
            "Fill a child cache, take its cgroup offline, free everything: what a free into a dead cache costs.",
            parameters.DeadFree,
            "scenarios.workloads.dead_free",
        ),
        Scenario(
            "remote-free",
            "Every CPU frees what its neighbour allocated: the slow path of the free, live caches.",
            parameters.RemoteFree,
            "scenarios.workloads.remote_free",
        ),
        Scenario(
            "pinned",
            "One long-lived object per slab keeps dead caches alive, then goes: do the caches go with it?",
            parameters.Pinned,
            "scenarios.workloads.pinned",
        ),
        Scenario(
            "pairs",
            "Allocate and free at once, in pairs or small batches: the microbenchmark of the fast paths.",
            parameters.Pairs,
            "scenarios.workloads.pairs",
        ),
        Scenario(
            "remote-dead",
            "Fill a child cache on CPU 0, remove its cgroup, free all on one CPU: what was recorded of Linux 3.16, "
            "r001 to r112.",
            parameters.RemoteDead,
            "scenarios.workloads.remote_dead",
        ),
        Scenario(
            "leak",
            "Ten cgroups with files, pipes and sockets are removed, then all is unlinked on CPU 1: recorded of Linux "
            "3.16.",
            parameters.Leak,
            "scenarios.workloads.leak",
        ),
        Scenario(
            "churn",
            "Forty cgroups come and go, files are unlinked five cgroups later: recorded of Linux 3.16.",
            parameters.CgroupChurn,
            "scenarios.workloads.churn",
        ),
    )
}


def build(
    name: str, settings: Mapping[str, str] | Sequence[str] = (), cpus: int = 2, seed: int = 1
) -> tuple[Workload, dict[str, object]]:
    """(workload, all parameters by name) of a scenario; `settings` is KEY=VALUE strings or a mapping.

    Raises UnknownScenario and ParameterError; both are ValueErrors.
    """
    if name not in SCENARIOS:
        raise UnknownScenario(name)
    scenario = SCENARIOS[name]
    params = parse(scenario.parameters, settings)
    return scenario.build(params, cpus, seed), msgspec.structs.asdict(params)
