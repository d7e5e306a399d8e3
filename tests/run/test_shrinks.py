"""Parallel play while the kworker shrinks the cache that everybody allocates from and frees to, again and again.

Counted passes alone, by programs that others compile too: of 6.18 no other test plays a timed one.
"""

from __future__ import annotations

import dataclasses

import pytest

from allocators.designs import parse_design
from scenarios import tape
from scenarios.registry import SCENARIOS
from stress.engine import counting_main
from stress.play.arena import Arena, BlockSettings
from stress.play.census import take_census
from stress.play.compiled import STATS, ready
from stress.play.parallel import hang_seconds
from stress.play.worker import Crew
from stress.process import host

SHRINKS = 300
PASSES = 2


@pytest.mark.xdist_group("cpus")
@pytest.mark.parametrize("design, flushes", [("linux-3.16", False), ("linux-6.18-F_SHEAFASK", True)])
def test_shrinks_of_a_cache_in_use(design, flushes):
    features = parse_design(design).features("slub") | STATS
    ready([(counting_main, "slub", features)])
    pairs = SCENARIOS["pairs"]
    load = pairs.build(pairs.parameters(operations=1_000_000, batch=100), 2, 1)
    last = load.events[-1].round
    shrinks = [tape.Event(tape.EV_SHRINK_CACHE, 0, last)] * SHRINKS
    arena = Arena(dataclasses.replace(load, events=(*load.events, *shrinks)), features=features)
    machines = [[arena.machine(features, cpu)] for cpu in range(arena.layout.nr_cpus)]
    flushed = 0
    with Crew(machines, arena.run, host.placement(2)[0]) as crew:
        for _ in range(PASSES):
            arena.reset(features, BlockSettings(cycles_per_kernel_ns=1.0))
            crew.command(0)
            crew.collect(hang_seconds())
            census = take_census(arena, design, features)
            assert census.violated == [] and census.frees == census.allocations > 1_000_000
            flushed += census.operations["sheaf_flush"]
    assert (flushed > 0) == flushes
    arena.close()
