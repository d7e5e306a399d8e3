"""Memory and code of a broken SLAB: each fault is caught by the invariant it breaks."""

from __future__ import annotations

import functools

import pytest
from small_world import damage, undone
from test_slab import array_of, slab_node, slab_world

from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.page_alloc import PAGE
from allocators.core.world import MEM_MAP
from allocators.invariants.slab_snapshot import FREE, FULL, PARTIAL, SlabSnapshot
from allocators.slab import alloc, drain, free
from allocators.slab.state import (
    ARRAY_CACHE,
    KMEM_CACHE_ARRAY,
    SLAB_NODE,
    SLAB_STAT,
    alien_array,
    entry_of,
    index_array,
    index_at,
    set_index,
)


class Busy:
    """A world of two nodes with slabs on all lists, objects in all kinds of array, a child alive and one dead."""

    def __init__(self) -> None:
        self.world = world = slab_world("linux-3.16", cpus=4, nodes=2, memory=8 << 20)
        self.mem, self.m = world.mem, world.kworker
        self.root = world.roots[0]
        held = world.child_with_objects(1, 0, 200)
        world.free(1, held[:100])
        world.offline(1)
        world.child_with_objects(2, 1, 40)
        world.alloc(0, 2, count=9)
        held = world.alloc(0, 0, count=900)
        world.free(0, held[:300])
        world.free(2, held[300:310])  # CPU 2 sits on node 1
        held = world.alloc(2, 2, count=200)
        world.free(2, held)
        assert world.check().violated == []
        self.snapshot = SlabSnapshot(self.m, world.layout)

    def slab(self, place: str) -> int:
        """PAGE of the first slab of a list of this sort."""
        return MEM_MAP + next(s for s in self.snapshot.lists if s.place == place).frames[0] * PAGE.SIZE

    def node_with(self, place: str, least: int = 1) -> int:
        """A SLAB_NODE that has so many slabs on this list."""
        found = next(s for s in self.snapshot.lists if s.place == place and len(s.frames) >= least)
        return slab_node(self.world, self.snapshot.cache_at(found.cache), found.number)

    def array(self) -> int:
        return array_of(self.world, self.root, 0)


@functools.cache
def busy_world() -> Busy:
    return Busy()


def free_object_twice(b: Busy) -> None:
    ac = b.array()
    b.mem[entry_of(ac, 0)] = b.mem[entry_of(ac, 1)]


def handed_out_and_in_an_array(b: Busy) -> None:
    ac = b.array()
    avail = b.mem[ac + ARRAY_CACHE.avail]
    b.world.live[b.mem[entry_of(ac, avail - 1)]] += 1


def index_twice(b: Busy) -> None:
    page = b.slab(PARTIAL)
    s = b.mem[page + PAGE.slab_cache]
    active = b.mem[page + PAGE.pair]
    if b.mem[s + CACHE.oo_objects] - active < 2:
        raise AssertionError("the slab has one free object only")
    array = index_array(b.m, s, page)
    set_index(b.m, array, active, index_at(b.m, array, active + 1))


def wild_index(b: Busy) -> None:
    page = b.slab(PARTIAL)
    s = b.mem[page + PAGE.slab_cache]
    set_index(b.m, index_array(b.m, s, page), b.mem[page + PAGE.pair], 255)


def object_of_another_node(b: Busy) -> None:
    alien = alien_array(b.m, slab_node(b.world, b.root, 1), 0)
    ac = array_of(b.world, b.root, 2)
    obj = b.mem[entry_of(alien, b.mem[alien + ARRAY_CACHE.avail] - 1)]
    b.mem[alien + ARRAY_CACHE.avail] -= 1
    b.mem[entry_of(ac, b.mem[ac + ARRAY_CACHE.avail])] = obj
    b.mem[ac + ARRAY_CACHE.avail] += 1


