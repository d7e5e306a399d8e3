"""Where dead caches hide empty slabs, design by design: the findings, as opposed to the invariants."""

from __future__ import annotations

import pytest
from small_world import SmallWorld

from allocators.caches import memcg_caches
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import inuse_of
from allocators.core.world import WORLD
from allocators.invariants import empty_slabs, hoarded_by_dead, left_behind
from allocators.slub import free
from allocators.slub.inspect import walk_partial
from shm.histogram import HISTOGRAM
from shm.locks import LIST_LOCK, LOCK_COUNT, LOCK_COUNTS

NOTHING = {"cpu_slab": 0, "cpu_partial": 0, "node_partial": 0}


def hidden(world: SmallWorld) -> dict[str, int]:
    assert world.check().violated == []
    return empty_slabs(world.kworker, world.layout)


def kill_with_objects(
    design: str, *, slabs: int, freeing_cpu: int, cache: int = 0, per_slab: int = 64, cpu_partial: bool = True
) -> SmallWorld:
    """A child's slabs are filled on CPU 0, its cgroup goes offline, and one CPU frees everything."""
    world = SmallWorld(design, cpu_partial=cpu_partial)
    objects = world.child_with_objects(count=slabs * per_slab, cache=cache)
    world.offline(1)
    world.work()
    world.free(freeing_cpu, objects)
    world.work()
    return world


def test_before_the_series_every_dead_cache_stays():
    """40 slabs: the 32nd push drains 31 from the CPU's stack; five of them stay on the node's list."""
    world = kill_with_objects("linux-3.16", slabs=40, freeing_cpu=0)
    assert hidden(world) == {"cpu_slab": 0, "cpu_partial": 9, "node_partial": 5}
    assert left_behind(world.kworker, world.layout) == (1, 14, 14)
    assert (world.tally("offlined"), world.tally("destroyed"), world.tally("cgroups_offline")) == (1, 0, 1)


@pytest.mark.parametrize("design", ("v1", "v2", "v3", "linux-4.0", "linux-5.3", "v1+F_ALLCPU"))
def test_the_series_leaves_nothing_on_the_cpu_that_was_flushed(design):
    world = kill_with_objects(design, slabs=20, freeing_cpu=0)
    assert hidden(world) == NOTHING
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)
    assert (world.tally("offlined"), world.tally("destroyed"), world.tally("cgroups_offline")) == (1, 1, 0)


def test_v1_hoards_on_a_cpu_that_its_flush_did_not_tell():
    """R12: CPU 1 held nothing at the flush, so it was never told that its partial list is disabled."""
    world = kill_with_objects("v1", slabs=4, freeing_cpu=1)
    places = [(slab.place, slab.number) for slab in hoarded_by_dead(world.kworker, world.layout)]
    assert places == [("cpu_partial", 1)] * 4
    assert left_behind(world.kworker, world.layout) == (1, 4, 4)
    assert hidden(world) == NOTHING | {"cpu_partial": 4}


@pytest.mark.parametrize("design", ("v1+F_ALLCPU", "v2", "v3", "linux-4.0", "linux-5.3"))
def test_the_remedies_of_that_race(design):
    world = kill_with_objects(design, slabs=4, freeing_cpu=1)
    assert hidden(world) == NOTHING
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)


def test_off_by_one_keeps_an_empty_slab_on_the_node():
    """R7: without F_OBO a slab found empty off the list is added, since 0 > 0 is false.

    Slabs that a free both makes non-full and empties are found so: slabs of one object. The next
    empty slab then goes, as the one that stays makes the list longer than min_partial.
    """
    world = SmallWorld("v3-F_OBO", sizes=(32768,))
    objects = world.child_with_objects(count=8)
    world.offline(1)
    world.free(0, objects)
    world.work()
    assert hidden(world) == NOTHING | {"node_partial": 1}
    assert left_behind(world.kworker, world.layout) == (1, 1, 8)


def test_destruction_alone_does_not_help_slub():
    """P2 without P7: the last slab of a dead cache is never discarded by a free."""
    world = kill_with_objects("linux-3.16+P2", slabs=20, freeing_cpu=0)
    assert world.tally("destroyed") == 0
    assert sum(hidden(world).values()) > 0


def test_work_that_shrinks_once_leaves_what_was_alive_then():
    """linux-3.15: one empty slab more than 3.16 stays (>); a cache that its work finds empty goes in two steps."""
    world = kill_with_objects("linux-3.15", slabs=40, freeing_cpu=0)
    assert hidden(world) == {"cpu_slab": 0, "cpu_partial": 9, "node_partial": 6}
    world = SmallWorld("linux-3.15")
    world.free(0, world.child_with_objects(count=100))
    world.offline(1)
    assert world.tally("destroyed") == 0
    assert memcg_caches.run_deferred_work(world.kworker)  # shrinks: the last page schedules again
    assert world.tally("destroyed") == 0
    assert world.check().violated == []
    world.work()
    assert (world.tally("destroyed"), world.tally("cgroups_offline")) == (1, 0)
    assert world.check().violated == []


