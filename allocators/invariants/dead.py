"""What caches of offline cgroups hold: not an invariant, but what designs are measured by (I9)."""

from __future__ import annotations

from collections import Counter
from typing import Iterator, NamedTuple

import numpy as np

from allocators.invariants.objects import object_map
from allocators.invariants.snapshot import CPU_PARTIAL, CPU_SLAB, NODE_PARTIAL, Snapshot
from allocators.world import Layout
from shm.machine import Machine

PLACES = (CPU_SLAB, CPU_PARTIAL, NODE_PARTIAL)


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
    w = Snapshot(m, layout)
    private = object_map(w).private
    for slabs in w.lists:
        if slabs.place in PLACES and w.caches["offline"][slabs.cache]:
            for frame in slabs.frames:
                i = w.slab_at[frame]
                if i >= 0 and w.used[i] == private[i]:
                    yield Hoarded(slabs.place, slabs.cache, slabs.number, frame)


def empty_slabs(m: Machine, layout: Layout) -> dict[str, int]:
    """Empty slabs of dead caches by hiding place: cpu_slab, cpu_partial, node_partial."""
    found = Counter(slab.place for slab in hoarded_by_dead(m, layout))
    return {place: found[place] for place in PLACES}


def left_behind(m: Machine, layout: Layout) -> tuple[int, int, int]:
    """(caches, slabs, pages) of cgroups that are offline, empty slabs or not."""
    w = Snapshot(m, layout)
    offline = w.caches["offline"] != 0
    mine = (w.cache >= 0) & offline[w.cache]
    return int(np.count_nonzero(offline[w.live_caches])), int(np.count_nonzero(mine)), int((1 << w.order[mine]).sum())
