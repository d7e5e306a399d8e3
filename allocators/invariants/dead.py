"""What caches of offline cgroups hold: not an invariant, but what designs are measured by (I9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from allocators.caches.layout import Layout
from allocators.invariants.objects import object_map
from allocators.invariants.sheaves import kept_by_sheaves
from allocators.invariants.slab_snapshot import ALIEN_ARRAY, CPU_ARRAY, FREE, SHARED_ARRAY, SlabSnapshot
from allocators.invariants.snapshot import CPU_PARTIAL, CPU_SLAB, NODE_PARTIAL, Snapshot
from shm.machine import Machine

PLACES = (CPU_SLAB, CPU_PARTIAL, NODE_PARTIAL)
SLAB_ARRAYS = (CPU_ARRAY, SHARED_ARRAY, ALIEN_ARRAY)
SLAB_PLACES = (*SLAB_ARRAYS, FREE)


class Hoarded(NamedTuple):
    """An empty slab of a dead cache. number: the CPU's or the node's that keeps it."""

    place: str
    cache: int
    number: int
    frame: int


def hoarded_by_dead(m: Machine, layout: Layout) -> Iterator[Hoarded]:
    """Every slab without a live object in a cache whose cgroup is offline.

    A design that reaches I9 leaves none; before the series all of them stay, and v1 leaves those on
    CPUs that its flush did not tell (races R6 and R12).
    """
    if m.has("SLOB"):
        return
    if layout.arrays is not None:
        yield from _hoarded_by_arrays(SlabSnapshot(m, layout))
        return
    w = Snapshot(m, layout)
    private = object_map(w).private
    for slabs in w.lists:
        if slabs.place in PLACES and w.caches["offline"][slabs.cache]:
            for frame in slabs.frames:
                i = w.slab_at[frame]
                if i >= 0 and w.used[i] == private[i]:
                    yield Hoarded(slabs.place, slabs.cache, slabs.number, frame)


def _hoarded_by_arrays(w: SlabSnapshot) -> Iterator[Hoarded]:
    """SLAB: slabs on slabs_free, and those whose active objects all wait in arrays.

    A slab of which several kinds of array hold objects is the CPUs' before the shared ones'.
    """
    alive = w.used - w.waiting
    for slabs in w.lists:
        if slabs.place == FREE and w.caches["offline"][slabs.cache]:
            for frame in slabs.frames:
                yield Hoarded(FREE, slabs.cache, slabs.number, frame)
    seen: set[int] = set()
    for place in SLAB_ARRAYS:
        for array in w.arrays:
            if array.place == place and len(array.entries) and w.caches["offline"][array.cache]:
                slab, _ = w.locate(array.entries)
                for i in np.unique(slab[slab >= 0]).tolist():
                    if alive[i] == 0 and i not in seen:
                        seen.add(i)
                        yield Hoarded(place, array.cache, array.number, int(w.frames[i]))


def empty_slabs(m: Machine, layout: Layout) -> dict[str, int]:
    """Empty slabs of dead caches by hiding place; SLOB has neither."""
    if m.has("SLOB"):
        return {}
    found = Counter(slab.place for slab in hoarded_by_dead(m, layout))
    return {place: found[place] for place in (PLACES if layout.arrays is None else SLAB_PLACES)}


def hidden_objects(m: Machine, layout: Layout) -> dict[str, int]:
    """SLAB: free objects of dead caches by hiding place; nothing for other allocators."""
    if layout.arrays is None:
        return {}
    w = SlabSnapshot(m, layout)
    found = Counter(dict.fromkeys(SLAB_PLACES, 0))
    for array in w.arrays:
        if w.caches["offline"][array.cache]:
            found[array.place] += len(array.entries)
    for slabs in w.lists:
        if slabs.place == FREE and w.caches["offline"][slabs.cache]:
            found[FREE] += len(slabs.frames) * int(w.caches["oo_objects"][slabs.cache])
    return dict(found)


def sheaf_census(m: Machine, layout: Layout) -> dict[str, int]:
    """F_SHEAF: what hides in sheaves and barns (of live caches: there are no dead ones); else nothing."""
    if not m.has("F_SHEAF"):
        return {}
    w = Snapshot(m, layout)
    return kept_by_sheaves(w, object_map(w).private)


def left_behind(m: Machine, layout: Layout) -> tuple[int, int, int]:
    """(caches, slabs, pages) of cgroups that are offline, empty slabs or not."""
    w = Snapshot(m, layout)
    offline = w.caches["offline"] != 0
    mine = (w.cache >= 0) & offline[w.cache]
    return int(np.count_nonzero(offline[w.live_caches])), int(np.count_nonzero(mine)), int((1 << w.order[mine]).sum())
