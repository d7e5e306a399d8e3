"""rfc-reparent: at offline a child's slabs move to the root cache, live objects and all, and the child is destroyed."""

from __future__ import annotations

import pytest
from small_world import SmallWorld

from allocators.caches.memcg_caches import run_deferred_work
from allocators.core.bugs import BUG_CLOSE_BUSY
from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.page_pair import inuse_of
from allocators.invariants import left_behind
from allocators.memcg.cache_ref import cache_ref_put, cache_ref_tryget
from allocators.slub import reparent
from allocators.slub.inspect import walk_partial
from shm.machine import Bug

PER_SLAB = 64


@pytest.fixture
def world():
    world = SmallWorld("rfc-reparent")
    yield world
    world.close()


def pages_of(world: SmallWorld, objects: list[int]) -> list[int]:
    """The slabs that objects lie in, in order."""
    return sorted({head_of(world.kworker, obj) for obj in objects})


def owners(world: SmallWorld, objects: list[int]) -> set[int]:
    return {world.mem[page + PAGE.slab_cache] for page in pages_of(world, objects)}


def give_up(world: SmallWorld, cgroup: int = 1) -> None:
    """Take a cgroup offline, and let the grace period pass after which no reference is given.

    The re-parenter does not run yet.
    """
    world.offline(cgroup)
    assert run_deferred_work(world.kworker)


def test_live_objects_move_and_nothing_stays_behind(world):
    objects = world.child_with_objects(count=10 * PER_SLAB)
    child = world.child(0, 1)
    assert owners(world, objects) == {child}
    world.offline(1)
    assert world.check().violated == []
    world.work()
    assert owners(world, objects) == {world.roots[0]}
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)
    assert (world.tally("offlined"), world.tally("destroyed"), world.tally("cgroups_offline")) == (1, 1, 0)
    assert world.memcg(1) == 0
    assert world.check().violated == []


def test_a_moved_object_is_freed_to_the_root_cache(world):
    objects = world.child_with_objects(count=2 * PER_SLAB)
    world.offline(1)
    world.work()
    live = world.mem[world.roots[0] + CACHE.live]
    world.free(1, objects)
    assert world.mem[world.roots[0] + CACHE.live] == live - len(objects)
    assert world.check().violated == []


def test_slabs_move_to_the_list_they_belong_to_and_empty_ones_go(world):
    objects = world.child_with_objects(count=20 * PER_SLAB)
    first, second, *rest = pages_of(world, objects)
    slab = {
        page: [obj for obj in objects if head_of(world.kworker, obj) == page]
        for page in (first, second, rest[0], rest[1])
    }
    world.free(1, slab[first])  # emptied on the other CPU's partial list
    world.free(1, slab[second][:5])
    world.free(0, slab[rest[0]][:1] + slab[rest[1]])
    before = world.mem[world.roots[0] + CACHE.node]
    slabs = world.mem[before + NODE.nr_slabs]
    world.offline(1)
    world.work()
    partial = list(walk_partial(world.kworker, before))
    assert {second, rest[0]} <= set(partial) and not {first, rest[1]} & set(partial)
    assert all(inuse_of(world.mem[page + PAGE.pair]) for page in partial)
    assert world.mem[before + NODE.nr_slabs] == slabs + 18
    assert world.check().violated == []


def test_a_free_before_the_move_leaves_the_slab_where_it_is(world):
    objects = world.child_with_objects(count=10 * PER_SLAB)
    child, slab = world.child(0, 1), pages_of(world, objects)[0]
    mine = [obj for obj in objects if head_of(world.kworker, obj) == slab]
    give_up(world)
    world.free(1, mine)
    assert world.mem[slab + PAGE.slab_cache] == child
    assert inuse_of(world.mem[slab + PAGE.pair]) == 0
    full, at = [], world.mem[world.mem[child + CACHE.node] + NODE.full]
    while at:
        full.append(at)
        at = world.mem[at + PAGE.next]
    assert slab in full, "frees of the slow mode see to no list"
    assert not world.mem[slab + PAGE.order] & reparent.PG_LOCKED
    assert world.check().violated == []
    world.work()
    assert owners(world, [obj for obj in objects if obj not in mine]) == {world.roots[0]}
    assert world.tally("destroyed") == 1
    assert world.check().violated == []


def test_all_objects_freed_before_the_move_leave_no_slab(world):
    world.work()
    slabs = world.mem[world.mem[world.roots[0] + CACHE.node] + NODE.nr_slabs]
    objects = world.child_with_objects(count=10 * PER_SLAB)
    mine = world.mem[world.mem[world.roots[0] + CACHE.node] + NODE.nr_slabs]
    give_up(world)
    world.free(0, objects[::2])
    world.free(1, objects[1::2])
    world.work()
    assert world.mem[world.mem[world.roots[0] + CACHE.node] + NODE.nr_slabs] == mine >= slabs
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)
    assert world.check().violated == []


def test_a_free_that_is_under_way_keeps_the_child(world):
    world.child_with_objects()
    child, m = world.child(0, 1), world.machine(1)
    assert cache_ref_tryget(m, child)
    world.offline(1)
    world.work()
    assert world.tally("destroyed") == 0
    assert cache_ref_put(m, child, 1), "the last reference: its owner lets the re-parenter run"
    assert not cache_ref_tryget(m, child)


def test_slabs_move_once_and_the_root_hands_their_room_out(world):
    objects = world.child_with_objects(count=10 * PER_SLAB)
    world.free(0, objects[1::2])
    del objects[1::2]
    world.offline(1)
    world.work()
    again = world.alloc(0, 0, count=5 * PER_SLAB)
    assert set(pages_of(world, again)) & set(pages_of(world, objects))
    assert world.check().violated == []
    world.free(1, again + objects)
    assert world.check().violated == []


def test_the_descriptor_of_a_cgroup_is_used_again(world):
    descriptors = set()
    objects = []
    for cgroup in (1, 2, 3, 4, 5, 6):
        objects += world.child_with_objects(cgroup, count=70)
        descriptors.add(world.memcg(cgroup))
        world.offline(cgroup)
        world.work()
    assert len(descriptors) == 1
    world.free(1, objects)
    assert world.check().violated == []


def test_a_re_parenter_that_forgets_the_full_list_leaks_the_child(world, monkeypatch):
    monkeypatch.setattr(reparent, "take_full", lambda m, n: 0)
    world.child_with_objects(count=10 * PER_SLAB)
    world.offline(1)
    with pytest.raises(Bug, match=f"assertion {BUG_CLOSE_BUSY}"):
        world.work()
    assert "bug" in world.check().broken()
    caches, slabs, _ = left_behind(world.kworker, world.layout)
    assert caches == 1 and slabs >= 9
