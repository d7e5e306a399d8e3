"""What lines cost on a core that prefetches, translates addresses, and has several stores under way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from simulations import DESIGNS

from allocators.core.page_alloc import PAGE as DESCRIPTOR
from allocators.core.world import MEM_MAP, PAGE_SHIFT
from shm.virtual.lines import charge_barrier, charge_read, charge_this_cpu, charge_write
from shm.virtual.machine import Joined, PricedMachine
from shm.virtual.tags import forget_first
from shm.virtual.words import ALLOC, FREE, begin_call_of, clock_of, end_call_of, vcpu
from stress.play.arena import Arena, BlockSettings
from stress.play.virtual import STATS, VirtualTime, features_of
from stress.play.workload import build_workload
from stress.profiles.load import load

pytestmark = pytest.mark.xdist_group("compiles")  # see test_exact
LINE = 8  # words
PAGE = 512
TLB_PS = 20_000
BRANCH_PS = 17_000
MEMORY_PS = load("xeon-2014").ps.memory_near  # all of it, as a link of a free list
OVERLAPPED_PS = round(MEMORY_PS / load("xeon-2014").cache.overlap)


class Core:
    """A CPU of an interpreted machine. base: a word in slabs' memory that nobody has touched yet. rewind: anew."""

    def __init__(self, machine: PricedMachine, base: int, rewind: Callable[[], None]) -> None:
        self.m, self.base, self.rewind = machine, base, rewind

    def ps(self, do, words) -> list[int]:
        """What each of these accesses takes, beyond one that hits."""
        hit, took = load("xeon-2014").ps.access, []
        for word in words:
            before = clock_of(self.m)
            do(self.m, self.base + word)
            took.append(clock_of(self.m) - before - hit)
        return took


@pytest.fixture
def core(request) -> Iterator[Core]:
    of = load("xeon-2014")
    allocator, cache = request.param if isinstance(request.param, tuple) else ("slub", request.param)
    prices = dict(tlb=TLB_PS, branch=BRANCH_PS, ahead=cache.get("ahead", 0))
    cache = {name: value for name, value in cache.items() if name != "ahead"}
    profile = dataclasses.replace(
        of, cache=dataclasses.replace(of.cache, **cache), ps=dataclasses.replace(of.ps, **prices)
    )
    features = features_of(DESIGNS[allocator], allocator)
    booted = features - STATS - {"VTIME"}
    workload, _ = build_workload("remote-free", {"batch": "16", "rounds": "1"}, 1, 1)
    arena = Arena(workload, allocator, features=booted, memory=16 << 20, serial=True)
    arena.reset(booted, BlockSettings(seed=1))
    virtual = VirtualTime(arena, booted, profile)
    memory = Joined(arena.segment.words_view, virtual.segment.words_view, virtual.offset)
    base = (arena.layout.last_frame - 256) * PAGE  # far from what the boot took

    def rewind() -> None:
        arena.reset(booted, BlockSettings(seed=1))
        virtual.rewind()

    yield Core(PricedMachine(memory, 0, features, allocator), base, rewind)
    memory.arena.release(), memory.tables.release()
    virtual.close()
    arena.close()


@pytest.mark.parametrize("core", [{"streams": 4}], indirect=True)
@pytest.mark.parametrize("step", (LINE, 4 * LINE, -2 * LINE))
def test_a_stream_that_goes_as_far_twice_was_asked_for_ahead(core, step):
    first = core.ps(charge_read, [40 * PAGE + n * step for n in range(6)])
    assert first == [MEMORY_PS] * 2 + [0] * 4
    jumps = core.ps(charge_read, [n * PAGE + n * n * LINE for n in range(6)])
    assert all(jumps), "no stream"
    again = core.ps(charge_read, [40 * PAGE + 6 * step])
    assert again == [MEMORY_PS], "five others came between, and it follows four"


@pytest.mark.parametrize("core", [{"streams": 4}], indirect=True)
def test_a_stream_ends_with_its_page(core):
    took = core.ps(charge_read, [41 * PAGE + n * LINE for n in range(-4, 4)])
    assert took == [MEMORY_PS] * 2 + [0] * 2 + [MEMORY_PS] + [0] * 3, (
        "the next page's first line is asked for by nobody"
    )


