"""The checkers that are SLOB's own; names and rules beside SLUB's in the package's table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.world import PAGE_BYTES
from allocators.invariants.accounting import totals, unbalanced
from allocators.invariants.registry import locks as common_locks
from allocators.invariants.slob_snapshot import Objects, SlobSnapshot
from allocators.slob.state import OBJECT_MASK, PAGE_UNITS, SLOB, STATISTICS, UNIT_BYTES


def one_state(w: SlobSnapshot) -> Iterator[str]:
    """A page in shared use has free units, but not only such, and is on one list, or it is full and on
    none; the pages of a large object are of its size and on no list."""
    for slobs in w.lists:
        frames = np.array(slobs.frames, np.int64)
        at = w.slab_at[frames]
        for frame in frames[at < 0]:
            yield f"frame {frame} is on {slobs} and is no page of objects"
        for i in at[at >= 0][~w.shared[at[at >= 0]]]:
            yield f"the {w.page_name(i)} is on {slobs}"
    listed = w.claimed[w.frames] != 0
    for i in np.flatnonzero(w.shared & ((w.units >= PAGE_UNITS) | (w.order != 0))):
        yield f"{w.page_name(i)} (order {w.order[i]}) has {w.units[i]} free units: it should have gone back"
    for i in np.flatnonzero(w.shared & (listed != (w.units > 0))):
        yield f"{w.page_name(i)} has {w.units[i]} free units and is on {'a' if listed[i] else 'no'} list"
    for i in np.flatnonzero(~w.shared):
        size = int(w.caches["size"][w.cache[i]]) if w.cache[i] >= 0 else 0
        if not PAGE_BYTES <= size <= PAGE_BYTES << int(w.order[i]) < 2 * size:
            yield f"{w.page_name(i)} has pages of order {w.order[i]} for {size} bytes"


def list_counts(w: SlobSnapshot) -> Iterator[str]:
    """Lists are linked in a circle both ways."""
    for slobs in w.lists:
        if slobs.problem:
            yield f"{slobs} {slobs.problem}"


def freelists(w: SlobSnapshot) -> Iterator[str]:
    """A page's free blocks lie in it in order of address, no two of them touch each other, and together
    they have as many units as the page says."""
    yield from w.problems
    held = np.bincount(w.blocks[:, 0], w.blocks[:, 2], len(w.frames)).astype(np.int64)
    for i in np.flatnonzero(w.shared & ~w.broken & (held != w.units)):
        yield f"{w.page_name(i)} says that it has {w.units[i]} free units, its free blocks have {held[i]}"


def inuse(w: SlobSnapshot) -> Iterator[str]:
    """The objects handed out, those that wait for a grace period and the free blocks are each other's
    complement: every unit of a page belongs to exactly one of them, every large object to one holder."""
    assert w.live_objects is not None
    live = np.asarray(w.live_objects, np.int64)
    held = w.resolve(np.r_[live, w.waiting])
    what = np.r_[np.full(len(live), "handed out"), np.full(len(w.waiting), "waiting")]
    small = np.zeros(len(held.page), bool)
    for nth in range(len(held.page)):
        problem = _misplaced(w, held, nth)
        if problem:
            yield f"the object at word {held.references[nth] & OBJECT_MASK}, {what[nth]}: {problem}"
        small[nth] = not problem and not held.large[nth]
    holders = np.bincount(held.page[held.large & (held.page >= 0)], minlength=len(w.frames))
    for i in np.flatnonzero(~w.shared & (holders != 1)):
        yield f"the {w.page_name(i)} is in the hands of {holders[i]}"
    page = np.r_[held.page[small], w.blocks[:, 0]]
    start, units = np.r_[held.start[small], w.blocks[:, 1]], np.r_[held.units[small], w.blocks[:, 2]]
    names = np.r_[np.char.add("an object ", what[small]), np.full(len(w.blocks), "a free block")]
    order = np.lexsort((start, page))
    page, start, end, names = page[order], start[order], (start + units)[order], names[order]
    clash = (page[1:] == page[:-1]) & (start[1:] < end[:-1])
    for i in np.flatnonzero(clash):
        yield (
            f"{w.page_name(page[i])}: {names[i]} at units {start[i]} to {end[i]} and {names[i + 1]} at {start[i + 1]} "
            f"to {end[i + 1]} overlap"
        )
    whole = w.shared & ~w.broken
    whole[page[1:][clash]] = False
    covered = np.bincount(page, end - start, len(w.frames)).astype(np.int64)
    for i in np.flatnonzero(whole & (covered != PAGE_UNITS)):
        yield f"{w.page_name(i)}: objects and free blocks have {covered[i]} of its {PAGE_UNITS} units"


def _misplaced(w: SlobSnapshot, held: Objects, i: int) -> str:
    """What is wrong with where an object is; "" when nothing is."""
    cache, page = int(held.cache[i]), int(held.page[i])
    if cache < 0:
        return "its cache is gone or never was"
    if page < 0:
        return "it lies in no page of objects"
    if held.large[i]:
        if held.start[i] or w.cache[page] != cache:
            return f"it is a large one of {w.cache_name(cache)}, and this is no beginning of such pages"
    elif not w.shared[page]:
        return f"it lies in the pages of a large object, being one of {w.cache_name(cache)}"
    elif held.start[i] + held.units[i] > PAGE_UNITS:
        return "it reaches over the end of its page"
    elif held.start[i] * UNIT_BYTES % max(1, int(w.caches["offset"][cache])):
        return f"it is not aligned to {w.caches['offset'][cache]} bytes"
    return ""


def locks(w: SlobSnapshot) -> Iterator[str]:
    """At rest nobody holds a lock, and every CPU has interrupts and preemption on."""
    yield from common_locks(w)
    if w.mem[w.slob + SLOB.lock]:
        yield f"slob_lock is held by CPU {w.mem[w.slob + SLOB.lock] - 1}"


def conservation(w: SlobSnapshot) -> Iterator[str]:
    """Conservation of objects, units and pages over all caches that are or ever were."""
    s, ops = totals(w, STATISTICS)
    shared = int(np.count_nonzero(w.shared))
    frees = s["free_to_full"] + s["free_to_partial"] + s["free_page"] + s["free_large"]
    handed = ops["alloc"] - ops["free"]
    yield from unbalanced(
        ("blocks allocated - blocks freed is {}, there are {}", ops["page_alloc"] - ops["page_free"], len(w.frames)),
        ("alloc_new_page - free_page is {}, {} pages are in shared use", s["alloc_new_page"] - s["free_page"], shared),
        (
            "alloc_large - free_large is {}, there are {} large objects",
            s["alloc_large"] - s["free_large"],
            len(w.frames) - shared,
        ),
        (
            "alloc_found + alloc_new_page + alloc_large is {}, there were {} allocations",
            s["alloc_found"] + s["alloc_new_page"] + s["alloc_large"],
            ops["alloc"],
        ),
        ("frees done + objects that wait is {}, there were {} frees", frees + len(w.waiting), ops["free"]),
        ("the heap counts {} pages in shared use, there are {}", w.mem[w.slob + SLOB.pages], shared),
        (
            "the heap counts {} free units, its pages say {}",
            w.mem[w.slob + SLOB.free_units],
            int(w.units[w.shared].sum()),
        ),
        (
            "objects live by the caches' counts are {}, allocations - frees is {}",
            int(w.caches["live"][w.live_caches].sum()),
            handed,
        ),
    )
    if w.live_objects is not None and len(w.live_objects) != handed:
        yield f"{len(w.live_objects)} objects are handed out, allocations - frees is {handed}"


SLOB_CHECKERS = {
    checker.__name__: checker for checker in (one_state, list_counts, freelists, inuse, locks, conservation)
}
