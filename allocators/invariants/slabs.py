"""Where slabs are: each in one place, and every counter equal to what the lists and the mem_map show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.page_alloc import PAGE
from allocators.core.world import MEM_MAP
from allocators.invariants.snapshot import CPU_PARTIAL, CPU_SLAB, FULL, NODE_PARTIAL, RCU_WAIT, SlabList, Snapshot
from allocators.slub.partial import PAGES_SHIFT, POBJECTS_MASK
from allocators.slub.state import OFF_LIST


def of_no_cache(w: Snapshot) -> Iterator[str]:
    """Slabs whose slab_cache is no cache that lives."""
    for i in np.flatnonzero(w.cache < 0):
        yield (
            f"slab at frame {w.frames[i]} belongs to word {w.pages['slab_cache'][w.frames[i]]}, which is no live cache"
        )


def one_state(w: Snapshot) -> Iterator[str]:
    """A slab is the CPU slab or on one CPU partial list (both frozen), on its node's partial list (not
    frozen, with free objects), or full (not frozen, no free object, on no list; with F_FULL, in a child
    cache, on its node's full list), or discarded, empty and waiting for a grace period. F_REPARENT_SLABS:
    until a child that was given up is re-parented, frees leave a slab where it is, free objects or none."""
    yield from of_no_cache(w)
    for slabs in w.lists:
        frames = np.array(slabs.frames, np.int64)
        at = w.slab_at[frames]
        where = f"is {'' if slabs.place == CPU_SLAB else 'on '}{slabs}"
        for frame in frames[at < 0]:
            yield f"frame {frame} {where} of {w.cache_name(slabs.cache)} and is no slab"
        at = at[at >= 0]
        if slabs.place == RCU_WAIT:
            for i in at[w.used[at] != 0]:
                yield f"{w.slab_name(i)} {where} with {w.used[i]} objects in use"
        else:
            for i in at[w.cache[at] != slabs.cache]:
                yield f"{w.slab_name(i)} {where} of {w.cache_name(slabs.cache)}"
        if slabs.place == NODE_PARTIAL:
            for i in at[w.node[at] != slabs.number]:
                yield f"{w.slab_name(i)} lies on node {w.node[i]} and {where}"
            for i in at[w.freelist[at] == 0]:
                yield f"{w.slab_name(i)} {where} without a free object"
        if slabs.place == FULL:
            for i in at[w.node[at] != slabs.number]:
                yield f"{w.slab_name(i)} lies on node {w.node[i]} and {where}"
            given_up = w.caches["ref_atomic"][slabs.cache] != 0 and w.m.has("F_REPARENT_SLABS")
            for i in at[(w.freelist[at] != 0) & (not given_up)]:
                yield f"{w.slab_name(i)} {where} with free objects"
            if not w.caches["root"][slabs.cache]:
                yield f"{w.cache_name(slabs.cache)} is a root cache and has a full list"
        frozen = slabs.place in (CPU_SLAB, CPU_PARTIAL)
        for i in at[w.frozen[at] != frozen]:
            yield f"{w.slab_name(i)} {where} and is {'not ' if frozen else ''}frozen"
    lost = w.claimed[w.frames] == 0
    if w.m.has("F_NOCPUSLAB"):
        # What is discarded waits as it was: off the list when it was full and all its objects came at once.
        off = w.pages["prev"][w.frames] == OFF_LIST
        for i in np.flatnonzero((off != lost) & ~w.discarded):
            marked, found = "no" if off[i] else "a", "none" if lost[i] else "one"
            yield f"{w.slab_name(i)} is marked as on {marked} list and is on {found}"
    for i in np.flatnonzero(lost & (w.frozen != 0)):
        yield f"{w.slab_name(i)} is frozen and on no list"
    if w.m.has("F_FULL"):
        # What has no cache is told of already, whatever is read for it here.
        for i in np.flatnonzero(lost & (w.caches["root"][w.cache] != 0)):
            yield f"{w.slab_name(i)} is on no list, not even that of full slabs"
    for i in np.flatnonzero(lost & (w.freelist != 0)):
        yield f"{w.slab_name(i)} has free objects ({w.used[i]} of {w.objects[i]} in use) and is on no list"


def list_counts(w: Snapshot) -> Iterator[str]:
    """Lists are linked both ways; nr_partial, pages, nr_slabs and total_objects are what they count."""
    lengths = np.zeros(w.nodes.shape, np.int64)
    for slabs in w.lists:
        if slabs.problem:
            yield f"{slabs} of {w.cache_name(slabs.cache)} {slabs.problem}"
        if slabs.place == NODE_PARTIAL:
            lengths[slabs.cache, slabs.number] = len(slabs.frames)
            if not slabs.problem:
                yield from linked(w, slabs, w.nodes["last"][slabs.cache, slabs.number])
        elif slabs.place == FULL and not slabs.problem:
            yield from linked(w, slabs)
        elif slabs.place == CPU_PARTIAL and not slabs.problem:
            yield from _stacked(w, slabs)
    live = w.live_caches
    for i, node in np.argwhere(w.nodes["nr_partial"][live] != lengths[live]).tolist():
        cache = live[i]
        yield (
            f"{w.cache_name(cache)}, node {node}: nr_partial is {w.nodes['nr_partial'][cache, node]}, "
            f"its partial list has {lengths[cache, node]} slabs"
        )
    known = ~w.discarded & (w.cache >= 0) & (w.node >= 0) & (w.node < w.layout.limits.nodes)
    flat = w.cache[known] * w.layout.limits.nodes + w.node[known]
    for field, weights in (("nr_slabs", None), ("total_objects", w.objects[known])):
        seen = np.bincount(flat, weights, minlength=w.nodes.size).astype(np.int64).reshape(w.nodes.shape)
        for i, node in np.argwhere(w.nodes[field][live] != seen[live]).tolist():
            cache = live[i]
            yield (
                f"{w.cache_name(cache)}, node {node}: {field} is {w.nodes[field][cache, node]}, "
                f"the mem_map shows {seen[cache, node]}"
            )


def linked(w: Snapshot, slabs: SlabList, last: int | None = None) -> Iterator[str]:
    """The way back of a list that leads somewhere, and where its head says that it ends (None: it does not say)."""
    frames = np.array(slabs.frames)
    address = MEM_MAP + frames * PAGE.SIZE
    prev = w.pages["prev"][frames]
    expected = np.r_[0, address[:-1]]
    for i in np.flatnonzero(prev != expected):
        yield (
            f"{slabs} of {w.cache_name(slabs.cache)}: frame {frames[i]} has prev {prev[i]}, its predecessor is "
            f"{expected[i]}"
        )
    if last is not None and last != address[-1]:
        yield f"{slabs} of {w.cache_name(slabs.cache)}: last is {last}, the list ends with {address[-1]}"


def _stacked(w: Snapshot, slabs: SlabList) -> Iterator[str]:
    """The counts that each slab of a CPU partial stack keeps of itself and those below it."""
    below_pages = below_objects = 0
    for frame in reversed(slabs.frames):
        packed = int(w.pages["prev"][frame])
        pages, objects = packed >> PAGES_SHIFT, packed & POBJECTS_MASK
        where = f"{slabs} of {w.cache_name(slabs.cache)}: frame {frame}"
        if pages != below_pages + 1:
            yield f"{where} says {pages} pages from here down, there are {below_pages + 1}"
        capacity = int(w.objects[w.slab_at[frame]]) if w.slab_at[frame] >= 0 else 0
        if not 0 <= objects - below_objects <= capacity:
            yield (
                f"{where} says {objects} free objects from here down and {below_objects} below it; the slab has "
                f"{capacity}"
            )
        below_pages, below_objects = pages, objects