@pytest.mark.parametrize("core", [{"ahead": 30_000}], indirect=True)
def test_a_link_is_asked_for_ahead_once_the_one_before_has_come(core):
    pages, hit = iter(range(20, 80)), load("xeon-2014").ps.access

    def links(work: int, between: Callable[[], object] = lambda: None) -> int:
        """What the second of two links takes that were read with so many hits between them."""
        near, first, second = (next(pages) * PAGE for _ in range(3))
        core.ps(charge_read, [near, first, *[near] * work])
        between()
        return core.ps(charge_read, [second])[0]

    assert [links(n) for n in (0, 4)] == [MEMORY_PS - hit * (n + 1) for n in (0, 4)]
    assert links(1 + 30_000 // hit) == MEMORY_PS - 30_000, "a core looks so far ahead and no further"
    assert links(9, lambda: charge_barrier(core.m)) == MEMORY_PS - hit, "what follows a fence waits for it"


@pytest.mark.parametrize("core", [{}], indirect=True)
def test_lines_a_power_of_two_apart_share_sets(core):
    """256 lines in a row fit into a cache of 512; as many, one of four each, have a quarter of the sets."""
    row, apart = ([(60 + n // 64) * PAGE + n % 64 * LINE for n in range(256 * step)][::step] for step in (1, 4))
    for words, again in ((row, 0), (apart, load("xeon-2014").ps.l2)):
        core.ps(charge_read, words)
        assert core.ps(charge_read, words) == [again] * 256
        core.rewind()


@pytest.mark.parametrize("core", [{}], indirect=True)
def test_misses_overlap_but_those_of_links(core):
    last = MEM_MAP + ((core.base >> PAGE_SHIFT) + 200) * DESCRIPTOR.SIZE - core.base
    assert core.ps(charge_read, [last]) == [OVERLAPPED_PS]
    assert core.ps(charge_read, [90 * PAGE]) == [MEMORY_PS], "a word of a slab's memory"
    assert core.ps(charge_this_cpu, [91 * PAGE])[0] < MEMORY_PS, "that is changed, and nothing follows from it"


@pytest.mark.parametrize("core", [{"tlb_entries": 16}], indirect=True)
def test_a_second_play_finds_the_last_level_cache_as_it_was_and_nothing_of_its_own(core):
    assert core.ps(charge_read, [90 * PAGE, 90 * PAGE]) == [MEMORY_PS + TLB_PS, 0]
    core.rewind()
    assert core.ps(charge_read, [90 * PAGE, 90 * PAGE]) == [load("xeon-2014").ps.llc + TLB_PS, 0]


@pytest.mark.parametrize("core", [{}], indirect=True)
def test_a_call_that_goes_another_way_than_the_last_of_its_kind_was_foreseen_wrongly(core):
    core.ps(charge_read, [0])
    price = load("xeon-2014").ps

    def call(kind: int, accesses: int) -> int:
        began = clock_of(core.m)
        before = begin_call_of(core.m, kind)
        core.ps(charge_read, [0] * accesses)
        end_call_of(core.m, kind, before)
        return clock_of(core.m) - began - price.call - accesses * price.access

    assert [call(ALLOC, n) for n in (3, 3, 2, 3, 3)] == [BRANCH_PS, 0, BRANCH_PS, BRANCH_PS, 0]
    assert [call(kind, 3) for kind in (FREE, ALLOC, FREE)] == [BRANCH_PS, 0, 0]


@pytest.mark.parametrize("core", [{"tlb_entries": 16}], indirect=True)
def test_who_slept_where_the_kworker_ran_finds_its_second_level_only(core):
    assert core.ps(charge_read, [90 * PAGE, 90 * PAGE]) == [MEMORY_PS + TLB_PS, 0]
    forget_first(core.m, vcpu(core.m))
    assert core.ps(charge_read, [90 * PAGE, 90 * PAGE]) == [load("xeon-2014").ps.l2 + TLB_PS, 0]


@pytest.mark.parametrize("core", [("slab", {})], indirect=True)
def test_indices_of_slab_are_no_links(core):
    assert core.ps(charge_read, [90 * PAGE]) == [OVERLAPPED_PS]


@pytest.mark.parametrize("core", [{"tlb_entries": 16}, {"tlb_entries": 0}], indirect=True)
def test_a_page_that_was_not_used_lately_is_translated(core):
    far = [0, 3 * LINE, PAGE, PAGE + 5 * LINE]
    known = core.ps(charge_read, far)
    tlb = known[0] - MEMORY_PS
    assert tlb in (0, TLB_PS) and known == [MEMORY_PS + tlb, MEMORY_PS, MEMORY_PS + tlb, MEMORY_PS]
    core.ps(charge_read, [(2 + n) * PAGE for n in range(64)])
    assert core.ps(charge_read, [7 * LINE]) == [MEMORY_PS + tlb], "forgotten among so many"


@pytest.mark.parametrize("core, at_a_time", [({"store_misses": n}, n) for n in (1, 4)], indirect=["core"])
def test_stores_ask_for_their_lines_so_many_at_a_time(core, at_a_time):
    assert core.ps(charge_write, [n * PAGE + 5 * n * LINE for n in range(8)]) == [0] * 8, "nobody waits"
    before = clock_of(core.m)
    charge_barrier(core.m)
    waited = clock_of(core.m) - before - load("xeon-2014").ps.barrier
    assert waited == pytest.approx(8 / at_a_time * OVERLAPPED_PS, rel=0.15)
