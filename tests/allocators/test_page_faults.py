"""Page frames and freelists: what `pages_conserved` and the walk of all objects say of each wrong word, and no more."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest
from small_world import SmallWorld, undone
from test_censuses import chain, frame, mixed, slab_pages

from allocators.core.kmem_cache import CACHE, CACHE_LIVE, KMEM_CACHE_CPU
from allocators.core.page_alloc import KIND_SLAB, MAX_ORDER, PAGE, ZONE, address_of
from allocators.core.page_pair import freelist_of, inuse_of, objects_of
from allocators.core.world import CACHES_AT, KMEM_CACHE_CPU_WORDS, MEM_MAP, PAGE_SHIFT
from allocators.invariants.objects import freelists, inuse, object_map
from allocators.invariants.pages import _unmerged, pages_conserved
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import MEMCG


@functools.cache
def busy() -> SmallWorld:
    return mixed("v1", "slub")


@pytest.fixture
def world() -> Iterator[SmallWorld]:
    with undone(busy()):
        yield busy()


def snapshot(world: SmallWorld) -> Snapshot:
    return Snapshot(world.kworker, world.layout)


def said(world: SmallWorld, text: str) -> set[str]:
    """Findings of page frames that have a text."""
    return {finding for finding in pages_conserved(snapshot(world)) if text in finding}


def zone_of(world: SmallWorld, node: int) -> int:
    return world.layout.plan["zones"] + node * ZONE.SIZE


def blocks(world: SmallWorld, node: int) -> list[tuple[int, int]]:
    """Order and frame of each free block."""
    lists = [(order, world.mem[zone_of(world, node) + ZONE.first + order]) for order in range(MAX_ORDER + 1)]
    return [(order, frame(page)) for order, first in lists for page in chain(world, first)]


def page(number: int) -> int:
    return MEM_MAP + number * PAGE.SIZE


@pytest.mark.parametrize("node", (0, 1))
@pytest.mark.parametrize("field, by", ((ZONE.start, 1), (ZONE.end, -1), (ZONE.start, 600), (ZONE.end, -600)))
def test_a_free_block_outside_of_its_zone_is_said_to_be(world, node, field, by):
    world.mem[zone_of(world, node) + field] += by
    start, end = (world.mem[zone_of(world, node) + each] for each in (ZONE.start, ZONE.end))
    outside = {f"order {o} at frame {f} " for o, f in blocks(world, node) if f < start or f + (1 << o) > end}
    found = said(world, "outside of the zone ")
    assert len(found) == len(outside) and all(any(text in finding for finding in found) for text in outside)
    assert outside or (field, by) == (ZONE.start, 1), "the last block of a zone is a free one"


def test_a_slab_that_is_not_aligned_or_begins_before_all_zones(world):
    odd = next(f for f in map(frame, slab_pages(world)) if f % 2)
    world.mem[page(odd) + PAGE.order] = 1
    early = world.layout.first_frame - 1
    world.mem[page(early) + PAGE.kind], world.mem[page(early) + PAGE.order] = KIND_SLAB, 0
    assert {text.split(" is not aligned")[0] for text in said(world, "is not aligned")} == {
        f"the slab at frame {odd}", f"the slab at frame {early}",
    }  # fmt: skip


def test_a_slab_that_ends_after_all_zones(world):
    """Its tails are looked at up to where memory ends."""
    last = world.layout.last_frame
    assert last % (1 << MAX_ORDER) == 0
    world.mem[page(last - 2) + PAGE.kind], world.mem[page(last - 2) + PAGE.order] = KIND_SLAB, MAX_ORDER
    assert said(world, f"the slab at frame {last - 2} is not aligned")
    assert said(world, f"frame {last - 1} (kind ") and not said(world, f"frame {last - 3} (kind ")


def test_a_frame_of_two_blocks_is_said_to_lie_in_them(world):
    even = next(f for f in map(frame, slab_pages(world)) if f % 2 == 0 and world.mem[page(f) + PAGE.order] == 0)
    world.mem[page(even) + PAGE.order] = 1
    assert (
        len(said(world, "lies in 2 blocks")) == 1 == len(said(world, f"frame {even + 1} (kind ") & said(world, "lies"))
    )


def test_a_free_block_that_is_on_no_list_is_said_to_be(world):
    order, lost = blocks(world, 1)[-1]  # of the greatest order, a list of its own
    assert [block for block in blocks(world, 1) if block[0] == order] == [(order, lost)]
    world.mem[zone_of(world, 1) + ZONE.first + order] = 0
    assert said(world, "is on no free list") == {
        f"frame {lost} says that it is a free block of order {order} and is on no free list"
    }


@pytest.mark.parametrize("wild", (MEM_MAP + 1, MEM_MAP, 12345, 1 << 40, -PAGE.SIZE))
def test_a_free_list_that_leads_to_no_frame(world, wild):
    world.mem[zone_of(world, 0) + ZONE.first] = wild
    assert said(world, "free list of order 0") == {
        f"node 0, free list of order 0: points to word {wild}, which is no page frame"
    }


@pytest.mark.parametrize("order", range(MAX_ORDER + 1))
def test_buddies_that_are_both_free_are_not_merged(order):
    """2 and 3, 8 and 9; not 5 and 6, which are no buddies; the greatest blocks are never merged."""
    blocks: list[list[int]] = [[] for _ in range(MAX_ORDER + 1)]
    blocks[order] = [head << order for head in (2, 3, 5, 6, 8, 9, 12)]
    found = list(_unmerged(1, blocks))
    pairs = [f"at frames {a << order} and {a + 1 << order} " for a in (2, 8)] if order < MAX_ORDER else []
    assert len(found) == len(pairs) and all(pair in text for pair, text in zip(pairs, found))


def cache_of(world: SmallWorld) -> int:
    """A live cache of slabs."""
    return next(world.mem[p + PAGE.slab_cache] for p in slab_pages(world) if world.mem[p + PAGE.slab_cache])


@pytest.mark.parametrize("offset, fits", ((-1, False), (0, True), ("size", False), ("beyond", False)))
def test_where_the_link_lies_is_inside_of_an_object(world, offset, fits):
    s = cache_of(world)
    size = world.mem[s + CACHE.size]
    world.mem[s + CACHE.offset] = {"size": size, "beyond": size + 1}.get(offset, offset)
    own = [i for i, p in enumerate(slab_pages(world)) if world.mem[p + PAGE.slab_cache] == s]
    objects = object_map(snapshot(world))
    assert own and [bool(objects.sound[i]) for i in own] == [fits] * len(own)
    assert sum(f"objects of {size} words fit" in text for text in objects.problems) == (0 if fits else len(own))


@pytest.mark.parametrize("wild", (0, MEM_MAP - PAGE.SIZE, 777))
def test_a_private_freelist_without_a_slab(world, wild):
    """It is said once, whatever slab the last frame is of, and no slab is looked at for it."""
    s, last = cache_of(world), world.layout.last_frame - 1
    assert world.mem[s + CACHE.state] == CACHE_LIVE
    for p in (slab_pages(world)[0], page(last)):
        world.mem[p + PAGE.kind], world.mem[p + PAGE.order], world.mem[p + PAGE.slab_cache] = KIND_SLAB, 0, s
    world.mem[page(last) + PAGE.pair] = world.mem[slab_pages(world)[0] + PAGE.pair]
    number = (s - world.layout.plan["caches"]) // CACHE.SIZE
    c = world.layout.area(1) + CACHES_AT + number * KMEM_CACHE_CPU_WORDS
    world.mem[c + KMEM_CACHE_CPU.page] = world.mem[c + KMEM_CACHE_CPU.pair] = 0
    before = object_map(snapshot(world)).problems
    world.mem[c + KMEM_CACHE_CPU.page] = wild
    some = next(obj for obj in world.live)
    world.mem[c + KMEM_CACHE_CPU.pair] = some << 32
    after = object_map(snapshot(world))
    new = [text for text in after.problems if text not in before]
    assert len(new) == 1 and "CPU 1: the private freelist begins at word" in new[0] and not after.private[0]


def free_slab(world: SmallWorld) -> tuple[int, int, int, int]:
    """A slab of a cache with a freelist: its PAGE, first word, size of objects and where their link lies."""
    p = next(p for p in slab_pages(world) if freelist_of(world.mem[p + PAGE.pair]))
    s = world.mem[p + PAGE.slab_cache]
    return p, address_of(p), world.mem[s + CACHE.size], world.mem[s + CACHE.offset]


@pytest.mark.parametrize("place", ("before", "first word", "inside", "after", "after that", "negative"))
def test_a_freelist_that_leads_to_no_object_of_its_slab(world, place):
    p, start, size, offset = free_slab(world)
    end = start + objects_of(world.mem[p + PAGE.pair]) * size
    wild = {
        "before": start - size, "first word": start - 1, "inside": start + 1, "after": end, "after that": end + size,
        "negative": -8,
    }[place]  # fmt: skip
    world.mem[freelist_of(world.mem[p + PAGE.pair]) + offset] = wild
    found = [text for text in object_map(snapshot(world)).problems if f"frame {frame(p)}" in text]
    assert len(found) == 1 and f"its freelist leads to word {wild}, which is no object of the slab" in found[0]


@pytest.mark.parametrize("cpu", range(4))
def test_a_private_freelist_that_leads_to_no_object_is_named_by_its_cpu(world, cpu):
    world.alloc(cpu, 0)
    number = (world.roots[0] - world.layout.plan["caches"]) // CACHE.SIZE
    c = world.layout.area(cpu) + CACHES_AT + number * KMEM_CACHE_CPU_WORDS
    head = freelist_of(world.mem[c + KMEM_CACHE_CPU.pair])
    assert head
    world.mem[head + world.mem[world.roots[0] + CACHE.offset]] = -8
    (found,) = object_map(snapshot(world)).problems
    assert f": the private freelist of CPU {cpu} leads to word -8" in found


def test_a_slab_of_no_cache_is_not_looked_into(world):
    """Whatever the last descriptor says, which is what a number of -1 reads."""
    p, _, size, offset = free_slab(world)
    last = world.layout.plan["caches"] + (world.layout.limits.caches - 1) * CACHE.SIZE
    world.mem[last + CACHE.size], world.mem[last + CACHE.offset] = size, offset
    number = slab_pages(world).index(p)
    world.mem[p + PAGE.slab_cache] = 0
    objects = object_map(snapshot(world))
    assert not objects.sound[number] and objects.free[number] == 0


def test_a_private_freelist_is_of_objects_in_use(world):
    w = snapshot(world)
    number = int(np.flatnonzero(object_map(w).private)[0])
    p, has = slab_pages(world)[number], int(object_map(w).private[number])
    world.mem[p + PAGE.pair] += has - 1 - inuse_of(world.mem[p + PAGE.pair])
    found = [text for text in freelists(snapshot(world)) if "the private freelist alone" in text]
    assert len(found) == 1 and f"inuse is {has - 1}, the private freelist alone has {has} objects" in found[0]
    world.mem[p + PAGE.pair] += 1
    assert not [text for text in freelists(snapshot(world)) if "the private freelist alone" in text]


@pytest.mark.parametrize("wild", (-1, -(1 << 40), 1 << 40, MEM_MAP))
def test_an_object_outside_of_all_slabs_is_said_to_be(world, wild):
    world.live[wild] = 1
    assert any(f"the object at word {wild} is handed out and " in text for text in inuse(whole(world)))


@pytest.mark.parametrize("head", (MEM_MAP, MEM_MAP - PAGE.SIZE, MEM_MAP + 1, -1, 1 << 40, "end"))
def test_an_object_whose_frame_has_a_wild_head_lies_in_no_slab(world, head):
    obj = next(iter(world.live))
    own, last = world.mem[page(obj >> PAGE_SHIFT) + PAGE.head], page(world.layout.last_frame - 1)
    for field in (PAGE.kind, PAGE.order, PAGE.slab_cache, PAGE.pair):  # a slab, which it is not of
        world.mem[last + field] = world.mem[own + field]
    world.mem[page(obj >> PAGE_SHIFT) + PAGE.head] = last + PAGE.SIZE if head == "end" else head
    assert f"the object at word {obj} is handed out and lies in no slab of a live cache" in list(inuse(whole(world)))


def test_objects_of_a_slab_that_makes_no_sense_lie_in_none(world):
    """Each is said once, and those of other slabs are not."""
    obj = next(iter(world.live))
    s = world.mem[world.mem[page(obj >> PAGE_SHIFT) + PAGE.head] + PAGE.slab_cache]
    world.mem[s + CACHE.offset] = -1
    heads = {live: world.mem[page(live >> PAGE_SHIFT) + PAGE.head] for live in world.live}
    expected = {live for live, at in heads.items() if world.mem[at + PAGE.slab_cache] == s}
    found = [text for text in inuse(whole(world)) if "lies in no slab" in text]
    assert sorted(int(text.split()[4]) for text in found) == sorted(expected) and len(expected) < len(heads)


@pytest.mark.parametrize("times", (2, 3))
def test_an_object_that_is_handed_out_more_than_once(world, times):
    obj = next(iter(world.live))
    world.live[obj] = times
    assert f"the object at word {obj} is handed out {times} times" in list(inuse(whole(world)))


def whole(world: SmallWorld) -> Snapshot:
    """With what is handed out."""
    return Snapshot(world.kworker, world.layout, world.objects())


def test_what_a_pointer_points_to(world):
    """Each descriptor and frame by its first word; nothing by any other, before the first one or behind the last."""
    w, limits = snapshot(world), world.layout.limits
    plan, live = world.layout.plan, set(w.live_caches.tolist())
    frames = range(world.layout.first_frame, world.layout.last_frame)
    caches, memcgs = range(limits.caches), range(limits.memcgs)

    def one_of(many):
        return lambda pointer: int(many(np.array([pointer]))[0])

    for start, size, there, of in (
        (plan["caches"], CACHE.SIZE, caches, w.cache_id),
        (plan["caches"], CACHE.SIZE, live, one_of(w.cache_ids)),
        (plan["memcgs"], MEMCG.SIZE, memcgs, one_of(w.memcg_ids)),
        (MEM_MAP, PAGE.SIZE, frames, w.frame_of),
        (MEM_MAP, PAGE.SIZE, frames, one_of(w.frames_of)),
    ):
        edges = (min(there), max(there), limits.caches - 1)
        for number in {each + near for each in edges for near in (-1, 0, 1, 2)}:
            found = [of(start + number * size + off) for off in (-1, 0, 1)]
            assert found == [-1, number if number in there else -1, -1], (of, number)


def test_an_order_that_no_block_has_is_taken_for_the_largest(world):
    for wild, order in ((MAX_ORDER, MAX_ORDER), (MAX_ORDER + 1, MAX_ORDER), (-1, 0)):
        first = slab_pages(world)[0]
        world.mem[first + PAGE.order] = wild
        w = snapshot(world)
        assert w.order[w.slab_at[frame(first)]] == order
