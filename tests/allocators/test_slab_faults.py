"""Memory and code of a broken SLAB: each fault is caught by the invariant it breaks."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from small_world import damage, undone
from test_slab import array_of, slab_node, slab_world

from allocators.core.kmem_cache import CACHE, CACHE_LIVE, NODE
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import MEM_MAP, WORLD, WORLD_AT
from allocators.invariants.accounting import totals
from allocators.invariants.slab_snapshot import FREE, FULL, PARTIAL, SlabSnapshot
from allocators.slab import alloc, drain, free
from allocators.slab.state import (
    ARRAY_CACHE,
    KMEM_CACHE_ARRAY,
    SLAB_NODE,
    SLAB_STAT,
    STATISTICS,
    alien_array,
    entry_of,
    first_object,
    index_array,
    index_at,
    pop,
    push,
    set_index,
)


class Busy:
    """A world of two nodes with slabs on all lists, objects in all kinds of array, a child alive and one dead."""

    def __init__(self) -> None:
        self.world = world = slab_world("linux-3.16", cpus=4, nodes=2, memory=8 << 20, by_rcu=(2,))
        self.mem, self.m = world.mem, world.kworker
        self.root = world.roots[0]
        world.alloc(0, 1)  # of the first slab of all
        held = world.child_with_objects(1, 0, 200)
        world.free(1, held[:100])
        world.offline(1)
        world.child_with_objects(2, 1, 40)
        world.alloc(0, 2, count=9)
        held = world.alloc(0, 0, count=900)
        world.free(0, held[:300])
        world.free(2, held[300:310])  # CPU 2 sits on node 1
        held = world.alloc(2, 2, count=200)
        world.free(2, held)  # some slabs wait for a grace period
        assert world.check().violated == []
        self.snapshot = SlabSnapshot(self.m, world.layout)

    def slab(self, place: str) -> int:
        """PAGE of the first slab of a list of this sort."""
        return MEM_MAP + next(s for s in self.snapshot.lists if s.place == place).frames[0] * PAGE.SIZE

    def first_slab(self) -> int:
        """PAGE of the first slab of all."""
        return MEM_MAP + int(self.snapshot.frames[0]) * PAGE.SIZE

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


def handed_out_and_free(b: Busy) -> None:
    """A free object of a slab is handed out, and another one of it is not any more."""
    page = b.slab(PARTIAL)
    s = b.mem[page + PAGE.slab_cache]
    number = index_at(b.m, index_array(b.m, s, page), b.mem[page + PAGE.pair])
    b.world.live[next(obj for obj in b.world.live.elements() if head_of(b.m, obj) == page)] -= 1
    b.world.live[first_object(b.m, s, page) + number * b.mem[s + CACHE.size]] += 1


def handed_out(times: int) -> Callable[[Busy], None]:
    """So many times more an object is handed out that is so once."""

    def plant(b: Busy) -> None:
        b.world.live[next(b.world.live.elements())] += times

    return plant


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
    push(b.m, array_of(b.world, b.root, 2), pop(b.m, alien))


def object_for_cache(cache: int) -> Callable[[Busy], None]:
    """An object of cache 1, which lies in the first slab of all, goes to another cache's array."""

    def plant(b: Busy) -> None:
        source, to = (array_of(b.world, b.world.roots[i], 0) for i in (1, cache))
        push(b.m, to, pop(b.m, source))
        assert head_of(b.m, b.mem[entry_of(to, b.mem[to + ARRAY_CACHE.avail] - 1)]) == b.first_slab()

    return plant


def active_of_a_partial_slab(more: int) -> Callable[[Busy], None]:
    """So many more objects than the slab has are active."""

    def plant(b: Busy) -> None:
        page = b.slab(PARTIAL)
        b.mem[page + PAGE.pair] = b.mem[b.mem[page + PAGE.slab_cache] + CACHE.oo_objects] + more

    return plant


def slab_of_node(node: int) -> Callable[[Busy], None]:
    """A slab of the last descriptor, which is no cache else, is said to lie on a node that is none."""

    def plant(b: Busy) -> None:
        layout = b.world.layout
        last = layout.plan["caches"] + (layout.limits.caches - 1) * CACHE.SIZE
        b.mem[last + CACHE.state] = CACHE_LIVE
        b.mem[b.slab(FREE) + PAGE.slab_cache] = last
        b.mem[b.slab(FREE) + PAGE.node] = node

    return plant


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


NOWHERE = {"pages_conserved", "one_state", "list_counts", "freelists", "arrays", "registry"}

