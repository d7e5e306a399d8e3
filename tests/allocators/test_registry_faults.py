"""Who knows whom: what `registry` says of each wrong word is what a plain reading of the same memory says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from small_world import SmallWorld, undone
from test_books import Children
from test_censuses import mixed

from allocators.core.kmem_cache import CACHE, CACHE_LIVE
from allocators.core.page_alloc import ZONE
from allocators.core.world import WORLD, WORLD_AT
from allocators.invariants.registry import locks, registry
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import MEMCG, SLOT_PENDING
from shm.machine import CPU
from shm.ring import RING

# The memcg of a child that is gone is the root cgroup; it is in its slot no more; it is where it was.
DESIGNS = ("linux-5.3", "linux-4.0", "v1")
LISTS = ("slab_caches", "cache_free", "reparented", "memcg_free")
TALLIES = ("nr_caches", "offlined", "destroyed", "cgroups_online", "cgroups_offline")
FIELDS = ("state", "next", "prev", "root", "memcg", "memcg_next", "memcg_prev", "offline", "slots", "index")


class Plain:
    """The same memory, read word by word. name: how messages call a cache."""

    name: Callable[[int], str]

    def __init__(self, world: SmallWorld) -> None:
        self.mem, self.plan, self.limits = world.mem, world.layout.plan, world.layout.limits
        self.caches = [self.plan["caches"] + i * CACHE.SIZE for i in range(self.limits.caches)]
        self.memcgs = [self.plan["memcgs"] + i * MEMCG.SIZE for i in range(self.limits.memcgs)]
        base, size = self.plan.regions["slots"]
        self.arrays = range(base, base + size - self.limits.memcgs + 1, self.limits.memcgs)
        self.has = world.kworker.has

    def world(self, field: str) -> int:
        return self.mem[WORLD_AT + getattr(WORLD, field)]

    def of(self, cache: int, field: str) -> int:
        return self.mem[self.caches[cache] + getattr(CACHE, field)]

    def live(self) -> list[int]:
        return [i for i in range(len(self.caches)) if self.of(i, "state") == CACHE_LIVE]

    def number(self, address: int, live: bool = False) -> int:
        there = address in self.caches and (not live or self.of(self.caches.index(address), "state") == CACHE_LIVE)
        return self.caches.index(address) if there else -1

    def memcg(self, address: int) -> int:
        return self.memcgs.index(address) if address in self.memcgs else -1

    def is_gone(self, cache: int, *features: str) -> bool:
        return self.of(cache, "offline") != 0 and any(map(self.has, features))

    def follow(self, at: int, forward: int, back: int = 0) -> tuple[list[int], str]:
        found: list[int] = []
        while at:
            i, before = self.number(at), self.caches[found[-1]] if found else 0
            if i == -1:
                return found, f"leads to word {at}, which is no cache descriptor"
            if i in found:
                return found, f"comes back to cache {i}"
            if back and self.mem[at + back] != before:
                return found, f"has cache {i} with prev {self.mem[at + back]}, its predecessor is {before}"
            found.append(i)
            at = self.mem[at + forward]
        return found, ""

    def findings(self) -> Iterator[str]:
        listed, wrong = self.follow(self.world("slab_caches"), CACHE.next, CACHE.prev)
        free, broken = self.follow(self.world("cache_free"), CACHE.next)
        yield from (f"slab_caches {wrong}" for _ in range(wrong != ""))
        yield from (f"the list of free cache descriptors {broken}" for _ in range(broken != ""))
        for caches, name, right in ((listed, "slab_caches", CACHE_LIVE), (free, "the list of free descriptors", 0)):
            for i in [i for i in caches if self.of(i, "state") != right][:1]:
                yield f"cache {i} is on {name} and its state is {self.of(i, 'state')}"
        if wrong == broken == "":
            for i in range(len(self.caches)):
                if i not in listed and i not in free:
                    yield f"{self.name(i)} is on no list (state {self.of(i, 'state')})"
            if self.world("nr_caches") != len(listed):
                yield f"nr_caches is {self.world('nr_caches')}, slab_caches has {len(listed)}"
        yield from self.slots()
        yield from self.children()
        yield from self.free_memcgs()
        table = self.plan["cache_table"]
        for index in range(self.limits.cache_indices):
            i = self.number(self.mem[table + index], live=True)
            if self.mem[table + index] and (i == -1 or self.of(i, "index") != index):
                yield f"cache index {index} leads to word {self.mem[table + index]}, {self.name(i)}"
        left = sum(self.of(i, "offline") != 0 for i in self.live())
        if self.world("offlined") != self.world("destroyed") + left:
            yield (
                f"{self.world('offlined')} caches went offline, {self.world('destroyed')} of them were destroyed and "
                f"{left} are left"
            )

    def slots(self) -> Iterator[str]:
        out = "F_CSS", "F_REPARENT", "F_REPARENT_SLABS"
        for root in (i for i in self.live() if self.of(i, "root") == 0):
            array = self.of(root, "slots")
            if array not in self.arrays:
                yield f"{self.name(root)}: its slot array is said to be at word {array}"
                continue
            for i in range(self.limits.memcgs):
                word = self.mem[array + i]
                c = self.number(word, live=True)
                if word in (0, SLOT_PENDING):
                    continue
                knows = c != -1 and self.of(c, "root") == self.caches[root] and self.memcg(self.of(c, "memcg")) == i
                if not knows or self.is_gone(c, *out):
                    yield f"{self.name(root)}: slot {i} is word {word}, {self.name(c)}"
        for child in (i for i in self.live() if self.of(i, "root") != 0):
            root, memcg = self.number(self.of(child, "root"), live=True), self.memcg(self.of(child, "memcg"))
            if root == -1 or (memcg == -1 and not self.is_gone(child, "F_REPARENT")):
                yield f"{self.name(child)}: its root or its memcg does not exist"
            elif memcg != -1 and self.of(root, "slots") in self.arrays and not self.is_gone(child, *out):
                held = self.mem[self.of(root, "slots") + memcg]
                if held != self.caches[child]:
                    yield f"{self.name(child)} is not in its slot, which is word {held}"

    def children(self) -> Iterator[str]:
        times = [0] * len(self.caches)
        firsts = {i: self.mem[at + MEMCG.children] for i, at in enumerate(self.memcgs) if self.mem[at + MEMCG.used]}
        for memcg, first in (firsts | {-1: self.world("reparented")}).items():
            found, wrong = self.follow(first, CACHE.memcg_next, CACHE.memcg_prev)
            if wrong:
                yield f"the children of memcg {memcg}: the list {wrong}"
            for i in found:
                times[i] += 1
                if self.of(i, "state") != CACHE_LIVE or self.memcg(self.of(i, "memcg")) != memcg:
                    yield f"{self.name(i)} (state {self.of(i, 'state')}) is among the children of memcg {memcg}"
        for i in self.live():
            if times[i] != (self.of(i, "root") != 0):
                yield f"{self.name(i)} is on {times[i]} lists of children"

    def free_memcgs(self) -> Iterator[str]:
        free: list[int] = []
        at = self.world("memcg_free")
        while at:
            i = self.memcg(at)
            if i == -1 or i in free:
                yield f"the list of free memcgs {f'leads to word {at}' if i == -1 else f'comes back to {i}'}"
                return
            free.append(i)
            at = self.mem[at + MEMCG.next_free]
        used = [self.mem[at + MEMCG.used] != 0 for at in self.memcgs]
        online = [self.mem[at + MEMCG.online] != 0 for at in self.memcgs]
        for i in range(len(self.memcgs)):
            if used[i] == (i in free):
                yield f"memcg {i} is {'in use and' if used[i] else 'not in use and not'} on the list of free ones"
        for field, right in (("cgroups_online", True), ("cgroups_offline", False)):
            now = sum(u and o == right for u, o in zip(used, online))
            if self.world(field) != now:
                yield f"{field} is {self.world(field)}, there are {now}"


def words_of(world: SmallWorld, plain: Plain) -> Iterator[int]:
    """What is looked at: lists, tallies, a few descriptors of each kind, slots, the table."""
    yield from (WORLD_AT + getattr(WORLD, field) for field in (*LISTS, *TALLIES))
    live = plain.live()
    gone = [i for i in live if plain.of(i, "offline")]
    free = next(i for i in range(len(plain.caches)) if i not in live)
    for i in sorted({live[0], live[-1], *gone[:2], *[i for i in live if plain.of(i, "root")][-2:], free}):
        yield from (plain.caches[i] + getattr(CACHE, field) for field in FIELDS)
    for at in plain.memcgs:
        yield from (at + getattr(MEMCG, field) for field in ("used", "online", "children", "next_free"))
    for array in (plain.of(i, "slots") for i in live[:2]):
        yield from range(array, array + plain.limits.memcgs)
    yield from (plain.plan["cache_table"] + index for index in range(4))


def values(plain: Plain, was: int) -> set[int]:
    """What a word may be instead: near, nothing, wild, or what others are."""
    live = plain.live()
    pointers = {0, plain.caches[0], plain.caches[live[-1]], plain.caches[-1], *plain.memcgs[1:3]}
    arrays = {plain.arrays[0], plain.arrays[-1] + 1, plain.arrays[-1] + plain.limits.memcgs}
    return {was - 1, was + 1, -1, SLOT_PENDING, *pointers, *arrays} - {was}


@functools.cache
def world_of(design: str) -> SmallWorld:
    return Children(design).world


@pytest.mark.parametrize("design", DESIGNS)
def test_it_says_what_a_plain_reading_says(design):
    world = world_of(design)
    plain = Plain(world)
    assert list(registry(Snapshot(world.kworker, world.layout))) == list(plain.findings()) == []
    differ, silent, heard = [], 0, 0
    for at in sorted(set(words_of(world, plain))):
        was = world.mem[at]
        for value in sorted(values(plain, was)):
            world.mem[at] = value
            w = Snapshot(world.kworker, world.layout)
            plain.name = w.cache_name
            found, right = sorted(registry(w)), sorted(plain.findings())
            differ += [(at, was, value, found, right)] * (found != right)
            silent, heard = silent + (not found), heard + bool(found)
        world.mem[at] = was
    assert differ == [] and heard > silent


def test_roots_behind_one_without_slots_are_looked_at_too():
    world = world_of("v1")
    plain = Plain(world)
    first, *_, last = (i for i in plain.live() if plain.of(i, "root") == 0)
    slot = plain.of(last, "slots")
    with undone(world):
        world.mem[plain.caches[first] + CACHE.slots] = world.mem[slot] = -5
        found = [text for text in registry(Snapshot(world.kworker, world.layout)) if "word -5" in text]
    assert "its slot array" in found[0] and any(": slot 0 is word -5" in text for text in found[1:])


@pytest.mark.parametrize("place", ("slot", "root"))
def test_what_is_no_cache_is_not_taken_for_the_last_descriptor(place):
    """Which a number of -1 reads, and which may say what it likes as long as it is free."""
    world = world_of("v1")
    plain = Plain(world)
    child = next(i for i in plain.live() if plain.of(i, "root") and not plain.of(i, "offline"))
    root, memcg = plain.of(child, "root"), plain.memcg(plain.of(child, "memcg"))
    slot = plain.of(plain.number(root), "slots") + memcg
    last = plain.caches[-1]
    words = {
        last + CACHE.root: root, last + CACHE.memcg: plain.of(child, "memcg"), last + CACHE.slots: plain.arrays[-1],
        slot if place == "slot" else plain.caches[child] + CACHE.root: -5,
    }  # fmt: skip
    with undone(world):
        for at, word in words.items():
            world.mem[at] = word
        w = Snapshot(world.kworker, world.layout)
        plain.name = w.cache_name
        assert sorted(registry(w)) == sorted(plain.findings()) != []


def test_each_lock_that_is_held_is_named():
    world = mixed("v1", "slub")
    plan, area = world.layout.plan, world.layout.area
    names = {plan["zones"] + n * ZONE.SIZE + ZONE.lock: f"the zone lock of node {n}" for n in (0, 1)}
    names |= {plan[ring] + RING.lock: f"the lock of the {ring}" for ring in ("workqueue", "rcu_queue")}
    names |= {area(cpu) + CPU.ipi_lock: f"the interrupt mailbox of CPU {cpu}" for cpu in range(world.cpus)}
    names |= {WORLD_AT + getattr(WORLD, name): name for name in ("slab_mutex", "memcg_slab_mutex")}
    for at, name in names.items():
        world.mem[at] = 2
        assert list(locks(Snapshot(world.kworker, world.layout))) == [f"{name} is held by CPU 1"]
        world.mem[at] = 0
