"""The checkers that are SLAB's own; names and rules beside SLUB's in the package's table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.world import WORLD, WORLD_AT
from allocators.invariants.accounting import totals, unbalanced
from allocators.invariants.registry import locks as common_locks
from allocators.invariants.slab_snapshot import (
    ALIEN_ARRAY,
    CPU_ARRAY,
    FREE,
    FULL,
    IS_FREE,
    LISTS,
    PARTIAL,
    SHARED_ARRAY,
    Array,
    SlabSnapshot,
)
from allocators.invariants.slabs import linked, of_no_cache
from allocators.invariants.snapshot import RCU_WAIT
from allocators.slab.state import ALIEN_LIMIT, ARRAY_CACHE, STATISTICS


def one_state(w: SlabSnapshot) -> Iterator[str]:
    """A slab is on the full, partial or free list of its node, as `active` says, or waits, empty, for a
    grace period."""
    yield from of_no_cache(w)
    for slabs in w.lists:
        frames = np.array(slabs.frames, np.int64)
        at = w.slab_at[frames]
        for frame in frames[at < 0]:
            yield f"frame {frame} is on {slabs} of {w.cache_name(slabs.cache)} and is no slab"
        at = at[at >= 0]
        active, num = w.used[at], w.objects[at]
        right = {
            PARTIAL: (active > 0) & (active < num),
            FULL: active == num,
            FREE: active == 0,
            RCU_WAIT: active == 0,
        }[slabs.place]
        for i in at[~right]:
            yield f"{w.slab_name(i)} is on {slabs} with {w.used[i]} of {w.objects[i]} objects active"
        if slabs.place in LISTS:
            for i in at[(w.cache[at] != slabs.cache) | (w.node[at] != slabs.number)]:
                yield f"{w.slab_name(i)}, which lies on node {w.node[i]}, is on {slabs} of {w.cache_name(slabs.cache)}"
    for i in np.flatnonzero(w.claimed[w.frames] == 0):
        yield f"{w.slab_name(i)} is on no list, {w.used[i]} of {w.objects[i]} objects active"


def list_counts(w: SlabSnapshot) -> Iterator[str]:
    """Lists are linked both ways; free_objects, nr_slabs and total_objects are what they count."""
    for slabs in w.lists:
        if slabs.problem:
            yield f"{slabs} of {w.cache_name(slabs.cache)} {slabs.problem}"
        elif slabs.place in LISTS:
            yield from linked(w, slabs, w.slab_nodes[slabs.place][slabs.cache, slabs.number, 1])
    live = w.live_caches
    known = ~w.discarded & (w.cache >= 0) & (w.node >= 0) & (w.node < w.layout.limits.nodes)
    flat = w.cache[known] * w.layout.limits.nodes + w.node[known]
    for table, field, weights in (
        (w.nodes, "nr_slabs", None),
        (w.nodes, "total_objects", w.objects[known]),
        (w.slab_nodes, "free_objects", (w.objects - w.used)[known]),
    ):
        seen = np.bincount(flat, weights, minlength=w.nodes.size).astype(np.int64).reshape(w.nodes.shape)
        for i, node in np.argwhere(table[field][live] != seen[live]).tolist():
            cache = live[i]
            yield (
                f"{w.cache_name(cache)}, node {node}: {field} is {table[field][cache, node]}, its slabs show "
                f"{seen[cache, node]}"
            )


def freelists(w: SlabSnapshot) -> Iterator[str]:
    """An index array names free objects, each once; arrays hold objects of slabs, and an object is free
    in its slab or in one array, once."""
    yield from w.problems


def arrays(w: SlabSnapshot) -> Iterator[str]:
    """Arrays hold 0 to `limit` objects, of their cache and of the node they belong to; limits are the
    cache's tunables (P8v2: 0 once it is dead), and a CPU has an array unless it is dead under P8v3."""
    for array in w.arrays:
        name = f"{array} of {w.cache_name(array.cache)}"
        limit = _limit(w, array)
        if array.limit != limit:
            yield f"{name}: limit is {array.limit}, not {limit}"
        if not 0 <= array.avail <= min(array.limit, array.room):
            yield f"{name}: avail is {array.avail}, its limit {array.limit}"
        slab, _ = w.locate(array.entries) if len(array.entries) else (array.entries, None)
        slab = slab[slab >= 0]
        for i in slab[(w.cache[slab] != array.cache) | (w.node[slab] != array.home)]:
            yield f"{name} holds an object of {w.slab_name(i)}, which lies on node {w.node[i]}"
    have = {(a.cache, a.number) for a in w.arrays if a.place == CPU_ARRAY}
    for cache in w.live_caches.tolist():
        none = w.m.has("P8v3") and bool(w.caches["dead"][cache])
        for cpu in range(w.layout.limits.workers):
            if ((cache, cpu) in have) == none:
                yield f"{w.cache_name(cache)}: CPU {cpu} has {'an' if none else 'no'} array"


