"""Memory and code of a broken SLOB: each fault is caught by the invariant it breaks."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable

import pytest
from small_world import SmallWorld, damage, undone, wild_memory
from test_slob import slob_world, unit

from allocators.caches import slab_common
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import KIND_FREE_TAIL, PAGE, address_of, page_of
from allocators.core.world import MEM_MAP, OPS, PAGE_WORDS
from allocators.invariants import check
from allocators.invariants.slob_snapshot import SlobSnapshot
from allocators.slob import alloc, cache, free, state
from allocators.slob.inspect import blocks
from allocators.slob.state import OBJECT_MASK, PAGE_UNITS, SLOB, SLOB_STAT, get_unit, set_unit

MODULES = [module for name, module in sys.modules.items() if name.partition(".")[0] == "allocators"]


class Busy:
    """A world of two nodes with pages on all lists and full ones, large objects, and objects that wait."""

    def __init__(self) -> None:
        self.world = world = slob_world(sizes=(64, 600, 3000, 9000, 33), cpus=4, nodes=2, memory=8 << 20, by_rcu=(4,))
        self.mem, self.m = world.mem, world.kworker
        self.slob = world.layout.plan["slob"]
        self.held = world.alloc(0, 0, count=300)
        for cpu in (1, 2):
            world.free(cpu, [self.held.pop(i * 5) for i in range(20)])
        for cache_ in (1, 2, 3):
            world.alloc(3, cache_, count=5)
        world.free(0, world.alloc(0, 4, count=3))
        assert world.check().violated == []
        self.snapshot = SlobSnapshot(self.m, world.layout)

    def page(self, place: str = "small", least: int = 2) -> int:
        """A PAGE on a list, with so many free blocks."""
        frames = next(s for s in self.snapshot.lists if s.place == place).frames
        return next(p for p in (MEM_MAP + f * PAGE.SIZE for f in frames) if len(blocks(self.m, p)) >= least)

    def full(self) -> int:
        return next(
            MEM_MAP + int(f) * PAGE.SIZE
            for f, units, shared in zip(self.snapshot.frames, self.snapshot.units, self.snapshot.shared)
            if shared and not units
        )

    def large(self) -> int:
        return MEM_MAP + int(self.snapshot.frames[~self.snapshot.shared][0]) * PAGE.SIZE

    def objects(self, page: int) -> list[int]:
        """References to the objects of a page that are handed out, in order of address."""
        return sorted(ref for ref in +self.world.live if page_of(ref & OBJECT_MASK) == page)

    def block(self, number: int) -> tuple[int, int, int]:
        """(first word of its page, first unit, units) of a free block on the small list."""
        page = self.page(least=number + 2)
        return address_of(page), *blocks(self.m, page)[number]


@functools.cache
def busy_world() -> Busy:
    return Busy()


def shorter_block(b: Busy) -> None:
    base, block, units = b.block(0)
    set_unit(b.m, base, block, units - 1)


def longer_block(b: Busy) -> None:
    base, block, units = b.block(0)
    set_unit(b.m, base, block, units + 1)


def blocks_out_of_order(b: Busy) -> None:
    base, block, _ = b.block(1)
    set_unit(b.m, base, block + 1, blocks(b.m, page_of(base))[0][0])


def first_number(number: int) -> Callable[[Busy], None]:
    """A free block of several units begins with this instead of their number."""
    return lambda b: set_unit(b.m, *b.block(0)[:2], number)


def block_behind_the_page(b: Busy) -> None:
    """The last block of all says that there is one more."""
    page = b.page()
    last, _ = blocks(b.m, page)[-1]
    set_unit(b.m, address_of(page), last + 1, PAGE_UNITS + 1)


def block_over_the_end(b: Busy) -> None:
    page = b.page()
    last, _ = blocks(b.m, page)[-1]
    set_unit(b.m, address_of(page), last, PAGE_UNITS)


def block_split_in_two(b: Busy) -> None:
    base, block, units = b.block(0)
    after = get_unit(b.m, base, block + 1)
    state.set_block(b.m, base, block, 4, block + 4)
    state.set_block(b.m, base, block + 4, units - 4, after)


def forgotten_block(b: Busy) -> None:
    base, block, units = b.block(0)
    page = page_of(base)
    state.set_page(b.m, page, state.block_next(b.m, base, block), state.page_free_units(b.m, page) - units)


def free_and_handed_out(b: Busy) -> None:
    base, block, _ = b.block(0)
    b.world.live[base + block // 4] += 1


def off_its_list(b: Busy) -> None:
    page = b.page()
    state.list_del(b.m, page)


def on_two_lists(b: Busy) -> None:
    """The large list goes on with the first page of the small one."""
    head, page = b.slob + SLOB.large, b.page()
    last = b.mem[head + PAGE.prev]
    b.mem[last + PAGE.next] = page


def free_frame_on_a_list(b: Busy) -> None:
    frame = next(
        f for f in range(b.world.layout.last_frame) if b.mem[MEM_MAP + f * PAGE.SIZE + PAGE.kind] == KIND_FREE_TAIL
    )
    state.list_add(b.m, b.slob + SLOB.small, MEM_MAP + frame * PAGE.SIZE)


def in_two_hands(b: Busy) -> None:
    b.world.live[b.held[0]] += 1


def large_in_two_hands(b: Busy) -> None:
    ref = next(ref for ref in b.world.live if page_of(ref & OBJECT_MASK) == b.large())
    b.world.live[ref] += 1


def touching_and_forgotten(b: Busy) -> None:
    """What is said of blocks that touch does not hide that an object of their page belongs to nobody."""
    block_split_in_two(b)
    page = page_of(b.block(0)[0])
    ref = next(ref for ref in b.held if page_of(ref & OBJECT_MASK) == page)
    b.world.live[ref] -= 1


def of_another_cache(b: Busy) -> None:
    ref = b.held[0]
    b.world.live[ref] -= 1
    b.world.live[b.mem[b.world.roots[1] + CACHE.id] << 32 | ref] += 1


def of_cache(number: Callable[[Busy], int]) -> Callable[[Busy], None]:
    """An object is handed out as one of the cache with this number."""

    def plant(b: Busy) -> None:
        ref = b.held[0]
        b.world.live[ref] -= 1
        b.world.live[number(b) << 32 | ref & OBJECT_MASK] += 1

    return plant


def behind_all_frames(b: Busy) -> None:
    ref = b.held[0]
    b.world.live[ref] -= 1
    b.world.live[ref & ~OBJECT_MASK | b.world.layout.last_frame * PAGE_WORDS] += 1


def of_no_cache(b: Busy) -> None:
    ref = b.held[0]
    b.world.live[ref] -= 1
    b.world.live[(b.world.layout.limits.caches - 1) << 32 | ref] += 1


def misaligned(b: Busy) -> None:
    b.mem[b.world.roots[0] + CACHE.offset] = 256


def over_the_end(b: Busy) -> None:
    """The last object of a full page lies a word further: as many units as before, and no two objects overlap."""
    ref = b.objects(b.full())[-1]
    assert unit(ref) == PAGE_UNITS - 32
    b.world.live[ref] -= 1
    b.world.live[ref + 1] += 1


def inside_a_large_one(b: Busy) -> None:
    (ref,) = b.objects(b.large())
    b.world.live[ref] -= 1
    b.world.live[ref + 1] += 1


def large_of_no_cache(b: Busy) -> None:
    """Though the last descriptor, which is of no live cache either, says a size that would do."""
    last = b.world.layout.plan["caches"] + (b.world.layout.limits.caches - 1) * CACHE.SIZE
    b.mem[last + CACHE.size] = 9000
    b.mem[b.large() + PAGE.slab_cache] += 1


def page_of_free_units_only(b: Busy) -> None:
    page = b.page("medium", 1)
    for ref in b.objects(page):
        b.world.live[ref] -= 1
    state.set_page(b.m, page, 0, PAGE_UNITS)
    state.set_block(b.m, address_of(page), 0, PAGE_UNITS, PAGE_UNITS)


def first_block_before_the_page(b: Busy) -> None:
    """Where the page before has a unit that looks like a block's."""
    page = b.full()
    set_unit(b.m, address_of(page - PAGE.SIZE), PAGE_UNITS - 1, 1)
    state.set_page(b.m, page, -1, 0)


