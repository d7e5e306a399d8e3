"""One design alone on this machine's CPUs, timed: what its simulation is held against.

`run` plays designs by turns, so that each begins its turn in caches that another one has filled. Here there is one
world only, as there is in a simulation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from allocators.catalogue import ALLOCATORS
from allocators.designs import parse_design
from scenarios.tape import SECTIONS, Workload
from shm.clock import cycles_per_ns
from stress.engine import counting_main, cpu_main
from stress.measure import turns
from stress.play.arena import Arena, BlockSettings
from stress.play.compiled import STATS, Target, ready
from stress.play.launch import Setup
from stress.play.launches import NAP_US, Launches
from stress.play.options import DEFAULT_MEMORY, World
from stress.play.parallel import hang_seconds
from stress.play.workload import build_workload
from stress.process import host
from stress.simulate.sizes import sized

LAUNCHES = 3  # processes begun anew, so that the luck of one does not decide
# allocator -> designs, the baseline first
DESIGNS = {"slub": ("linux-3.16", "v3", "linux-6.18-F_SHEAFASK"), "slab": ("linux-3.16", "v3")}
# Working sets that fit into a core's own cache, or nearly; and tapes so long that what each launch finds cold counts
# for little: natively the coordinator boots the world on another CPU.
SETTINGS: dict[str, dict[str, str]] = {
    "remote-free": {"batch": "256", "rounds": "256"},
    "remote-refill": {"slabs": "2048", "rounds": "256"},
    "remote-dead": {"objects": "65536"},
    "free-burst": {"objects": "1024", "bursts": "64"},
    "replacement": {"objects": "8192"},
    "dead-free": {"slabs": "256", "cgroups": "16"},
    "pinned": {"slabs": "256", "cgroups": "16"},
    "offline-storm": {"operations": "200000"},
    "leak": {"cgroups": "100"},
    "churn": {"cgroups": "400"},
}


class Measured(msgspec.Struct, kw_only=True, frozen=True):
    """A scenario under a design on so many CPUs. ns: of a CPU that an operation takes, by kind of section.

    sizes: the scenario's settings, so that what was measured can be simulated when `SETTINGS` has changed.
    rounds: `ns` of each round, minutes apart; `ns` is their median.
    """

    scenario: str
    allocator: str
    design: str
    cpus: int
    sizes: dict[str, str]
    ns: dict[str, float]
    rounds: dict[str, list[float]] = {}

    @classmethod
    def of(cls, key: tuple[str, str, int, str], sizes: dict[str, str], rounds: list[dict[str, float]]) -> Measured:
        """Of what each round found; a kind that one of them has not is left out."""
        kinds = [kind for kind in rounds[0] if all(kind in one for one in rounds)]
        found = {kind: [one[kind] for one in rounds] for kind in kinds}
        ns = {kind: median(values) for kind, values in found.items()}
        scenario, allocator, cpus, design = key
        return cls(scenario=scenario, allocator=allocator, cpus=cpus, design=design, sizes=sizes, ns=ns, rounds=found)

    def halves(self) -> tuple[Measured, Measured] | None:
        """What every other round found, and what the rest found; None of a single round."""
        count = min(map(len, self.rounds.values()), default=0)
        if count < 2:
            return None
        each = [{kind: values[i] for kind, values in self.rounds.items()} for i in range(count)]
        return Measured.of(self.key, self.sizes, each[::2]), Measured.of(self.key, self.sizes, each[1::2])

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Scenario, allocator, CPUs, design."""
        return self.scenario, self.allocator, self.cpus, self.design


def sizes_of(scenario: str, cpus: int) -> dict[str, str]:
    """The settings with which a scenario is compared."""
    return sized(scenario, cpus, SETTINGS.get(scenario, {}))


def measure(
    scenarios: Sequence[str],
    allocators: Sequence[str],
    cpus: Sequence[int],
    seconds: float,
    rounds: int = 1,
    seed: int = 1,
) -> Iterator[tuple[str, list[Measured]]]:
    """All designs of each: after every one that was played, which that was, and what is known of all so far.

    seconds: of one in a round. Every round plays all of them, so that what slows the machine for a minute is seen by
    one round only. Raises as `measured` does.
    """
    ready(
        [target for allocator in allocators for design in DESIGNS[allocator] for target in _programs(design, allocator)]
    )
    found: dict[tuple[str, str, int, str], list[dict[str, float]]] = {}
    sizes = {(scenario, n): sizes_of(scenario, n) for scenario in scenarios for n in cpus}
    for _ in range(rounds):
        for scenario, allocator, n in itertools.product(scenarios, allocators, cpus):
            workload = build_workload(scenario, sizes[scenario, n], n, seed)[0]
            for design in DESIGNS[allocator]:
                key = (scenario, allocator, n, design)
                found.setdefault(key, []).append(measured(workload, design, allocator, seconds, seed))
                known = [Measured.of(one, sizes[one[0], one[2]], each) for one, each in found.items()]
                yield " ".join(map(str, key)), known


def _programs(design: str, allocator: str) -> list[Target]:
    """What a CPU and the kworker run."""
    features = parse_design(design).features(allocator) | ALLOCATORS[allocator].feature
    return [(cpu_main, allocator, features), (counting_main, allocator, features | STATS)]


def measured(workload: Workload, design: str, allocator: str, seconds: float, seed: int) -> dict[str, float]:
    """kind of section -> ns of a CPU an operation takes, the median of the launches. Its `_programs` are compiled.

    seconds: of all launches together. Raises as `stress.play.launch.Launch` does.
    """
    parsed = parse_design(design)
    features = parsed.features(allocator) | ALLOCATORS[allocator].feature
    arena = Arena(workload, allocator, features=features, memory=DEFAULT_MEMORY)
    try:
        rate = cycles_per_ns(arena.machine(frozenset(), 0))
    finally:
        arena.close()
    settings = BlockSettings(seed=seed, cycles_per_kernel_ns=rate, nap_us=NAP_US)
    setup = Setup(
        {design: features},
        {design: settings},
        allocator,
        World().shape | {"sheaves": parsed.sheaves()},
        DEFAULT_MEMORY,
        hang_seconds(),
        host.placement(workload.cpus)[0],
    )
    whole = max(map(len, workload.tapes))
    launches = Launches(setup, lambda number: workload, whole, rate, seed, lambda i, played: None)
    launches.try_out()
    found: dict[str, list[float]] = {}
    for _ in range(LAUNCHES):
        table = launches.measure(seconds / LAUNCHES).table
        for kind, each in turns.sums(table, 0).items():
            operations = sum(one.operations for one in each)
            if operations:
                found.setdefault(kind, []).append(sum(one.nanoseconds for one in each) / operations)
    return {kind: median(values) for kind, values in found.items() if kind in SECTIONS}
