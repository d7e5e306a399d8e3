"""linux-5.3: a child cache moves to the parent cgroup; the memcg goes at once, the cache with its last slab."""

from __future__ import annotations

from small_world import SmallWorld

from allocators.core.kmem_cache import CACHE
from allocators.invariants import left_behind
from allocators.memcg import cache_ref
from allocators.memcg.memcontrol import MEMCG, memcg_kmem_get_cache


def test_the_memcg_goes_at_once_and_the_cache_with_its_last_slab():
    world = SmallWorld("linux-5.3")
    objects = world.child_with_objects(count=640)
    child = world.child(0, 1)
    world.offline(1)
    assert world.mem[child + CACHE.memcg] == 0
    assert world.check().violated == []
    world.work()
    assert (world.tally("destroyed"), world.tally("cgroups_offline")) == (0, 0)
    assert world.memcg(1) == 0
    assert left_behind(world.kworker, world.layout) == (1, 10, 10)
    world.free(1, objects[64:])
    assert left_behind(world.kworker, world.layout) == (1, 1, 1)
    assert world.check().violated == []
    world.free(0, objects[:64])
    world.work()
    assert (world.tally("destroyed"), world.tally("offlined")) == (1, 1)
    assert world.check().violated == []


def test_a_new_cgroup_may_take_the_descriptor_of_the_old_one():
    world = SmallWorld("linux-5.3")
    old = world.child_with_objects(1, count=70)
    descriptor = world.memcg(1)
    world.offline(1)
    world.work()
    new = world.child_with_objects(2, count=70)
    assert world.memcg(2) == descriptor
    assert world.mem[descriptor + MEMCG.kmem] == 2
    world.free(1, old)
    assert world.mem[descriptor + MEMCG.kmem] == 2
    world.free(1, new)
    world.work()
    assert (world.tally("destroyed"), world.tally("offlined")) == (1, 1)
    assert world.check().violated == []


def test_an_allocation_that_is_under_way_keeps_the_cache():
    """R10: the child was looked up, then its cgroup went offline, empty."""
    world = SmallWorld("linux-5.3")
    world.free(0, world.child_with_objects())
    m = world.machine(1)
    child = memcg_kmem_get_cache(m, world.roots[0], world.memcg(1))
    world.offline(1)
    world.work()
    assert world.tally("destroyed") == 0
    assert cache_ref.cache_ref_put(m, child, 1)


def test_no_reference_is_given_to_who_comes_too_late():
    world = SmallWorld("linux-5.3")
    world.child_with_objects()
    child = world.child(0, 1)
    m = world.machine(0)
    assert cache_ref.cache_ref_tryget(m, child)
    assert not cache_ref.cache_ref_put(m, child, 1)
    world.offline(1)
    assert cache_ref.cache_ref_tryget(m, child), "its slab holds a reference still"
    world.mem[child + CACHE.refcnt] = 0
    assert not cache_ref.cache_ref_tryget(m, child)