def test_full_tracking_leaves_what_3_16_leaves_and_locks_more():
    """The re-parenting RFC's cost: a list_lock for each slab that turns full and for each first free into one."""
    locks = {}
    for design in ("linux-3.16", "full-tracking"):
        world = kill_with_objects(design, slabs=40, freeing_cpu=1)
        assert sum(hidden(world).values()) == 14
        at = [
            world.layout.percpu_base + cpu * world.layout.percpu_stride + LOCK_COUNTS + LIST_LOCK * LOCK_COUNT.SIZE
            for cpu in (0, 1)
        ]
        locks[design] = [world.mem[a + LOCK_COUNT.acquired] for a in at]
    more = [a - b for a, b in zip(locks["full-tracking"], locks["linux-3.16"])]
    assert more == [40, 40]


def test_a_shrink_that_cannot_sort_does_nothing_before_p4():
    for design, left in (("linux-3.16", 1), ("linux-3.16+P4", 0), ("linux-3.16+P4v3", 0), ("linux-3.16+P4v4", 0)):
        world = SmallWorld(design)
        world.free(0, world.child_with_objects(count=100))
        world.mem[world.layout.plan["world"] + WORLD.fail_shrink_alloc] = 1
        world.offline(1)
        world.work()
        assert left_behind(world.kworker, world.layout)[0] == left, design
        assert world.check().violated == []


def test_live_caches_hoard_without_being_found():
    world = SmallWorld("linux-3.16")
    world.free(1, world.child_with_objects(count=640))
    assert hidden(world) == NOTHING
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)


def test_lifetimes_are_intervals_of_one_clock():
    """A free on one CPU and the destruction on another: the interval stays within the histogram."""
    world = SmallWorld("v3")
    objects = world.child_with_objects(count=100)
    world.offline(1)
    world.free(0, objects)
    base, size = world.layout.plan.regions["lifetimes"]
    before = world.words.copy()
    world.work()
    assert world.words[base + HISTOGRAM.count] == 1
    assert 0 <= world.words[base + HISTOGRAM.sum] == world.words[base + HISTOGRAM.max]
    table, words = world.layout.plan.regions["cache_table"]
    assert (world.words[table : table + words] == before[table : table + words]).all()


@pytest.mark.parametrize(
    "design, freeing_cpu, primed, left",
    (
        ("v1", 0, False, (0, 0, 0)),
        ("v1", 1, False, (1, 4, 4)),
        ("v1", 1, True, (0, 0, 0)),
        ("v1+F_ALLCPU", 1, False, (0, 0, 0)),
    ),
)
def test_as_recorded_from_a_kernel_with_the_series(design, freeing_cpu, primed, left):
    """4,096 objects of 256 bytes, allocated on CPU 0 and freed after the removal, in four settings.

    The kernel left 1 cache with 4 slabs when a CPU freed that never used the cache, and else nothing.
    primed: every CPU had a CPU slab before.
    """
    world = SmallWorld(design, sizes=(256,), memory=8 << 20)
    objects = world.child_with_objects()
    if primed:
        objects += world.alloc(1, 0, 1)
    objects += world.alloc(0, 0, 1, 4095)
    world.offline(1)
    world.free(freeing_cpu, objects)
    world.work()
    assert left_behind(world.kworker, world.layout) == left
    assert world.check().violated == []


def test_v2_flushes_all_cpus_when_the_pushed_slab_is_not_here(monkeypatch):
    """R5: the freeing task moved to another CPU between the push and the check."""
    push = free.put_cpu_partial

    def push_and_move(m, s, page, drain):
        push(m, s, page, drain)
        m.move_to(1 - m.cpu)

    world = SmallWorld("v2")
    objects = world.child_with_objects(count=640)
    world.offline(1)
    monkeypatch.setattr(free, "put_cpu_partial", push_and_move)
    world.free(0, objects)
    world.work()
    assert hidden(world) == NOTHING
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)


def test_children_of_4_0_go_with_their_memcg_all_together():
    """One live object keeps its slab's page charged, hence the memcg, hence the empty child beside it."""
    world = SmallWorld("linux-4.0")
    objects = world.child_with_objects(count=640)
    world.free(0, world.alloc(0, 1, 1, 10))
    world.work()
    world.free(0, world.alloc(0, 1, 1, 10))
    world.offline(1)
    world.free(1, objects[1:])
    world.work()
    assert left_behind(world.kworker, world.layout) == (2, 1, 1)
    assert (world.tally("destroyed"), world.tally("cgroups_offline")) == (0, 1)
    assert world.check().violated == []
    world.free(1, objects[:1])
    world.work()
    assert (world.tally("destroyed"), world.tally("cgroups_offline")) == (2, 0)
    assert world.check().violated == []


def test_4_0_sorts_what_is_nearly_full_and_lets_the_rest_stay():
    """Slabs of 64 objects by free ones, from the list's head; more than 32 free are not moved."""
    world = SmallWorld("linux-4.0", cpu_partial=False)
    objects = world.alloc(0, 0, count=64 * 6)
    for slab, free_objects in enumerate((40, 3, 32, 60, 1, 3)):
        world.free(1, objects[64 * slab : 64 * slab + free_objects])
    world.shrink(0)
    assert world.check().violated == []
    node = world.mem[world.roots[0] + CACHE.node]
    free_objects = [64 - inuse_of(world.mem[page + PAGE.pair]) for page in walk_partial(world.kworker, node)]
    assert free_objects == [1, 3, 3, 32, 40, 60]