FAULTS = {
    "an object twice in an array": (free_object_twice, {"freelists"}),
    "an object in an array and handed out": (handed_out_and_in_an_array, {"inuse", "conservation"}),
    "an object in use that is free": (handed_out_and_free, {"inuse"}),
    "an object handed out twice": (handed_out(1), {"inuse", "conservation"}),
    "an object handed out and forgotten": (handed_out(-1), {"inuse", "conservation"}),
    "an object twice in an index array": (index_twice, {"freelists"}),
    "a wild number in an index array": (wild_index, {"freelists"}),
    "an object in the array of another node": (object_of_another_node, {"arrays"}),
    "an object in the array of an earlier cache": (object_for_cache(0), {"arrays"}),
    "an object in the array of a later cache": (object_for_cache(2), {"arrays"}),
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
        damage((lambda b: b.first_slab() + PAGE.pair, -1)),
        {"one_state", "list_counts", "inuse", "conservation"},
    ),
    "a full slab on a list of partial ones": (
        active_of_a_partial_slab(0),
        {"one_state", "list_counts", "inuse", "conservation"},
    ),
    "a slab more than full on a list of partial ones": (
        active_of_a_partial_slab(1),
        {"one_state", "list_counts", "freelists", "inuse", "conservation"},
    ),
    "a slab on no list": (drop_from_list, {"one_state"}),
    "a broken back link": (
        damage((lambda b: b.mem[b.node_with(FULL, 2) + SLAB_NODE.slabs_full + 1] + PAGE.prev, 8)),
        {"list_counts"},
    ),
    "a slab of an earlier cache": (
        lambda b: b.mem.__setitem__(b.slab(FREE) + PAGE.slab_cache, b.world.roots[1]),
        {"one_state", "list_counts", "freelists"},
    ),
    "a slab of a later cache": (
        lambda b: b.mem.__setitem__(b.slab(FREE) + PAGE.slab_cache, b.world.child(1, 2)),
        {"one_state", "list_counts", "freelists", "references"},
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
    "a slab of the node after the last": (slab_of_node(2), NOWHERE),
    "a slab of a node beyond all": (slab_of_node(1000), NOWHERE),
    "a reference too many": (lambda b: b.mem.__setitem__(b.world.child(1, 2) + CACHE.refcnt, 77), {"references"}),
}

SAID = {
    "an object in use that is free": "handed out and free in its slab",
    "an object in an array and handed out": "handed out and in an array",
    "an array that is none": "of cache 0 (64 B) is said to be at word",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault):
    plant, expected = FAULTS[fault]
    busy = busy_world()
    with undone(busy.world):
        plant(busy)
        report = busy.world.check()
    assert report.broken() == expected, report.violated
    assert SAID.get(fault, "") in str(report.violated)


def test_what_was_destroyed_is_what_the_reaper_and_shrink_destroyed_at_most():
    """Slabs that wait for a grace period are destroyed."""
    busy = busy_world()
    waiting, (_, operations) = np.count_nonzero(busy.snapshot.discarded), totals(busy.snapshot, STATISTICS)
    assert waiting and operations["page_free"]
    with undone(busy.world):
        busy.mem[WORLD_AT + WORLD.shrink_discarded] = waiting + operations["page_free"]
        assert busy.world.check().violated == []
        busy.mem[WORLD_AT + WORLD.shrink_discarded] += 1
        assert busy.world.check().broken() == {"conservation"}


def test_a_cache_of_single_objects_is_sound():
    """A limit of one object, as of large ones: so have its alien arrays. All that is taken is used; memory runs out."""
    world = slab_world(sizes=(200_000,), cpus=4, nodes=2, memory=16 << 20)
    assert world.mem[world.roots[0] + CACHE.limit] == 1
    objects = world.alloc(0, 0, count=100)
    assert 0 < len(objects) < 100
    assert world.check().violated == []
    world.free(2, objects)
    assert world.check().violated == []


@pytest.mark.parametrize("limit, alien", ((0, 1), (1, 1), (2, 12)))
def test_alien_arrays_of_small_limits_are_sound(limit, alien):
    """A child is made with the limit that its root has then."""
    world = slab_world(cpus=2, nodes=2)
    at = world.roots[0] + CACHE.limit
    with_it, world.mem[at] = world.mem[at], limit
    world.create(1)
    world.alloc(0, 0, 1)
    world.work()
    world.mem[at] = with_it
    child = world.child(0, 1)
    assert world.mem[alien_array(world.kworker, slab_node(world, child, 1), 0) + ARRAY_CACHE.limit] == alien
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