def object_of_another_cache(b: Busy) -> None:
    """The last object of an array, which lies in the first slab of all, goes to another cache's array."""
    first = next(a for a in b.snapshot.arrays if len(a.entries) and 0 in b.snapshot.locate(a.entries)[0])
    other = next(
        a for a in b.snapshot.arrays if a.place == first.place and a.cache != first.cache and a.avail < a.limit
    )
    at = first.entries.tolist().index(first.entries[b.snapshot.locate(first.entries)[0] == 0][0])
    obj = b.mem[entry_of(first.at, at)]
    b.mem[entry_of(first.at, at)] = b.mem[entry_of(first.at, first.avail - 1)]
    b.mem[first.at + ARRAY_CACHE.avail] -= 1
    b.mem[entry_of(other.at, other.avail)] = obj
    b.mem[other.at + ARRAY_CACHE.avail] += 1


def array_beyond_all_arrays(b: Busy) -> None:
    base, words = b.world.layout.plan.regions["arrays"]
    b.mem[b.world.machine(0).pcpu + b.mem[b.root + CACHE.cpu_slab] + KMEM_CACHE_ARRAY.array] = base + words


def drop_from_list(b: Busy) -> None:
    n = b.node_with(FULL)
    page = b.mem[n + SLAB_NODE.slabs_full]
    after = b.mem[page + PAGE.next]
    b.mem[n + SLAB_NODE.slabs_full] = after
    b.mem[after + PAGE.prev] = 0


def stats_word(b: Busy, item: int) -> int:
    return b.world.machine(0).pcpu + b.mem[b.root + CACHE.stats] + item


