"""Sheaves of a broken SLUB: each fault is caught by the invariant it breaks, and what is right is no fault."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from small_world import SmallWorld, damage, undone
from test_kfree_rcu import free_later

from allocators.core.kmem_cache import CACHE
from allocators.sheaf_settings import SheafSettings
from allocators.slub.rcu_words import RCU_FLUSH_SHEAF, RCU_FREE_SHEAF
from allocators.slub.sheaf_state import BARN, PCS, POOL, SHEAF, barn_of, pcs_of, pool_of, sheaf_count
from shm.ring import ITEM, RING

CAPACITY = 10


class Busy:
    """Two caches have sheaves at CPUs (the kworker's none but its first), in the barn, and waiting for a grace period,
    full ones and others."""

    def __init__(self) -> None:
        settings = SheafSettings(capacity=CAPACITY, max_full=3)
        self.world = world = SmallWorld("linux-7.0", sizes=(64, 128), sheaves=settings)
        self.mem, self.m, self.root = world.mem, world.kworker, world.roots[0]
        self.queue = world.layout.plan["rcu_queue"]
        for cache in (0, 1):
            held = world.alloc(0, cache, count=100)
            free_later(world, 1, held[:3])
            world.shrink(cache)
            free_later(world, 1, held[3:16])
            world.free(1, held[16:70])
            world.alloc(0, cache, count=15)
        assert world.check().violated == []
        self.first = pool_of(self.m, self.root) + POOL.SIZE  # sheaf of the first cache
        self.end = self.first + sheaf_count(3, 1, settings) * (SHEAF.SIZE + CAPACITY)

    def cpu(self, cpu: int, field: str) -> int:
        """Where a CPU has its main, spare or rcu_free sheaf."""
        return pcs_of(self.m, self.root, cpu) + getattr(PCS, field)

    def barn(self, field: str) -> int:
        return barn_of(self.m, self.root, 0) + getattr(BARN, field)

    def unused(self) -> Iterator[int]:
        """Where each unused sheaf is named, and at last where none is."""
        at = pool_of(self.m, self.root) + POOL.unused
        while at:
            yield at
            at = self.mem[at] and self.mem[at] + SHEAF.next

    def item(self, number: int) -> int:
        return self.queue + RING.SIZE + number % self.mem[self.queue + RING.capacity] * ITEM.SIZE

    def waiting(self, func: int) -> int:
        """The first sheaf that waits so."""
        items = map(self.item, range(self.mem[self.queue + RING.head], self.mem[self.queue + RING.tail]))
        return next(self.mem[at + ITEM.a] for at in items if self.mem[at + ITEM.func] == func)

    def wait(self, sheaf: int) -> None:
        """One more waits."""
        at = self.item(self.mem[self.queue + RING.tail])
        self.mem[at + ITEM.func], self.mem[at + ITEM.a] = RCU_FREE_SHEAF, sheaf
        self.mem[self.queue + RING.tail] += 1

    def hand_out(self, sheaf: int, count: int) -> None:
        """Its last objects are handed out."""
        for _ in range(count):
            self.mem[sheaf + SHEAF.size] -= 1
            self.world.live[self.mem[sheaf + SHEAF.objects + self.mem[sheaf + SHEAF.size]]] += 1


@functools.cache
def busy_world() -> Busy:
    return Busy()


def store(where: Callable[[Busy], int], what: Callable[[Busy], int]) -> Callable[[Busy], None]:
    return lambda b: b.mem.__setitem__(where(b), what(b))


def main_sheaf_unused(b: Busy) -> None:
    """As often as all others it is in one place: where it should not be."""
    top, at = next(b.unused()), b.cpu(2, "main")
    b.mem[b.mem[at] + SHEAF.next], b.mem[top], b.mem[at] = b.mem[top], b.mem[at], 0


def unused_and_another_lost(b: Busy) -> None:
    """As many are unused as were, but one is in use, too."""
    top, second, third, *_ = b.unused()
    empty = b.mem[b.barn("empty")]
    b.mem[empty + SHEAF.next], b.mem[top], b.mem[b.barn("nr_empty")] = b.mem[third], b.mem[empty], 1
    assert b.mem[second] != b.mem[top]


def lost(b: Busy) -> None:
    top = next(b.unused())
    b.mem[top] = b.mem[b.mem[top] + SHEAF.next]


LOSES_OBJECTS = {"sheaves", "inuse", "conservation"}  # what is in a sheaf that is none is in no sheaf
FAULTS: dict[str, tuple[Callable[[Busy], None], set[str]]] = {
    "a CPU without a main sheaf": (main_sheaf_unused, {"sheaves"}),
    "a main sheaf before all of the cache's": (store(lambda b: b.cpu(2, "main"), lambda b: b.first - 14), {"sheaves"}),
    "a main sheaf that is another's": (
        store(lambda b: b.cpu(2, "main"), lambda b: b.mem[b.barn("empty")]),
        {"sheaves"},
    ),
    "a sheaf that is nowhere": (lost, {"sheaves"}),
    "a sheaf in use and unused": (unused_and_another_lost, {"sheaves"}),
    "unused sheaves that lead into the wild": (store(lambda b: list(b.unused())[-1], lambda b: 1 << 40), {"sheaves"}),
    "unused sheaves that come back": (
        store(lambda b: list(b.unused())[-1], lambda b: b.mem[next(b.unused())]),
        {"sheaves"},
    ),
    "an empty sheaf of a barn with an object": (
        damage((lambda b: b.mem[b.barn("empty")] + SHEAF.size, 1)),
        {"sheaves"},
    ),
    "what waits behind all sheaves": (lambda b: b.wait(b.end), {"sheaves"}),
    "an unused sheaf that waits": (lambda b: b.wait(b.mem[next(b.unused())]), {"sheaves"}),
    "a sheaf that waits for the barn and is not full": (
        lambda b: b.hand_out(b.waiting(RCU_FREE_SHEAF), 1),
        LOSES_OBJECTS,
    ),
    "an empty sheaf that waits": (lambda b: b.hand_out(b.waiting(RCU_FLUSH_SHEAF), 3), {"sheaves", "conservation"}),
    "a sheaf that waits with too much": (
        store(lambda b: b.waiting(RCU_FLUSH_SHEAF) + SHEAF.size, lambda b: CAPACITY + 1),
        LOSES_OBJECTS,
    ),
    "sheaves that begin in the wild": (store(lambda b: b.root + CACHE.sheaves, lambda b: 1 << 40), LOSES_OBJECTS),
    "sheaves that begin behind all caches'": (
        store(
            lambda b: b.root + CACHE.sheaves,
            lambda b: b.mem[b.root + CACHE.sheaves] + (b.world.layout.sheaf_words << 10),
        ),
        LOSES_OBJECTS,
    ),
    "sheaves that are smaller than nothing": (
        store(lambda b: b.root + CACHE.sheaf_capacity, lambda b: -SHEAF.SIZE),
        LOSES_OBJECTS,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault):
    plant, expected = FAULTS[fault]
    busy = busy_world()
    with undone(busy.world):
        plant(busy)
        report = busy.world.check()
    assert report.broken() == expected, report.violated


@pytest.mark.parametrize("capacity", (1, 64))
def test_the_smallest_and_the_largest_sheaves_are_sound(capacity):
    """64: there is no room for more in a segment that was planned for a kernel's."""
    world = SmallWorld("linux-7.0", sizes=(64,), sheaves=SheafSettings(capacity=capacity))
    world.free(1, world.alloc(0, 0, count=2 * capacity))
    assert world.check().violated == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wild", (-1, 1 << 40, -(1 << 63)))
def test_a_wild_word_that_says_where_sheaves_are_is_a_finding(wild):
    """In descriptors, CPUs, barns and lists, and in what waits for a grace period; no exception."""
    b = busy_world()
    places = {
        b.root + CACHE.sheaves,
        b.root + CACHE.sheaf_capacity,
        next(b.unused()),
        b.mem[b.barn("full")] + SHEAF.next,
    }
    places |= {b.cpu(cpu, field) for cpu in range(3) for field in ("main", "spare", "rcu_free")}
    places |= {b.barn(field) for field in ("full", "nr_full", "empty", "nr_empty")}
    places |= {b.item(b.mem[b.queue + RING.head]) + ITEM.a}
    for at in places:
        with undone(b.world):
            b.mem[at] = wild
            assert "sheaves" in b.world.check().broken(), at
