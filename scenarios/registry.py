"""The scenarios there are, and how to get a workload from a name.

A scenario is a package in `scenarios.workloads` that has a `SCENARIO`; that it is there is all it takes. Neither NumPy
nor a generator is imported until a workload is built.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from scenarios import workloads
from scenarios.scenario import MAX_CPUS, Scenario
from scenarios.settings import ParameterError, nearest, parse

if TYPE_CHECKING:
    from scenarios.tape import Workload

__all__ = ["DEFAULT", "MAX_CPUS", "SCENARIOS", "ParameterError", "Scenario", "UnknownScenario", "build", "discover"]

DEFAULT = "offline-storm"


class UnknownScenario(ValueError):
    """There is no scenario of this name; `suggestion` is the nearest one or None."""

    def __init__(self, name: str) -> None:
        self.name, self.suggestion = name, nearest(name, SCENARIOS)
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        super().__init__(f"there is no scenario {name!r}{hint}; there are {', '.join(SCENARIOS)}")


def discover() -> dict[str, Scenario]:
    """The `SCENARIO` of every package in `scenarios.workloads`, by name, in the order of lists.

    Modules there are what several share. Raises ValueError where two scenarios have one name, AttributeError where a
    package has no `SCENARIO`.
    """
    found: dict[str, Scenario] = {}
    for module in pkgutil.iter_modules(workloads.__path__, f"{workloads.__name__}."):
        if module.ispkg:
            scenario: Scenario = importlib.import_module(module.name).SCENARIO
            if scenario.name in found:
                raise ValueError(
                    f"two scenarios are named {scenario.name!r}: their tapes are {found[scenario.name].module} and"
                    f" {scenario.module}"
                )
            found[scenario.name] = scenario
    return {scenario.name: scenario for scenario in sorted(found.values(), key=lambda s: (s.order, s.name))}


SCENARIOS = discover()


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
