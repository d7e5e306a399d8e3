"""A snapshot of a SLAB world: field by field what a plain walk finds, and what lies just beyond each limit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from small_world import SmallWorld, undone
from test_slab import array_of, slab_node, slab_world

from allocators.core.kmem_cache import CACHE, CACHE_LIVE
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import MEM_MAP, WORLD, WORLD_AT
from allocators.invariants.slab_snapshot import FREE, FULL, IN_ARRAY, IS_FREE, LISTS, PARTIAL, SlabSnapshot
from allocators.invariants.snapshot import RCU_WAIT
from allocators.slab.inspect import walk
from allocators.slab.state import (
    ARRAY_CACHE,
    KMEM_CACHE_ARRAY,
    SLAB_NODE,
    alien_array,
    entry_of,
    first_object,
    index_array,
    index_at,
    set_index,
)

INSIDE, OUTSIDE, ONE_WORD = 0, 1, 2  # caches, by where their slabs have index arrays


@functools.cache
def crowded() -> SmallWorld:
    """Slabs on all lists and objects in all kinds of array of both nodes; slabs that wait, two children, one dead.

    One free slab is of no cache, whatever the last descriptor says, and the last frame is a full slab, on no list.
    """
    world = slab_world(sizes=(16, 512, 1000, 64), cpus=4, nodes=2, memory=8 << 20, by_rcu=(3,))
    world.free(1, world.child_with_objects(1, OUTSIDE, 70)[:60])
    world.offline(1)
    world.free(3, world.child_with_objects(2, ONE_WORD, 30)[::3])
    for cache in (INSIDE, OUTSIDE, ONE_WORD):
        for cpu, other in ((0, 2), (2, 0)):
            held = world.alloc(cpu, cache, count=(2600, 700, 600)[cache])
            world.free(cpu, held[: len(held) // 2])
            world.free(other, held[-40::4])
            world.free(cpu + 1, held[-39::4])
    world.free(0, world.alloc(0, 3, count=200))
    world.shrink(3)
    assert world.check().violated == []
    mem, layout = world.mem, world.layout
    last = layout.plan["caches"] + (layout.limits.caches - 1) * CACHE.SIZE
    mem[last + CACHE.oo_objects], mem[last + CACHE.size] = 8, 64
    mem[slab_on(world, FREE) + PAGE.slab_cache] = 0
    page, full = MEM_MAP + (layout.last_frame - 1) * PAGE.SIZE, slab_on(world, FULL)
    world.words[page : page + PAGE.SIZE] = world.words[full : full + PAGE.SIZE]
    mem[page + PAGE.head] = page
    return world


def slab_on(world: SmallWorld, place: str, cache: int = OUTSIDE) -> int:
    """The first slab on a list of node 0."""
    return world.mem[slab_node(world, world.roots[cache]) + getattr(SLAB_NODE, place)]


def snapshot(world: SmallWorld) -> SlabSnapshot:
    return SlabSnapshot(world.kworker, world.layout)


def caches(world: SmallWorld) -> dict[int, int]:
    """Number -> address of every cache that lives."""
    at = {i: world.layout.plan["caches"] + i * CACHE.SIZE for i in range(world.layout.limits.caches)}
    return {i: s for i, s in at.items() if world.mem[s + CACHE.state] == CACHE_LIVE}


def slabs_on(world: SmallWorld, head: int) -> list[int]:
    return [(page - MEM_MAP) // PAGE.SIZE for page in walk(world.kworker, head)]


def test_its_lists_are_those_of_a_plain_walk():
    world = crowded()
    expected = [(RCU_WAIT, -1, 0, slabs_on(world, WORLD_AT + WORLD.rcu_slabs))]
    for i, s in caches(world).items():
        for node in (0, 1):
            n = slab_node(world, s, node)
            expected += [(place, i, node, slabs_on(world, n + getattr(SLAB_NODE, place))) for place in LISTS]
    found = [(one.place, one.cache, one.number, one.frames) for one in snapshot(world).lists]
    assert sorted(found) == sorted(one for one in expected if one[3])
    assert all(("stack" in str(one)) == (one.place == RCU_WAIT) for one in snapshot(world).lists)
    assert {(place, number) for place, _, number, _ in found} == {(p, n) for p in LISTS for n in (0, 1)} | {
        (RCU_WAIT, 0)
    }


def arrays(world: SmallWorld) -> Iterator[tuple[str, tuple[str, int, int, int, int, int]]]:
    """Name and place, cache, number, home, address and words of every array."""
    sizes = [world.mem[WORLD_AT + field] for field in (WORLD.array_words, WORLD.shared_words, WORLD.alien_words)]
    for i, s in caches(world).items():
        for cpu in range(4):
            yield f"the cpu array of CPU {cpu}", ("cpu_array", i, cpu, cpu // 2, array_of(world, s, cpu), sizes[0])
        for node in (0, 1):
            n, home = slab_node(world, s, node), 1 - node
            shared, alien = world.mem[n + SLAB_NODE.shared], alien_array(world.kworker, n, home)
            yield f"the shared array of node {node}", ("shared_array", i, node, node, shared, sizes[1])
            yield f"the alien array of node {node} for node {home}", ("alien_array", i, node, home, alien, sizes[2])


def entries(world: SmallWorld, array: int) -> list[int]:
    return [world.mem[entry_of(array, i)] for i in range(world.mem[array + ARRAY_CACHE.avail])]


def test_its_arrays_are_those_of_a_plain_walk():
    world = crowded()
    found = [
        (str(a), (a.place, a.cache, a.number, a.home, a.at, a.room + ARRAY_CACHE.SIZE), a.entries.tolist())
        for a in snapshot(world).arrays
    ]
    expected = [(name, where, entries(world, where[4])) for name, where in arrays(world)]
    assert sorted(found) == sorted(expected)
    assert all(
        a.avail == len(a.entries) and a.limit == world.mem[a.at + ARRAY_CACHE.limit] for a in snapshot(world).arrays
    )
    filled = {(place, number) for _, (place, _, number, *_), objects in expected if objects}
    assert len(filled) == 4 + 2 + 2, "all kinds of all CPUs and nodes"


def objects_of(world: SmallWorld, page: int) -> np.ndarray:
    """Addresses of a slab's objects; of no cache's slab there are none."""
    s = world.mem[page + PAGE.slab_cache]
    if not s:
        return np.zeros(0, np.int64)
    return first_object(world.kworker, s, page) + np.arange(world.mem[s + CACHE.oo_objects]) * world.mem[s + CACHE.size]


def test_its_objects_are_those_of_a_plain_walk():
    world = crowded()
    w, m, mem = snapshot(world), world.kworker, world.mem
    waiting = {obj for _, where in arrays(world) for obj in entries(world, where[4])}
    at = {s: i for i, s in caches(world).items()}
    slab, number = np.full(world.layout.words, -1), np.zeros(world.layout.words, np.int64)
    marks: list[int] = []
    for i, page in enumerate(MEM_MAP + w.frames * PAGE.SIZE):
        s, active, objects = mem[page + PAGE.slab_cache], mem[page + PAGE.pair], objects_of(world, page)
        slab[objects], number[objects] = i, np.arange(len(objects))
        places = range(active, len(objects))
        free = {index_at(m, index_array(m, s, page), place) for place in places}
        marks += [IS_FREE * (n in free) + IN_ARRAY * (obj in waiting) for n, obj in enumerate(objects.tolist())]
        assert (w.cache[i], w.used[i], w.objects[i], w.sound[i]) == (at.get(s, -1), active, len(objects), s != 0)
        assert w.waiting[i] == len(waiting.intersection(objects.tolist()))
    assert w.marks.tolist() == marks and {0, IS_FREE, IN_ARRAY} == set(marks) and IS_FREE & IN_ARRAY == 0
    found = w.locate(np.arange(world.layout.words))
    assert np.array_equal(found[0], slab) and np.array_equal(found[1][slab >= 0], number[slab >= 0])
    assert w.problems == []
    wild = [-1, -512, -(1 << 63), world.layout.words, world.layout.words + 64, 1 << 40, (1 << 63) - 1]
    assert w.locate(wild)[0].tolist() == [-1] * len(wild)


def neighbours(world: SmallWorld) -> tuple[int, int]:
    """Two slabs side by side, both of objects of a whole page."""
    full = sorted(walk(world.kworker, slab_node(world, world.roots[OUTSIDE]) + SLAB_NODE.slabs_full))
    return next((a, b) for a, b in zip(full, full[1:]) if b - a == PAGE.SIZE)


LOST: dict[str, Callable[[SmallWorld], tuple[int, int]]] = {
    "to the slab above": lambda world: neighbours(world),
    "to the slab below": lambda world: neighbours(world)[::-1],
    "to a word in a frame": lambda world: (neighbours(world)[0], neighbours(world)[0] + 1),
    "before the mem_map": lambda world: (neighbours(world)[0], MEM_MAP - PAGE.SIZE),
    "beyond the mem_map": lambda world: (neighbours(world)[0], MEM_MAP + world.layout.last_frame * PAGE.SIZE),
    "from the last frame to nothing": lambda world: (MEM_MAP + (world.layout.last_frame - 1) * PAGE.SIZE, 0),
}


@pytest.mark.parametrize("wild", LOST)
def test_objects_of_a_frame_with_a_wild_head_are_no_objects(wild):
    world = crowded()
    page, head = LOST[wild](world)
    everything = np.arange(world.layout.words)
    before, own = snapshot(world).locate(everything)[0], objects_of(world, page)
    assert (before[own] >= 0).all()
    with undone(world):
        world.mem[page + PAGE.head] = head
        after = snapshot(world).locate(everything)[0]
    before[own] = -1
    assert np.array_equal(after, before)


def name_of(world: SmallWorld, page: int) -> str:
    return f"slab at frame {(page - MEM_MAP) // PAGE.SIZE} "


# Objects are 8 of 64 words, which fill the page: what an empty slab of them or its cache says.
SENSELESS = {
    "less than none is active": {"active": -1},
    "too many are active": {"active": 9},
    "no objects": {"oo_objects": 0},
    "objects of no size": {"size": 0},
    "objects that go backwards": {"size": -1},
    "objects that are too large": {"size": 65},
}


@pytest.mark.parametrize("what", SENSELESS)
def test_a_slab_that_makes_no_sense_is_told_of(what):
    world = crowded()
    page, s = slab_on(world, FULL), world.roots[OUTSIDE]
    says = {"active": 0, "oo_objects": 8, "size": 64} | SENSELESS[what]
    with undone(world):
        world.mem[page + PAGE.pair] = says["active"]
        world.mem[s + CACHE.oo_objects], world.mem[s + CACHE.size] = says["oo_objects"], says["size"]
        problems = snapshot(world).problems
    text = f"says that {says['active']} of {says['oo_objects']} objects of {says['size']} words are active"
    assert any(name_of(world, page) in problem and text in problem for problem in problems)


def test_a_slab_of_the_first_cache_that_makes_no_sense_is_told_of():
    world = crowded()
    page = slab_on(world, FULL, INSIDE)
    assert world.mem[page + PAGE.slab_cache] == world.layout.plan["caches"]
    with undone(world):
        world.mem[page + PAGE.pair] += 1
        problem = snapshot(world).problems[0]
    assert name_of(world, page) in problem and "says that 241 of 240 objects" in problem


def test_a_list_that_begins_below_all_memory_is_one():
    world = crowded()
    with undone(world):
        world.mem[slab_node(world, world.roots[INSIDE], 1) + SLAB_NODE.slabs_full] = -8
        (wild,) = (one for one in snapshot(world).lists if one.problem)
    assert (wild.place, wild.cache, wild.number, wild.frames) == (FULL, 0, 1, [])


def first_free(world: SmallWorld) -> tuple[int, int, int]:
    """A slab of which two of four objects are free, where its index array is, and the first place that is free."""
    page = slab_on(world, PARTIAL, ONE_WORD)
    assert (world.mem[page + PAGE.pair], len(objects_of(world, page))) == (2, 4)
    return page, index_array(world.kworker, world.roots[ONE_WORD], page), 2


def index_beyond(world: SmallWorld, number: int = 4) -> tuple[str, str]:
    page, array, place = first_free(world)
    set_index(world.kworker, array, place, number)
    return name_of(world, page), f"calls object {number} free, it has 4"


def index_far_beyond(world: SmallWorld) -> tuple[str, str]:
    return index_beyond(world, 255)


def index_twice(world: SmallWorld) -> tuple[str, str]:
    page, array, place = first_free(world)
    number = index_at(world.kworker, array, place + 1)
    set_index(world.kworker, array, place, number)
    return name_of(world, page), f"calls object {number} free more than once"


def entry_free(world: SmallWorld) -> tuple[str, str]:
    page, array, place = first_free(world)
    number = index_at(world.kworker, array, place)
    world.mem[entry_of(array_of(world, world.roots[ONE_WORD], 2), 0)] = int(objects_of(world, page)[number])
    return f"holds object {number} of {name_of(world, page)}", "which is also free in its slab"


def entry_twice(world: SmallWorld) -> tuple[str, str]:
    """In the arrays of two CPUs."""
    a, b = (array_of(world, world.roots[ONE_WORD], cpu) for cpu in (0, 2))
    world.mem[entry_of(b, 0)] = obj = world.mem[entry_of(a, 0)]
    return name_of(world, head_of(world.kworker, obj)), "which is in an array already"


@pytest.mark.parametrize(
    "plant", (index_beyond, index_far_beyond, index_twice, entry_free, entry_twice), ids=lambda plant: plant.__name__
)
def test_an_object_free_twice_or_none_is_named(plant):
    world = crowded()
    with undone(world):
        who, what = plant(world)
        (problem,) = snapshot(world).problems
    assert who in problem and what in problem


@pytest.mark.parametrize("beyond", (-1, 0, 1))
def test_a_pointer_to_an_array_outside_of_their_region_is_none(beyond):
    world = crowded()
    base, words = world.layout.plan.regions["arrays"]
    at = base + beyond if beyond < 0 else base + words + beyond
    with undone(world):
        world.mem[world.machine(3).pcpu + world.mem[world.roots[INSIDE] + CACHE.cpu_slab] + KMEM_CACHE_ARRAY.array] = at
        w = snapshot(world)
    (array,) = (a for a in w.arrays if a.at == at)
    assert (len(array.entries), array.room) == (0, 0)
    assert w.problems == [f"the cpu array of CPU 3 of cache 0 (16 B) is said to be at word {at}"]


def test_a_world_without_a_slab_is_reported():
    """No frame says that it is one; objects are handed out, and wait in arrays."""
    world = crowded()
    with undone(world):
        world.words[MEM_MAP + np.arange(world.layout.last_frame) * PAGE.SIZE + PAGE.kind] = 0
        assert {"freelists", "inuse"} <= world.check().broken()