FAULTS = {
    "an object twice in an array": (free_object_twice, {"freelists", "inuse"}),
    "an object in an array and handed out": (handed_out_and_in_an_array, {"inuse", "conservation"}),
    "an object twice in an index array": (index_twice, {"freelists"}),
    "a wild number in an index array": (wild_index, {"freelists"}),
    "an object in the array of another node": (object_of_another_node, {"arrays"}),
    "an object in the array of another cache": (object_of_another_cache, {"arrays"}),
    "a head beyond the mem_map": (
        lambda b: b.mem.__setitem__(b.slab(PARTIAL) + PAGE.head, MEM_MAP + (b.world.layout.last_frame + 9) * PAGE.SIZE),
        {"pages_conserved", "inuse", "freelists"},
    ),
    "an array that is none": (array_beyond_all_arrays, {"freelists", "arrays", "inuse"}),
    "an array above its limit": (damage((lambda b: b.array() + ARRAY_CACHE.limit, -90)), {"arrays"}),
    "a CPU without an array": (
        lambda b: b.mem.__setitem__(
            b.world.machine(0).pcpu + b.mem[b.root + CACHE.cpu_slab] + KMEM_CACHE_ARRAY.array, 0
        ),
        {"arrays", "inuse"},
    ),
    "free_objects too many": (damage((lambda b: b.node_with(PARTIAL) + SLAB_NODE.free_objects, 1)), {"list_counts"}),
    "nr_slabs too few": (damage((lambda b: b.mem[b.root + CACHE.node] + NODE.nr_slabs, -1)), {"list_counts"}),
    "active too few": (
        damage((lambda b: b.slab(FULL) + PAGE.pair, -1)),
        {"one_state", "list_counts", "inuse", "conservation"},
    ),
    "a slab on no list": (drop_from_list, {"one_state"}),
    "a broken back link": (
        damage((lambda b: b.mem[b.node_with(FULL, 2) + SLAB_NODE.slabs_full + 1] + PAGE.prev, 8)),
        {"list_counts"},
    ),
    "a slab on the wrong list": (
        lambda b: b.mem.__setitem__(b.slab(FREE) + PAGE.slab_cache, b.world.roots[1]),
        {"one_state", "list_counts", "freelists"},
    ),
    "a list_lock that is held": (damage((lambda b: slab_node(b.world, b.root) + SLAB_NODE.list_lock, 2)), {"locks"}),
    "an alien lock that is held": (
        damage((lambda b: alien_array(b.m, slab_node(b.world, b.root, 1), 0) + ARRAY_CACHE.lock, 1)),
        {"locks"},
    ),
    "an allocation not counted": (damage((lambda b: stats_word(b, SLAB_STAT.allochit), -1)), {"conservation"}),
    "a free counted twice": (damage((lambda b: stats_word(b, SLAB_STAT.freehit), 1)), {"conservation"}),
    "num_active too many": (damage((lambda b: b.root + CACHE.num_active, 1)), {"conservation"}),
    "a slab of no node": (
        lambda b: b.mem.__setitem__(b.slab(FULL) + PAGE.node, -1),
        {"pages_conserved", "list_counts", "one_state"},
    ),
    "a reference too many": (lambda b: b.mem.__setitem__(b.world.child(1, 2) + CACHE.refcnt, 77), {"references"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault):
    plant, expected = FAULTS[fault]
    busy = busy_world()
    with undone(busy.world):
        plant(busy)
        report = busy.world.check()
    assert report.broken() and report.broken() <= expected, report.violated
    assert ("said to be at word" in str(report.violated)) == (fault == "an array that is none")


def test_a_cache_of_single_objects_is_sound():
    """A limit of one object, as of large ones: so have its alien arrays."""
    world = slab_world(sizes=(200_000,), cpus=4, nodes=2, memory=16 << 20)
    assert world.mem[world.roots[0] + CACHE.limit] == 1
    world.free(2, world.alloc(0, 0, count=4))
    assert world.check().violated == []


@pytest.mark.parametrize("design", ("v1", "v2", "v3"))
def test_only_the_dead_of_v3_have_no_arrays(design):
    """All three mark dead caches; an array that comes or goes is found in a dead cache and in a live one."""
    world = slab_world(design)
    objects = world.child_with_objects(1, 0, 200)
    world.child_with_objects(2, 0, 40)
    world.offline(1)
    world.free(1, objects[:100])
    assert world.check().violated == []
    dead, alive = world.child(0, 1), world.child(0, 2)
    assert world.mem[dead + CACHE.dead] and not world.mem[alive + CACHE.dead]
    assert (array_of(world, dead, 0) == 0) == (design == "v3") and array_of(world, alive, 0)
    for s in (dead, alive):
        with undone(world):
            at = world.machine(0).pcpu + world.mem[s + CACHE.cpu_slab] + KMEM_CACHE_ARRAY.array
            world.mem[at] = 0 if world.mem[at] else array_of(world, alive, 0)
            assert "arrays" in world.check().broken()


def skip(*_args):
    """A step left out."""


def broken_push(original):
    """Every 50th object freed is put into the array twice, the second time over the one below it."""
    state = {"n": 0}

    def push(m, ac, obj):
        original(m, ac, obj)
        state["n"] += 1
        avail = m.mem[ac + ARRAY_CACHE.avail]
        if state["n"] % 50 == 0 and avail > 1:
            m.mem[entry_of(ac, avail - 2)] = obj

    return push


BROKEN = {
    "a free leaves `active` as it was": (free, "write_once", lambda original: skip),
    "a flush forgets to shorten the array": (free, "drop_oldest", lambda original: skip),
    "a new slab's index array is left as it was": (alloc, "set_index", lambda original: skip),
    "an object is pushed twice": (free, "push", broken_push),
    "shrink forgets the shared array": (drain, "drop_oldest", lambda original: skip),
    "a slab's pages are given back twice": (free, "release_slab", lambda original: lambda m, s, page: skip()),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_allocator_is_caught(monkeypatch, what):
    module, name, breaks = BROKEN[what]
    world = slab_world()
    held = world.alloc(0, 0, count=100)
    monkeypatch.setattr(module, name, breaks(getattr(module, name)))
    try:
        held += world.alloc(0, 0, count=600)
        world.free(0, held[:650])
        world.shrink(0)
        world.free(1, held[650:])
    except Exception:
        return  # it broke down itself: what it left cannot be looked at
    assert world.check().violated != []
    world.close()