def stats_word(b: Busy, item: int) -> int:
    return b.world.machine(0).pcpu + b.mem[b.world.roots[0] + CACHE.stats] + item


FAULTS = {
    "a page's free units too many": (damage((lambda b: b.page() + PAGE.pair, 1)), {"freelists", "conservation"}),
    "a free block too short": (shorter_block, {"freelists", "inuse"}),
    "a free block too long": (longer_block, {"freelists", "inuse"}),
    "free blocks out of order": (blocks_out_of_order, {"freelists"}),
    "a free block over the end of its page": (block_over_the_end, {"freelists"}),
    "free blocks that touch": (block_split_in_two, {"freelists"}),
    "free blocks that touch and units that belong to nobody": (
        touching_and_forgotten,
        {"freelists", "inuse", "conservation"},
    ),
    "a free block of no units": (first_number(0), {"freelists"}),
    "a free block of one unit that does not say where the next one is": (first_number(1), {"freelists"}),
    "a free block behind its page": (block_behind_the_page, {"freelists"}),
    "units that belong to nobody": (forgotten_block, {"inuse", "conservation"}),
    "a wild first block": (damage((lambda b: b.page() + PAGE.pair, 5000 << 16)), {"freelists"}),
    "a first block behind all memory": (damage((lambda b: b.page() + PAGE.pair, 1 << 56)), {"freelists"}),
    "a free object that is handed out": (free_and_handed_out, {"inuse", "conservation"}),
    "an object in two hands": (in_two_hands, {"inuse", "conservation"}),
    "a large object in two hands": (large_in_two_hands, {"inuse", "conservation"}),
    "an object of another cache": (of_another_cache, {"inuse"}),
    "an object of no cache": (of_no_cache, {"inuse"}),
    "an object of the cache before the first": (of_cache(lambda b: -1), {"inuse"}),
    "an object of the cache behind the last": (of_cache(lambda b: b.world.layout.limits.caches), {"inuse"}),
    "an object of a cache behind all": (of_cache(lambda b: 2 * b.world.layout.limits.caches), {"inuse"}),
    "an object behind all frames": (behind_all_frames, {"inuse"}),
    "an object that is not aligned": (misaligned, {"inuse"}),
    "a partly free page on no list": (off_its_list, {"one_state"}),
    "a full page on a list": (lambda b: state.list_add(b.m, b.slob + SLOB.small, b.full()), {"one_state"}),
    "a page on two lists": (on_two_lists, {"list_counts"}),
    "a free frame on a list": (free_frame_on_a_list, {"one_state"}),
    "a large object on a list": (lambda b: state.list_add(b.m, b.slob + SLOB.large, b.large()), {"one_state"}),
    "a large object of a small cache": (
        lambda b: b.mem.__setitem__(b.large() + PAGE.slab_cache, b.world.roots[0]),
        {"one_state", "inuse"},
    ),
    "a large object of another cache": (
        lambda b: b.mem.__setitem__(b.large() + PAGE.slab_cache, b.world.roots[4]),
        {"one_state", "inuse"},
    ),
    "a large object of no cache": (large_of_no_cache, {"one_state", "inuse"}),
    "twice the pages that a large object needs": (
        lambda b: b.mem.__setitem__(b.world.roots[3] + CACHE.size, 8192),
        {"one_state"},
    ),
    "a large object that does not begin with its pages": (inside_a_large_one, {"inuse"}),
    "an object over the end of its page": (over_the_end, {"inuse"}),
    "a page of free units only": (page_of_free_units_only, {"one_state", "conservation"}),
    "a first block before the page": (first_block_before_the_page, {"freelists"}),
    "an alignment to nothing": (lambda b: b.mem.__setitem__(b.world.roots[0] + CACHE.offset, 0), set()),
    "a broken back link": (damage((lambda b: b.page() + PAGE.prev, 8)), {"list_counts"}),
    "a head with the wrong end": (damage((lambda b: b.slob + SLOB.small + PAGE.prev, 8)), {"list_counts"}),
    "a head with an earlier end": (damage((lambda b: b.slob + SLOB.small + PAGE.prev, -8)), {"list_counts"}),
    "a list that comes back to itself": (
        lambda b: b.mem.__setitem__(b.page() + PAGE.next, b.page()),
        {"list_counts", "one_state"},
    ),
    "a wild object that waits": (
        damage((lambda b: b.slob + SLOB.waiting, 1 << 20)),
        {"freelists", "inuse", "conservation"},
    ),
    "a slob_lock that is held": (damage((lambda b: b.slob + SLOB.lock, 2)), {"locks"}),
    "an allocation not counted": (damage((lambda b: stats_word(b, SLOB_STAT.alloc_found), -1)), {"conservation"}),
    "a free counted twice": (damage((lambda b: stats_word(b, SLOB_STAT.free_to_partial), 1)), {"conservation"}),
    "a page not counted": (damage((lambda b: b.slob + SLOB.pages, -1)), {"conservation"}),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault):
    plant, expected = FAULTS[fault]
    busy = busy_world()
    with undone(busy.world):
        plant(busy)
        report = busy.world.check()
    assert report.broken() == expected, report.violated


