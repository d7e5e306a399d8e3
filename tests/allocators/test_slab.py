"""SLAB: the recorded kernel, random play, arrays, alien arrays, memory that runs out, dead caches."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_world import SmallWorld

from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import WORLD, WORLD_AT
from allocators.invariants import empty_slabs, hidden_objects
from allocators.slab.inspect import slabinfo, statistics
from allocators.slab.reap import run_reapers
from allocators.slab.sizing import slab_sizing
from allocators.slab.state import ARRAY_CACHE, KMEM_CACHE_ARRAY, SLAB_NODE, index_at, set_index
from scenarios.traces.steps import read_steps
from stress.play.conform import conform

STEPS = Path(__file__).parents[1] / "data" / "linux-3.16-slab-steps.csv"


def slab_world(design: str = "linux-3.16", **options) -> SmallWorld:
    return SmallWorld(design, allocator="slab", **options)


def array_of(world: SmallWorld, s: int, cpu: int) -> int:
    """A CPU's array_cache."""
    return world.mem[world.machine(cpu).pcpu + world.mem[s + CACHE.cpu_slab] + KMEM_CACHE_ARRAY.array]


def slab_node(world: SmallWorld, s: int, node: int = 0) -> int:
    return world.mem[s + CACHE.slab_node] + node * SLAB_NODE.SIZE


def count(world: SmallWorld, s: int, name: str) -> int:
    return sum(statistics(world.kworker, s, world.layout.nr_cpus)[name])


def avail(world: SmallWorld, array: int) -> int:
    return world.mem[array + ARRAY_CACHE.avail]


@pytest.mark.xdist_group("compiles")
def test_every_recorded_step_of_the_kernel_is_equal():
    table = read_steps(STEPS)
    result = conform(table)
    assert result.differences == ()
    assert (result.steps, result.counters) == (252, 252 * 11)


@pytest.mark.parametrize(
    "size, order, objects, limits",
    (
        (8, 0, 240, (120, 60, 8)),  # 16 bytes are the least
        (64, 0, 63, (120, 60, 8)),  # the index array takes the place of the 64th
        (96, 0, 42, (120, 60, 8)),
        (128, 0, 32, (120, 60, 8)),  # from here on it lies outside
        (256, 0, 16, (120, 60, 8)),
        (512, 0, 8, (54, 27, 8)),
        (1000, 0, 4, (54, 27, 8)),
        (1500, 1, 5, (24, 12, 8)),
        (2048, 0, 2, (24, 12, 8)),
        (4096, 0, 1, (24, 12, 8)),
        (8192, 1, 1, (8, 4, 0)),
        (32768, 3, 1, (8, 4, 0)),
        (200_000, 6, 1, (1, 1, 0)),
    ),
)
def test_sizing(size, order, objects, limits):
    s = slab_sizing(size, 8, 2)
    assert (s.order, s.objects) == (order, objects)
    assert (s.limit, s.batchcount, s.shared) == limits


def test_one_cpu_shares_with_nobody():
    assert slab_sizing(64, 8, 1).shared == 0
    world = slab_world(cpus=1)
    world.free(0, world.alloc(0, 0, count=500))
    assert world.mem[slab_node(world, world.roots[0]) + SLAB_NODE.shared] == 0
    assert world.check().violated == []


@pytest.mark.parametrize("size", (0, -8))
def test_sizes_that_no_cache_has(size):
    with pytest.raises(ValueError):
        slab_sizing(size, 8, 2)


def test_every_byte_of_an_index_array_can_be_set():
    world = slab_world()
    m, at = world.kworker, world.layout.plan["freelists"]
    numbers = [(37 * i + 128) % 256 for i in range(64)]
    for times in range(2):
        for i, number in enumerate(numbers):
            set_index(m, at, i, (number + times) % 256)
    assert [index_at(m, at, i) for i in range(64)] == [(number + 1) % 256 for number in numbers]


