"""The buddy allocator alone: blocks are aligned and distinct, pages conserved, everything merges back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import SmallWorld

from allocators.core import page_alloc
from allocators.core.page_alloc import (
    KIND_BUDDY,
    MAX_ORDER,
    PAGE,
    ZONE,
    address_of,
    alloc_pages,
    free_pages,
    head_of,
    page_of,
)
from allocators.core.world import MEM_MAP, OPS, OPS_AT, PAGE_WORDS
from allocators.invariants.pages import pages_conserved
from allocators.invariants.snapshot import Snapshot
from shm.locks import spin_unlock


def assert_conserved(world: SmallWorld) -> None:
    assert list(pages_conserved(Snapshot(world.kworker, world.layout))) == []


def zones(world: SmallWorld) -> list[list[int]]:
    """(start, end, free pages, block heads of each order) of every node."""
    base = world.layout.plan["zones"]
    return [
        world.words[base + n * ZONE.SIZE : base + (n + 1) * ZONE.SIZE].tolist()
        for n in range(world.layout.limits.nodes)
    ]


requests = st.lists(
    st.one_of(
        st.tuples(st.just("alloc"), st.integers(0, MAX_ORDER) | st.integers(0, 3), st.integers(0, 1)),
        st.tuples(st.just("free"), st.integers(0, 1 << 20), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=60)
@given(requests)
def test_any_sequence_conserves_pages_and_merges_back(sequence):
    world = SmallWorld(nodes=2, memory=8 << 20)
    m = world.machine(0)
    whole = [free for _, _, _, free, *_ in zones(world)]
    held: list[tuple[int, int]] = []
    for what, number, node in sequence:
        if what == "alloc":
            page = alloc_pages(m, node, number)
            if page:
                held.append((page, number))
        elif held:
            free_pages(m, *held.pop(number % len(held)))
    blocks = sorted(((page - MEM_MAP) // PAGE.SIZE, 1 << order) for page, order in held)
    assert all(frame % size == 0 for frame, size in blocks)
    assert all(first + size <= second for (first, size), (second, _) in zip(blocks, blocks[1:]))
    assert sum(free for _, _, _, free, *_ in zones(world)) == sum(whole) - sum(size for _, size in blocks)
    assert_conserved(world)
    for page, order in held:
        free_pages(m, page, order)
    assert_conserved(world)
    for zone in zones(world):
        heads = zone[ZONE.first : ZONE.first + MAX_ORDER + 1]
        assert heads[-1] and not any(heads[:-1]), "only blocks of the highest order are left"
    assert [free for _, _, _, free, *_ in zones(world)] == whole
    world.close()


@pytest.mark.parametrize("order", range(4))
def test_whoever_gets_the_zone_lock_finds_only_free_blocks_marked_free(order, monkeypatch):
    """A block that looks free when its zone is unlocked is merged with a buddy freed then, and given away twice."""
    world = SmallWorld(memory=8 << 20)
    m = world.machine(0)
    unlocks = []

    def unlock(m, lock):
        start, end = m.mem[zone + ZONE.start], m.mem[zone + ZONE.end]
        pages = range(MEM_MAP + start * PAGE.SIZE, MEM_MAP + end * PAGE.SIZE, PAGE.SIZE)
        marked = {page for page in pages if m.mem[page + PAGE.kind] == KIND_BUDDY}
        listed = set()
        for head in range(MAX_ORDER + 1):
            page = m.mem[zone + ZONE.first + head]
            while page:
                assert m.mem[page + PAGE.order] == head
                listed.add(page)
                page = m.mem[page + PAGE.next]
        assert marked == listed
        unlocks.append(lock)
        spin_unlock(m, lock)

    zone = world.layout.plan["zones"]
    monkeypatch.setattr(page_alloc, "spin_unlock", unlock)
    blocks = [alloc_pages(m, 0, order) for _ in range(5)]
    for block in blocks[::2] + blocks[1::2]:
        free_pages(m, block, order)
    assert len(unlocks) == 10
    world.close()


def test_every_word_of_a_block_leads_to_its_head():
    world = SmallWorld()
    m = world.machine(0)
    page = alloc_pages(m, 0, 3)
    start = address_of(page)
    for word in (start, start + PAGE_WORDS, start + 8 * PAGE_WORDS - 1):
        assert head_of(m, word) == page
    assert page_of(start) == page and page_of(start + PAGE_WORDS) == page + PAGE.SIZE
    free_pages(m, page, 3)
    assert head_of(m, start + PAGE_WORDS) == page + PAGE.SIZE, "free pages stand for themselves"


def test_a_node_without_pages_is_helped_by_the_other():
    world = SmallWorld(nodes=2, memory=8 << 20)
    m = world.machine(0)
    nodes = [world.mem[alloc_pages(m, 0, MAX_ORDER) + PAGE.node] for _ in range(2)]
    assert nodes == [0, 1]
    assert alloc_pages(m, 0, 0) == 0, "now nobody has any"
    assert_conserved(world)


@pytest.mark.parametrize("stats", (False, True))
def test_calls_are_counted_by_the_calling_cpu(stats):
    world = SmallWorld(stats=stats)
    m = world.machine(1)
    free_pages(m, alloc_pages(m, 0, 2), 2)
    alloc_pages(m, 0, 0)
    counts = [world.mem[m.pcpu + OPS_AT + field] for field in (OPS.page_alloc, OPS.page_free)]
    assert counts == ([2, 1] if stats else [0, 0])