BROKEN: dict[str, tuple[Callable, Callable[[Callable], Callable], set[str]]] = {}


def broken(original: Callable, *caught_by: str):
    def register(build):
        BROKEN[build.__name__] = (original, build, set(caught_by))
        return build

    return register


@broken(free._insert, "freelists")
def freed_blocks_are_not_joined(original):
    def _insert(m, s, page, block, units):
        base, first, before, after = (
            address_of(page),
            state.page_first_block(m, page),
            -1,
            state.page_first_block(m, page),
        )
        while after < block:
            before, after = after, state.block_next(m, base, after)
        state.set_block(m, base, block, units, after)
        if before < 0:
            return block
        state.set_block(m, base, before, state.block_units(m, base, before), block)
        return first

    return _insert


@broken(free._insert, "freelists")
def freed_blocks_go_first_whatever_their_address(original):
    def _insert(m, s, page, block, units):
        state.set_block(m, address_of(page), block, units, state.page_first_block(m, page))
        return block

    return _insert


@broken(free.page_free_units, "freelists", "conservation")
def a_free_forgets_to_count_its_units(original):
    return lambda m, page: max(1, original(m, page) - 32) if m.load(page + PAGE.next) else 0


@broken(free.list_add, "one_state")
def a_full_page_that_gets_an_object_back_stays_off_the_lists(original):
    return lambda m, head, page: None


