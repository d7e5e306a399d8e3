"""One design alone on this machine's CPUs, timed: what its simulation is held against.

`run` plays designs by turns, so that each begins its turn in caches that another one has filled. Here there is one
world only, as there is in a simulation.
"""

from __future__ import annotations

from statistics import median

from scenarios.tape import SECTIONS, Workload
from shm.clock import cycles_per_ns
from stress.engine import cpu_main
from stress.measure import turns
from stress.play.arena import Arena, BlockSettings
from stress.play.compiled import STATS, ready
from stress.play.launch import Setup
from stress.play.launches import NAP_US, Launches
from stress.play.options import DEFAULT_MEMORY, World
from stress.play.parallel import hang_seconds
from stress.process import host

LAUNCHES = 3  # processes begun anew, so that the luck of one does not decide


def measured(workload: Workload, design: str, allocator: str, seconds: float, seed: int) -> dict[str, float]:
    """kind of section -> ns of a CPU an operation takes, the median of the launches.

    seconds: of all launches together. Raises as `stress.play.launch.Launch` does.
    """
    from allocators.catalogue import ALLOCATORS
    from allocators.designs import parse_design

    parsed = parse_design(design)
    features = parsed.features(allocator) | ALLOCATORS[allocator].feature
    ready([(cpu_main, allocator, features), (cpu_main, allocator, features | STATS)], lambda *_: None)
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