def _limit(w: SlabSnapshot, array: Array) -> int:
    c = w.caches[array.cache]
    if w.m.has("P8v2") and c["dead"]:
        return 0
    limits = {
        CPU_ARRAY: c["limit"],
        SHARED_ARRAY: c["shared"] * c["batchcount"],
        ALIEN_ARRAY: ALIEN_LIMIT if c["limit"] > 1 else 1,
    }
    return int(limits[array.place])


def inuse(w: SlabSnapshot) -> Iterator[str]:
    """The objects handed out are the active ones that wait in no array, each once."""
    assert w.live_objects is not None
    live, times = np.unique(np.asarray(w.live_objects, np.int64), return_counts=True)
    for i in np.flatnonzero(times > 1):
        yield f"the object at word {live[i]} is handed out {times[i]} times"
    slab, number = w.locate(live)
    for word in live[slab < 0]:
        yield f"the object at word {word} is handed out and is no object of a slab of a live cache"
    slab, number = slab[slab >= 0], number[slab >= 0]
    mark = w.marks[w.first[slab] + number]
    for i in np.flatnonzero(mark):
        what = "free in its slab" if mark[i] & IS_FREE else "in an array"
        yield f"{w.slab_name(slab[i])}: object {number[i]} is handed out and {what}"
    handed = np.bincount(slab, minlength=len(w.frames))
    for i in np.flatnonzero(w.sound & (handed + w.waiting != w.used)):
        yield (
            f"{w.slab_name(i)}: {handed[i]} objects are handed out and {w.waiting[i]} wait in arrays, active is "
            f"{w.used[i]}"
        )


def locks(w: SlabSnapshot) -> Iterator[str]:
    """At rest nobody holds a lock, and every CPU has interrupts and preemption on."""
    yield from common_locks(w)
    for cache, node in np.argwhere(w.slab_nodes["list_lock"] != 0).tolist():
        yield (
            f"the list_lock of {w.cache_name(cache)}, node {node}, is held by CPU "
            f"{w.slab_nodes['list_lock'][cache, node] - 1}"
        )
    for array in w.arrays:
        if array.room and w.mem[array.at + ARRAY_CACHE.lock]:
            yield (
                f"the lock of {array} of {w.cache_name(array.cache)} is held by CPU "
                f"{w.mem[array.at + ARRAY_CACHE.lock] - 1}"
            )


def conservation(w: SlabSnapshot) -> Iterator[str]:
    """Conservation of objects, slabs and pages over all caches that are or ever were."""
    s, ops = totals(w, STATISTICS)
    frees = s["freehit"] + s["freemiss"] + s["node_frees"] + s["free_noarray"]
    handed = ops["alloc"] - ops["free"]
    known = w.cache >= 0
    yield from unbalanced(
        ("blocks allocated - blocks freed is {}, slabs have {}", ops["page_alloc"] - ops["page_free"], len(w.frames)),
        ("grown is {}, {} blocks were allocated", s["grown"], ops["page_alloc"]),
        (
            "allochit + allocmiss is {}, there were {} allocations, failed ones included",
            s["allochit"] + s["allocmiss"],
            ops["alloc"] + ops["alloc_failed"],
        ),
        ("freehit + freemiss + node_frees + free_noarray is {}, there were {} frees", frees, ops["free"]),
        (
            "num_active of all caches is {}, their slabs have {} active objects",
            int(w.caches["num_active"][w.live_caches].sum()),
            int(w.used[known].sum()),
        ),
        (
            "objects live by the caches' counts are {}, allocations - frees is {}",
            int(w.caches["live"][w.live_caches].sum()),
            handed,
        ),
    )
    gone = s["reaped"] + w.mem[WORLD_AT + WORLD.shrink_discarded]
    ended = ops["page_free"] + int(np.count_nonzero(w.discarded))
    if gone > ended:
        yield f"the reaper and shrink destroyed {gone} slabs, only {ended} were destroyed at all"
    if s["reaped"] < 0 or s["allocations"] < int(w.used[known].sum()):
        yield f"reaped is {s['reaped']}, allocations {s['allocations']} with {int(w.used[known].sum())} objects active"
    if w.live_objects is not None and len(w.live_objects) != handed:
        yield f"{len(w.live_objects)} objects are handed out, allocations - frees is {handed}"


SLAB_CHECKERS = {
    checker.__name__: checker for checker in (one_state, list_counts, freelists, arrays, inuse, locks, conservation)
}
