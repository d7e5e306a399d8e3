"""SLAB's periodic reaper: when it runs, what one pass takes, and how long dead caches live."""

from __future__ import annotations

import pytest
from small_world import SmallWorld
from test_slab import array_of, avail, count, slab_node, slab_world

from allocators.core.world import REAPER, REAPER_AT, WORLD, WORLD_AT
from allocators.slab.reap import SECOND, cache_reap, reaper_due, round_jiffies, run_reapers, serve_reaper, wake_reapers
from allocators.slab.setup import REAPTIMEOUT_NODE
from allocators.slab.state import ARRAY_CACHE, SLAB_NODE, alien_array
from shm.ipi import SERVICE_WORK
from shm.machine import CPU


def set_time(world: SmallWorld, seconds: float) -> None:
    world.mem[WORLD_AT + WORLD.now] = round(seconds * SECOND)


def to_next_pass(world: SmallWorld) -> None:
    """Time passes until a reaper is due, to the nanosecond."""
    world.mem[WORLD_AT + WORLD.now] = reaper_due(world.kworker)


def reaper(world: SmallWorld, cpu: int, field: str) -> int:
    return world.mem[world.machine(cpu).pcpu + REAPER_AT + getattr(REAPER, field)]


def never_scan(world: SmallWorld, s: int) -> None:
    """Keep the node pass away, to see what the CPU pass does."""
    for node in range(world.layout.limits.nodes):
        world.mem[slab_node(world, s, node) + SLAB_NODE.next_reap] = 1 << 60


@pytest.mark.parametrize(
    "cpu, at, rounded",
    ((0, 1.0, 1.0), (0, 3.2, 3.0), (0, 3.25, 4.0), (0, 3.9, 4.0), (1, 3.0, 2.988), (1, 3.9, 3.988), (5, 2.0, 1.94)),
)
def test_timers_fire_at_whole_seconds_less_three_jiffies_a_cpu(cpu, at, rounded):
    assert round_jiffies(cpu, int(at * SECOND)) == int(rounded * SECOND)


def test_passes_come_every_two_seconds_from_the_first_on():
    world = slab_world(cpus=3)
    seen: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for _ in range(12):
        due = reaper_due(world.kworker)
        before = [reaper(world, cpu, "passes") for cpu in range(3)]
        to_next_pass(world)
        run_reapers(world.kworker)
        for cpu in range(3):
            if reaper(world, cpu, "passes") > before[cpu]:
                seen[cpu].append(due / SECOND)
    assert seen[0] == [1.0, 3.0, 5.0, 7.0]
    assert seen[1] == [0.988, 2.988, 4.988, 6.988]
    assert seen[2] == [0.976, 2.976, 4.976, 6.976]


def test_a_pass_that_finds_slab_mutex_taken_gives_up():
    world = slab_world()
    world.free(0, world.alloc(0, 0, count=50))
    world.mem[WORLD_AT + WORLD.slab_mutex] = 3
    held = avail(world, array_of(world, world.roots[0], 0))
    cache_reap(world.machine(0))
    assert (reaper(world, 0, "passes"), reaper(world, 0, "skipped")) == (0, 1)
    assert avail(world, array_of(world, world.roots[0], 0)) == held
    assert reaper(world, 0, "due") == 2 * SECOND


def test_an_array_in_use_is_only_marked_and_then_loses_a_fifth_of_its_limit():
    world = slab_world()
    s = world.roots[0]
    never_scan(world, s)
    world.free(0, world.alloc(0, 0, count=100))
    ac = array_of(world, s, 0)
    full = avail(world, ac)
    m = world.machine(0)
    assert world.mem[ac + ARRAY_CACHE.touched] == 1
    left = []
    for _ in range(8):
        cache_reap(m)
        left.append(avail(world, ac))
    assert full == 63
    # 24 a pass; when fewer are left, half of them, rounded up.
    assert left == [63, 39, 15, 7, 3, 1, 0, 0]
    assert world.check().violated == []


def test_a_node_is_scanned_by_one_cpu_in_four_seconds():
    world = slab_world()
    s = world.roots[0]
    objects = world.alloc(0, 0, count=1000)
    world.free(0, objects)
    shared = world.mem[slab_node(world, s) + SLAB_NODE.shared]
    n = slab_node(world, s)
    world.mem[shared + ARRAY_CACHE.touched] = 0
    world.mem[n + SLAB_NODE.next_reap] = 6 * SECOND
    set_time(world, 5)
    cache_reap(world.machine(1))
    assert avail(world, shared) == 480
    set_time(world, 6)
    cache_reap(world.machine(0))
    assert avail(world, shared) == 480 - 96
    assert world.mem[n + SLAB_NODE.next_reap] == 10 * SECOND
    set_time(world, 7)
    cache_reap(world.machine(1))
    assert avail(world, shared) == 480 - 96