@pytest.mark.parametrize("design", ("linux-3.16", "v1", "v2", "v3", "v3+F_FLIM"))
@pytest.mark.parametrize("nodes", (1, 2, 3))
def test_random_play_keeps_all_invariants(design, nodes):
    world = slab_world(design, cpus=4, nodes=nodes, memory=12 << 20, by_rcu=(1,))
    for i, _ in enumerate(world.churn(seed=nodes, operations=500)):
        if i % 25 == 24:
            world.mem[WORLD_AT + WORLD.now] += 700_000_000
            run_reapers(world.kworker)
        if i % 50 == 49:
            assert world.check().violated == []
    for cgroup in world.online():
        world.offline(cgroup)
    world.free(1, list(world.live.elements()))
    world.work()
    assert world.check().violated == []
    world.close()


def test_an_array_is_last_in_first_out_and_frees_do_not_touch_it():
    world = slab_world()
    s = world.roots[0]
    objects = world.alloc(0, 0, count=3)
    ac = array_of(world, s, 0)
    world.mem[ac + ARRAY_CACHE.touched] = 0
    world.free(0, objects)
    assert world.mem[ac + ARRAY_CACHE.touched] == 0
    assert world.alloc(0, 0, count=3) == objects[::-1]
    assert world.mem[ac + ARRAY_CACHE.touched] == 1


def test_the_first_refill_takes_sixteen_and_the_next_a_batch():
    world = slab_world()
    s = world.roots[1]  # 512 bytes: batchcount 27, 8 objects in a slab
    world.alloc(0, 1)
    assert avail(world, array_of(world, s, 0)) == 7  # one slab, and growing stops at the first object found
    world.free(1, world.alloc(0, 1, count=200))
    world.alloc(0, 1, count=avail(world, array_of(world, s, 0)))
    world.mem[array_of(world, s, 0) + ARRAY_CACHE.touched] = 0
    world.alloc(0, 1)
    assert avail(world, array_of(world, s, 0)) == 15
    world.alloc(0, 1, count=16)
    assert avail(world, array_of(world, s, 0)) == 26


def test_a_full_array_flushes_to_the_shared_array_and_then_to_slabs():
    world = slab_world(memory=8 << 20)
    s = world.roots[0]
    objects = world.alloc(0, 0, count=1000)
    shared = world.mem[slab_node(world, s) + SLAB_NODE.shared]
    world.free(0, objects)
    assert avail(world, shared) == world.mem[shared + ARRAY_CACHE.limit] == 480
    info = slabinfo(world.kworker, s)
    assert (info.active_objs, info.num_objs, info.active_slabs, info.sharedavail) == (585, 819, 10, 480)
    # Another CPU is served from the shared array.
    grown = count(world, s, "grown")
    world.alloc(1, 0, count=480)
    assert count(world, s, "grown") == grown and avail(world, shared) == 0
    assert world.mem[shared + ARRAY_CACHE.touched] == 1


def test_objects_of_another_node_go_into_an_alien_array_and_home_when_it_is_full():
    world = slab_world(cpus=2, nodes=2)
    s = world.roots[0]
    objects = world.alloc(0, 0, count=40)
    alien = world.mem[slab_node(world, s, 1) + SLAB_NODE.alien]  # CPU 1 sits on node 1; objects are node 0's
    world.free(1, objects[:12])
    assert (avail(world, alien), count(world, s, "node_frees"), count(world, s, "node_overflow")) == (12, 12, 0)
    shared = world.mem[slab_node(world, s, 0) + SLAB_NODE.shared]
    world.free(1, objects[12:13])
    assert (avail(world, alien), avail(world, shared), count(world, s, "node_overflow")) == (1, 12, 1)
    assert avail(world, array_of(world, s, 1)) == 0
    assert world.check().violated == []


def test_a_node_without_memory_is_served_by_another():
    world = slab_world(cpus=2, nodes=2, sizes=(4096,), memory=8 << 20)
    s = world.roots[0]
    objects = world.alloc(0, 0, count=1024 + 50)
    nodes = [world.mem[head_of(world.kworker, o) + PAGE.node] for o in objects]
    assert nodes.count(0) == 1024 and nodes.count(1) == 50
    assert count(world, s, "node_allocs") == 50
    assert world.check().violated == []
    world.free(0, objects)
    assert world.check().violated == []


