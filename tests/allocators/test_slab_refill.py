"""SLAB's refill, interrupted while it grows: the CPU's array may then be another one, be filled, or be gone (P8v3).

v3.16 cache_alloc_refill: "cache_grow() can reenable interrupts, then ac could change".
"""

from __future__ import annotations

import pytest
from small_world import SmallWorld

from allocators.caches.slab_common import kmem_cache_alloc
from allocators.core.kmem_cache import CACHE
from allocators.slab import alloc
from allocators.slab.state import ARRAY_CACHE, KMEM_CACHE_ARRAY
from shm.machine import MACHINE, Bug
from stress.explore.search.search import Budget, search
from stress.explore.space.violation import Violation
from stress.explore.world.scene import Scene

OBJECTS = 63  # of 64 bytes in a slab


def interrupt(monkeypatch, event, pages: str = "alloc_pages_exact_node") -> None:
    """Let `event` happen once, when a slab that grows has interrupts on."""
    original = getattr(alloc, pages)
    events = [event]

    def interrupted(m, node, order):
        assert m.load(m.pcpu) == 0
        if events:
            events.pop()()
        return original(m, node, order)

    monkeypatch.setattr(alloc, pages, interrupted)


def full_child(design: str, **options) -> tuple[SmallWorld, list[int]]:
    """A child cache whose next allocation on CPU 0 must grow it, and its objects."""
    world = SmallWorld(design, allocator="slab", **options)
    return world, world.child_with_objects(count=OBJECTS)


@pytest.mark.parametrize("design", ["linux-3.16", "v1"])
def test_a_drain_between(design, monkeypatch):
    world, held = full_child(design)
    interrupt(monkeypatch, lambda: world.offline(1))
    held += world.alloc(0, 0, cgroup=1)
    assert len(held) == OBJECTS + 1
    assert world.check().violated == []


def test_an_array_that_is_taken_away_between(monkeypatch):
    world, held = full_child("v3", stats=False)
    interrupt(monkeypatch, lambda: world.offline(1))
    with pytest.raises(Bug, match="assertion 7"):
        world.alloc(0, 0, cgroup=1)
    world.mem[world.machine(0).pcpu] = 0
    world.mem[MACHINE.bug] = 0
    assert world.check().violated == []
    world.free(0, held)
    world.work()
    assert world.check().violated == []


def test_no_array_from_the_start():
    world, held = full_child("v3")
    child, header = world.child(0, 1), [*world.mem[: MACHINE.bug]]
    world.offline(1)
    with pytest.raises(Bug, match="assertion 7"):
        alloc.cache_alloc(world.machine(0), child)
    assert [*world.mem[: MACHINE.bug]] == header


def test_objects_that_came_between_serve_when_memory_is_out(monkeypatch):
    world, held = full_child("linux-3.16")
    monkeypatch.setattr(alloc, "alloc_pages_exact_node", lambda m, node, order: 0)
    grow = alloc.cache_grow

    def grown_late(m, s, node):
        done = grow(m, s, node)
        world.free(0, [held.pop()])
        return done

    monkeypatch.setattr(alloc, "cache_grow", grown_late)
    assert world.alloc(0, 0, cgroup=1)


def test_a_node_s_object_needs_no_array(monkeypatch):
    """The last resort when a node is out of memory; meanwhile this CPU's array was filled to its limit."""
    world, held = full_child("linux-3.16", nodes=2)
    m, child = world.machine(0), world.child(0, 1)
    ac = world.mem[m.pcpu + world.mem[child + CACHE.cpu_slab] + KMEM_CACHE_ARRAY.array]
    limit = world.mem[ac + ARRAY_CACHE.limit]
    held += world.alloc(0, 0, cgroup=1, count=limit)
    while world.mem[ac + ARRAY_CACHE.avail] < limit:
        world.free(0, [held.pop()])
    room = [*world.mem[ac : ac + ARRAY_CACHE.SIZE + limit + 1]]
    m.store(m.pcpu, 1)
    assert alloc.alloc_from_node(m, child, 0)
    assert [*world.mem[ac : ac + ARRAY_CACHE.SIZE + limit + 1]] == room


def test_an_allocation_that_migrates_while_it_grows():
    """It goes on on the other CPU, while a task of the first one uses the array there."""
    scene = Scene("linux-3.16", allocator="slab", cpus=2, objects=2, limit=2, preempt=True)
    scene.create_child()
    scene.free(0, [scene.alloc(0)])
    scene.alloc(0), scene.alloc(0)

    def allocate(m) -> None:
        obj = kmem_cache_alloc(m, scene.root, scene.memcg)
        if obj in scene.live:
            raise Violation("double hand-out", f"{obj} is in use")
        scene.live.add(obj)

    scene.task("wanderer", 0, allocate, cpus=(0, 1))
    scene.allocates("alloc", 0, 2)
    scene.works()
    found = search(scene.space(), bound=2, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive
