"""Failures on purpose: as often as asked, counted, repeatable, and survived."""

from __future__ import annotations

import pytest
from small_world import SmallWorld

from allocators.core.injection import CERTAIN
from allocators.core.kmem_cache import CACHE
from allocators.core.world import INJECTION, INJECTION_AT, WORLD, WORLD_AT
from allocators.invariants import left_behind


def failing(design: str, chance: float, **sizes) -> SmallWorld:
    world = SmallWorld(design, **sizes)
    world.mem[WORLD_AT + WORLD.fail_page_alloc] = round(chance * CERTAIN)
    for cpu in range(world.layout.nr_cpus):
        world.mem[counters(world, cpu) + INJECTION.random] = 12345 + cpu
    return world


def counters(world: SmallWorld, cpu: int) -> int:
    return world.layout.percpu_base + cpu * world.layout.percpu_stride + INJECTION_AT


def failed(world: SmallWorld) -> int:
    return sum(world.mem[counters(world, cpu) + INJECTION.page_allocs] for cpu in range(world.layout.nr_cpus))


def test_page_allocations_fail_as_often_as_asked():
    """Objects of a page: each allocation asks for a slab, and for a smaller one when the large one fails."""
    world = failing("linux-3.16", 0.3, sizes=(4096,), memory=64 << 20)
    got = sum(bool(world.alloc(0, 0)) for _ in range(4000))
    asked = failed(world) + world.tally("nr_caches") - 1 + got / 8
    assert 0.25 < failed(world) / asked < 0.35
    assert world.check().violated == []


def test_every_allocation_may_fail():
    world = failing("v3", 1.0)
    assert world.alloc(0, 0, count=5) == []
    assert failed(world) == 5
    assert world.alloc(0, 1, count=5) == [] and failed(world) == 10 + 5 * (
        world.mem[world.roots[1] + CACHE.oo_order] > 0
    )
    assert world.check().violated == []


def test_the_same_seed_fails_the_same():
    ends = []
    for _ in range(2):
        world = failing("v3", 0.1)
        ends.append([len(world.live) for _ in world.churn(seed=5, operations=400)])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("design", ("linux-3.16", "v3", "linux-4.0"))
def test_play_goes_on(design):
    world = failing(design, 0.2, memory=8 << 20)
    for i, _ in enumerate(world.churn(seed=7, operations=900)):
        if i % 100 == 0:
            assert world.check().violated == []
    assert world.check().violated == []
    assert failed(world) > 10


@pytest.mark.parametrize(
    "design, left, counted", (("linux-3.16", 1, 1), ("v1", 0, 1), ("v3", 0, 1), ("linux-4.0", 0, 0))
)
def test_shrink_without_its_array(design, left, counted):
    """Before P4 it does nothing; 4.0 asks for no array."""
    world = SmallWorld(design)
    world.free(0, world.child_with_objects(count=100))
    world.mem[WORLD_AT + WORLD.fail_shrink_alloc] = 1
    world.offline(1)
    world.work()
    assert left_behind(world.kworker, world.layout)[0] == left
    assert world.tally("shrink_allocs_failed") == counted
    assert world.check().violated == []