def test_memory_that_runs_out_is_a_failed_allocation():
    world = slab_world(sizes=(4096,), memory=4 << 20)
    objects = world.alloc(0, 0, count=1100)
    assert len(objects) == 1024
    assert world.check().violated == []
    world.free(1, objects)
    assert len(world.alloc(1, 0, count=1024)) == 1024
    assert world.check().violated == []


def test_shrink_empties_every_array_and_keeps_only_slabs_with_objects():
    world = slab_world(cpus=4, nodes=2)
    s = world.roots[0]
    objects = world.alloc(0, 0, count=300) + world.alloc(3, 0, count=300)
    world.free(1, objects[::2])
    world.free(2, objects[3::2])
    world.shrink(0)
    info = slabinfo(world.kworker, s)
    assert (info.active_objs, info.sharedavail) == (1, 0)
    assert info.num_slabs == 1
    assert world.check().violated == []


def test_children_inherit_the_tunables_of_their_root():
    world = slab_world()
    world.mem[world.roots[0] + CACHE.limit], world.mem[world.roots[0] + CACHE.batchcount] = 100, 40
    world.child_with_objects()
    child = world.child(0, 1)
    assert (world.mem[child + CACHE.limit], world.mem[child + CACHE.batchcount]) == (100, 40)
    assert world.mem[array_of(world, child, 1) + ARRAY_CACHE.limit] == 100
    assert world.mem[slab_node(world, child) + SLAB_NODE.free_limit] == 3 * 40 + 63


@pytest.mark.parametrize(
    "design, dies",
    (
        ("linux-3.16", False),
        ("linux-3.16+P2+P3", False),
        ("v1", False),
        ("v2", True),
        ("v3", True),
        ("v3+F_FLIM", True),
    ),
)
@pytest.mark.parametrize("nodes", (1, 2))
def test_what_the_last_free_does_to_a_dead_cache(design, dies, nodes):
    """v2 and v3 destroy it at once; before them, and in v1, arrays and slabs wait for the reaper."""
    world = slab_world(design, nodes=nodes)
    objects = world.child_with_objects(count=300)
    world.offline(1)
    child = world.child(0, 1)
    world.free(1, objects[:150])
    world.free(0, objects[150:])
    assert world.check().violated == []
    assert (
        empty_slabs(world.kworker, world.layout)["slabs_free"] > 0
        or sum(hidden_objects(world.kworker, world.layout).values()) > 0
    ) != dies
    world.work()
    assert (world.child(0, 1) == 0) == dies
    if not dies:
        assert world.mem[world.mem[child + CACHE.node] + NODE.nr_slabs] > 0
        assert sum(empty_slabs(world.kworker, world.layout).values()) == sum(
            world.mem[world.mem[child + CACHE.node] + i * NODE.SIZE + NODE.nr_slabs] for i in range(nodes)
        )
    assert world.tally("destroyed") == dies


def test_a_dead_cache_of_v3_takes_the_lock_for_every_free():
    world = slab_world("v3")
    objects = world.child_with_objects(count=130)
    before = count(world, world.child(0, 1), "freehit")
    world.offline(1)
    child = world.child(0, 1)
    assert array_of(world, child, 0) == array_of(world, child, 1) == 0
    world.free(0, objects[:100])
    assert count(world, child, "free_noarray") == 100
    assert count(world, child, "freehit") == before


def test_a_dead_cache_of_v2_has_arrays_without_room():
    world = slab_world("v2", nodes=2)
    objects = world.child_with_objects(count=130)
    world.offline(1)
    child = world.child(0, 1)
    n = slab_node(world, child)
    assert world.mem[array_of(world, child, 0) + ARRAY_CACHE.limit] == 0
    assert world.mem[world.mem[n + SLAB_NODE.shared] + ARRAY_CACHE.limit] == 0
    assert world.mem[n + SLAB_NODE.free_limit] == 0
    world.free(1, objects[:10])
    world.free(0, objects[10:20])
    assert sum(hidden_objects(world.kworker, world.layout).values()) == 0
    assert world.check().violated == []