@broken(free.free_pages, "conservation", "inuse")
def pages_do_not_go_back(original):
    return lambda m, page, order: None


@broken(alloc.units_of, "inuse")
def sizes_are_rounded_down(original):
    return lambda size: original(size) // 4 * 3


@broken(alloc._cut, "inuse", "freelists")
def the_rest_of_a_block_is_lost(original):
    def _cut(m, page, before, block, gap, units, have, after):
        original(m, page, before, block, gap, units, have, after)
        if have - gap - units > 100:
            base = address_of(page)
            state.set_unit(m, base, block + gap + units, 50)

    return _cut


@broken(alloc._cut, "inuse")
def the_alignment_is_forgotten(original):
    return lambda m, page, before, block, gap, units, have, after: original(
        m, page, before, block, 0, units, have, after
    )


@broken(alloc.list_del, "one_state")
def a_page_that_becomes_full_stays_on_its_list(original):
    return lambda m, page: None


@broken(alloc.list_begin_at, "list_counts")
def turning_a_list_breaks_it(original):
    def list_begin_at(m, head, page):
        original(m, head, page)
        m.store(page + PAGE.prev, page)

    return list_begin_at


@broken(cache.free_waiting_objects, "conservation", "inuse")
def objects_that_wait_are_forgotten(original):
    def free_waiting_objects(m):
        m.store(state.heap(m) + SLOB.waiting, 0)
        return False

    return free_waiting_objects


