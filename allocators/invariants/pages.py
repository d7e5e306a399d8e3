"""Conservation of page frames: the buddy's free blocks and the slabs tile every zone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.page_alloc import KIND_BUDDY, KIND_TAIL, MAX_ORDER, PAGE, ZONE
from allocators.core.world import MEM_MAP
from allocators.invariants.snapshot import Snapshot


def pages_conserved(w: Snapshot) -> Iterator[str]:
    """Each frame of a zone lies in exactly one free block or slab; free_pages counts the former."""
    ends = np.zeros(w.layout.last_frame + 1, np.int64)
    slab_pages = 1 << w.order
    yield from _cover(w, ends, w.frames, slab_pages, "slab")
    listed = np.zeros(w.layout.last_frame, bool)
    for node in range(w.layout.limits.nodes):
        zone = w.layout.plan["zones"] + node * ZONE.SIZE
        start, end, counted = (w.mem[zone + f] for f in (ZONE.start, ZONE.end, ZONE.free_pages))
        blocks: list[list[int]] = []
        for order in range(MAX_ORDER + 1):
            found, problem = _free_list(w, node, zone, order)
            blocks.append(found)
            if problem:
                yield f"node {node}, free list of order {order}: {problem}"
        heads = np.array([frame for found in blocks for frame in found], np.int64)
        orders = np.repeat(np.arange(MAX_ORDER + 1), [len(found) for found in blocks])
        sizes = 1 << orders
        listed[heads] = True
        free = int(sizes.sum())
        for i in np.flatnonzero((heads < start) | (heads + sizes > end)):
            yield (
                f"node {node}: the free block of order {orders[i]} at frame {heads[i]} lies outside of the zone "
                f"{start}..{end}"
            )
        yield from _cover(w, ends, heads, sizes, "free block")
        yield from _unmerged(node, blocks)
        if free != counted:
            yield f"node {node}: free_pages is {counted}, the free blocks have {free} pages"
        held = int(slab_pages[w.node == node].sum())
        if free + held != end - start:
            yield f"node {node}: {free} free pages and {held} in slabs make {free + held}, the zone has {end - start}"
    covered = np.cumsum(ends)[w.layout.first_frame : w.layout.last_frame]
    for frame in w.layout.first_frame + np.flatnonzero(covered != 1):
        yield f"frame {frame} (kind {w.pages['kind'][frame]}) lies in {covered[frame - w.layout.first_frame]} blocks"
    for frame in np.flatnonzero((w.pages["kind"] == KIND_BUDDY) & ~listed):
        yield f"frame {frame} says that it is a free block of order {w.pages['order'][frame]} and is on no free list"
    yield from _tails(w)


def _free_list(w: Snapshot, node: int, zone: int, order: int) -> tuple[list[int], str]:
    """Frames of a free list, and what is wrong with the list or its blocks ("" when nothing is)."""
    blocks: list[int] = []
    seen: set[int] = set()
    page, before = w.mem[zone + ZONE.first + order], 0
    while page:
        frame = w.frame_of(page)
        if frame < 0:
            return blocks, f"points to word {page}, which is no page frame"
        if frame in seen:
            return blocks, f"comes back to frame {frame}"
        kind, has, at, back = (w.mem[page + f] for f in (PAGE.kind, PAGE.order, PAGE.node, PAGE.prev))
        if (kind, has, at) != (KIND_BUDDY, order, node):
            return blocks, f"frame {frame} is on it with kind {kind}, order {has} and node {at}"
        if back != before:
            return blocks, f"frame {frame} has prev {back}, its predecessor is {before}"
        blocks.append(frame)
        seen.add(frame)
        page, before = w.mem[page + PAGE.next], page
    return blocks, ""


def _cover(w: Snapshot, ends: np.ndarray, heads: np.ndarray, sizes: np.ndarray, what: str) -> Iterator[str]:
    """Add blocks to `ends`, whose running sum is the number of blocks a frame lies in."""
    # Memory ends where a block of the greatest order does: what is aligned ends before.
    odd = (heads & (sizes - 1) != 0) | (heads < w.layout.first_frame)
    for frame in heads[odd]:
        yield f"the {what} at frame {frame} is not aligned to its order or lies outside of the zones"
    np.add.at(ends, heads[~odd], 1)
    np.add.at(ends, (heads + sizes)[~odd], -1)


def _unmerged(node: int, blocks: list[list[int]]) -> Iterator[str]:
    """blocks: frames of free blocks, by order."""
    for order, frames in enumerate(blocks[:MAX_ORDER]):
        size, begin = 1 << order, set(frames)
        for frame in frames:
            if frame & size == 0 and frame | size in begin:
                yield (
                    f"node {node}: the free blocks of order {order} at frames {frame} and {frame | size} are buddies "
                    "and not merged"
                )


def _tails(w: Snapshot) -> Iterator[str]:
    """The tails of a slab point to its head; all other frames point to themselves."""
    kind, head = w.pages["kind"], w.pages["head"]
    sizes = np.minimum(1 << w.order, w.layout.last_frame - w.frames)
    inside = np.repeat(w.frames - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    first = np.arange(w.layout.last_frame)
    first[inside] = np.repeat(w.frames, sizes)
    tail = np.zeros(len(first), bool)
    tail[inside] = True
    tail[w.frames] = False
    for frame in np.flatnonzero(head != MEM_MAP + first * PAGE.SIZE):
        yield f"frame {frame} (kind {kind[frame]}) has its head at word {head[frame]}, not at frame {first[frame]}"
    for frame in np.flatnonzero(tail != (kind == KIND_TAIL)):
        yield f"frame {frame} has kind {kind[frame]} and is {'inside' if tail[frame] else 'the tail of no'} slab"