def test_new_caches_are_scanned_at_different_times():
    world = slab_world(sizes=(64,) * 12)
    phases = [world.mem[slab_node(world, s) + SLAB_NODE.next_reap] for s in world.roots]
    assert all(REAPTIMEOUT_NODE <= p < 2 * REAPTIMEOUT_NODE for p in phases)
    assert len(set(phases)) == 12


def test_free_slabs_get_a_second_chance_and_go_by_fifths_of_free_limit():
    world = slab_world(sizes=(4096,), memory=8 << 20)
    s = world.roots[0]
    world.free(0, world.alloc(0, 0, count=200))
    n = slab_node(world, s)
    assert world.mem[n + SLAB_NODE.free_touched] == 1
    for second, freed in ((10, 0), (20, 8), (30, 8)):
        world.mem[n + SLAB_NODE.next_reap] = 0
        set_time(world, second)
        was = count(world, s, "reaped")
        cache_reap(world.machine(1))
        assert count(world, s, "reaped") - was == freed  # free_limit is 37: a fifth of it, rounded up
        assert world.mem[n + SLAB_NODE.free_touched] == 0
    assert world.check().violated == []


def test_one_alien_array_goes_home_in_a_pass():
    world = slab_world(cpus=4, nodes=4)
    s = world.roots[0]
    never_scan(world, s)
    for cpu in (1, 2, 3):
        world.free(0, world.alloc(cpu, 0, count=5))
    m, n = world.machine(0), slab_node(world, s, 0)
    waiting = lambda: [avail(world, alien_array(m, n, home)) for home in (1, 2, 3)]
    assert waiting() == [5, 5, 5]
    seen = []
    for _ in range(4):
        cache_reap(m)
        seen.append(waiting())
    # The pointer passes over the own node too: that pass takes none.
    assert seen == [[0, 5, 5], [0, 0, 5], [0, 0, 0], [0, 0, 0]]
    assert world.check().violated == []


def test_an_alien_array_whose_lock_is_taken_is_left_alone():
    world = slab_world(cpus=2, nodes=2)
    s = world.roots[0]
    world.free(0, world.alloc(1, 0, count=5))
    alien = alien_array(world.machine(0), slab_node(world, s, 0), 1)
    world.mem[alien + ARRAY_CACHE.lock] = 2
    cache_reap(world.machine(0))
    assert avail(world, alien) == 5


def lifetime(design: str, *, nodes: int = 1, cpus: int = 2, size: int = 64, limit: float = 400.0) -> float | None:
    """Kernel seconds from the last free of 500 objects of a dead cache to its end; None: not within `limit`."""
    world = slab_world(design, nodes=nodes, cpus=cpus, sizes=(size,), memory=8 << 20)
    objects = world.child_with_objects(count=500)
    world.offline(1)
    set_time(world, 0.5)
    for i, obj in enumerate(objects):
        world.free(i % cpus, [obj])
    world.work()
    while world.child(0, 1) and world.mem[WORLD_AT + WORLD.now] < limit * SECOND:
        to_next_pass(world)
        run_reapers(world.kworker)
        world.work()
    assert world.check().violated == []
    gone = world.child(0, 1) == 0
    seconds = world.mem[WORLD_AT + WORLD.now] / SECOND - 0.5
    world.close()
    return seconds if gone else None


def test_how_long_a_dead_cache_lives():
    """Without P2 for ever; with it as long as the reaper's fifths take; with P8 a few of its periods."""
    assert lifetime("linux-3.16") is None
    plain, v1, v2, v3 = (lifetime(d) for d in ("linux-3.16+P2+P3", "v1", "v2", "v3"))
    assert plain is not None and v1 is not None
    assert (v2, v3) == (0, 0)
    assert v1 < plain / 2
    assert 2 <= v1 <= 13 < plain < 60


def test_more_nodes_make_v1_slower():
    one, four = lifetime("v1", cpus=4), lifetime("v1", cpus=4, nodes=4)
    assert one is not None and four is not None and one < four < 40


def test_v3_skips_dead_caches():
    world = slab_world("v3")
    objects = world.child_with_objects(count=100)
    world.offline(1)
    child = world.child(0, 1)
    n = slab_node(world, child)
    world.mem[n + SLAB_NODE.next_reap] = 0
    set_time(world, 5)
    cache_reap(world.machine(0))
    assert world.mem[n + SLAB_NODE.next_reap] == 0
    world.free(0, objects)


def test_a_cpu_runs_its_pass_when_the_kworker_has_asked_for_it():
    world = slab_world()
    here = world.machine(0)
    serve_reaper(here)
    wake_reapers(world.kworker)
    assert reaper(world, 0, "passes") == 0
    set_time(world, 1)
    wake_reapers(world.kworker)
    assert world.mem[here.pcpu + CPU.service] == SERVICE_WORK
    serve_reaper(here)
    assert (reaper(world, 0, "passes"), world.mem[here.pcpu + CPU.service]) == (1, 0)
    assert reaper(world, 0, "due") == 3 * SECOND