@broken(cache._free_after_grace_period, "conservation", "inuse")
def nobody_waits_for_a_grace_period(original):
    def _free_after_grace_period(m, s, ref):
        original(m, s, ref)
        free.slob_free(m, s, ref & OBJECT_MASK, m.load(s + CACHE.size))

    return _free_after_grace_period


@broken(cache.free_pages, "locks")
def a_large_free_keeps_the_lock(original):
    def free_pages(m, page, order):
        original(m, page, order)
        m.store(state.heap(m) + SLOB.lock, m.cpu + 1)

    return free_pages


@broken(slab_common.slob_cache_alloc, "inuse", "conservation")
def an_object_is_handed_out_twice(original):
    last = {}

    def slob_cache_alloc(m, s):
        last[s] = last.pop(s, 0) or original(m, s)
        return last[s]

    return slob_cache_alloc


@broken(slab_common.count, "conservation")
def frees_are_not_counted(original):
    return lambda m, counter: None if counter == OPS.free else original(m, counter)


def tour(world: SmallWorld):
    """Every path of the allocator in a few steps; yields after each."""
    small = world.alloc(0, 0, count=200)
    yield "fill pages"
    world.free(1, [small.pop(i * 9) for i in range(10)])
    yield "free into full pages"
    world.free(1, [small.pop(20) for _ in range(10)])
    yield "free neighbours"
    small += world.alloc(1, 0, count=4) + world.alloc(0, 1, count=8)
    yield "allocate odd sizes"
    world.free(0, world.alloc(0, 2, count=4))
    yield "free objects that wait"
    world.work()
    yield "a grace period"
    large = world.alloc(0, 3, count=3)
    yield "large objects"
    world.free(0, large)
    yield "free them"
    world.free(0, small)
    yield "free all"


@pytest.mark.parametrize("name", BROKEN)
def test_broken_allocator_is_caught_by_name(name, monkeypatch):
    original, build, expected = BROKEN[name]
    replacement, used = build(original), 0
    for module in MODULES:
        for attribute, value in list(vars(module).items()):
            if value is original and module not in (state,):
                monkeypatch.setattr(module, attribute, replacement)
                used += 1
    assert used
    world = slob_world(sizes=(64, 130, 33, 9000), by_rcu=(2,))
    found: set[str] = set()
    for _ in tour(world):
        found = world.check().broken()
        if found:
            break
    assert found == expected, world.check().violated
    world.close()


@pytest.mark.parametrize(("size", "left"), ((14, 1), (12, 2)))
def test_free_blocks_of_one_unit_and_of_two_are_sound(size, left):
    """Objects of seven units, or six, begin at words, of four."""
    world = slob_world(sizes=(size,))
    world.free(0, world.alloc(0, 0, count=20)[3:9:2])
    assert left in SlobSnapshot(world.kworker, world.layout).blocks[:, 2]
    assert world.check().violated == []


def test_the_smallest_and_the_largest_objects_are_sound():
    """One byte, and all that a zone has."""
    world = slob_world(sizes=(1, 4 << 20), nodes=2, memory=8 << 20)
    assert len(world.alloc(0, 0, count=3) + world.alloc(1, 1)) == 4
    assert world.check().violated == []


def test_the_tour_itself_is_sound():
    world = slob_world(sizes=(64, 130, 33, 9000), by_rcu=(2,))
    for _ in tour(world):
        assert world.check().violated == []
    assert unit(world.alloc(0, 0)[0]) == 0


@pytest.mark.filterwarnings("error")
def test_any_memory_is_reported_and_never_crashes():
    """Wild words anywhere but in the boot constants of the header: findings, no exception, no hang."""
    busy = Busy()
    world = busy.world
    assert sum(wild_memory(world, random.Random(3))) > 75
    assert check(world.kworker, world.layout, stats=True).violated == []
