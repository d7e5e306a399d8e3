"""Two CPUs on disjoint cgroups against one, with the run's own workers; how soon those are ready.

The scenario is `pairs`: each CPU works for a cgroup of its own. A block with one CPU is the same block
in which the other's tape is empty; both take their turn alone, for one may be busier than the other.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from scenarios.tape import OP_END, SECTION_MIXED
from scenarios.workloads.pairs import Pairs
from scenarios.workloads.pairs.tapes import build
from stress.bench.watch import Disturbance, watched
from stress.judge.ratio import Ratio, concurrent_rate, estimate_ratio
from stress.play.arena import Arena
from stress.play.worker import Crew
from stress.process import host

STATS = frozenset({"STATS"})
CPUS = 2
OPERATIONS = 1 << 20
PAIRS = 24
MEMORY = 32 << 20
HANG_SECONDS = 60.0


class Scaling(msgspec.Struct, kw_only=True, frozen=True):
    """throughput: of two CPUs to the mean of each alone. ready_seconds: from the first fork until all three workers answered."""  # noqa: E501  published word for word

    throughput: Ratio
    ready_seconds: float


def measure_scaling(features: frozenset[str], progress: Callable[[str], None]) -> tuple[Scaling, Disturbance] | None:
    """None when there are not two CPUs to pin to."""
    placement, shared = host.placement(CPUS)
    if shared:
        return None
    progress("two CPUs on disjoint cgroups against one")
    arena = Arena(build(Pairs(operations=OPERATIONS), CPUS, 1), memory=MEMORY)
    try:
        machines = [[arena.machine(features | (STATS if cpu == CPUS else frozenset()), cpu)] for cpu in range(CPUS + 1)]
        ratios = []
        with (
            Crew(machines, arena.run, placement) as crew,
            watched("The measurement on two CPUs", crew.pids, placement) as disturbed,
        ):
            for pair in range(-1, PAIRS):
                blocks = ((0,), (0, 1), (1,))[:: 1 if pair % 2 else -1]
                rates = {cpus: _play(arena, crew, features, cpus) for cpus in blocks}
                if pair >= 0:
                    ratios.append(rates[0, 1] / ((rates[0,] + rates[1,]) / 2))
    finally:
        arena.close()
    return Scaling(throughput=estimate_ratio(ratios), ready_seconds=crew.ready_seconds), disturbed


def _play(arena: Arena, crew: Crew, features: frozenset[str], cpus: tuple[int, ...]) -> float:
    """One block in which only these CPUs have anything to do; operations per second."""
    arena.reset(features)
    plays = arena.plays()
    for cpu in set(range(CPUS)) - set(cpus):
        arena.words[plays["tape"][cpu]] = OP_END
        plays["round"][cpu] = len(arena.load.events) + 1  # the schedule need not wait for it
    crew.command(0)
    crew.collect(HANG_SECONDS)
    sums = arena.sections()[list(cpus), SECTION_MIXED]
    return concurrent_rate(sums["operations"].tolist(), sums["cycles"].tolist()) or 0.0
