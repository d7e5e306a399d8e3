"""What can be wrong, and the oracles that look when nothing can run any more.

| kind | what |
|---|---|
| use after free | an operation on a word of a destroyed cache or a freed page (`stress.explore.world.guard`) |
| leak | at rest, a dead cache with nothing alive in it is still there; says where its slabs hide |
| double hand-out | an allocation returned an object that is in use |
| corruption | at rest, an invariant of `allocators.invariants` does not hold |
| assertion | an assertion of allocator code failed: second destroy, reference underflow, allocation from a dead cache |
| deadlock | nothing can run and a task has not ended: a cycle of locks, or a wake-up that was lost |
| endless loop | one execution makes more operations than any that ends: a cycle in a list |
| wild access | a pointer that points nowhere |
| data race | two accesses to a word in no order, one a write, one of them plain (`stress.explore.space.clocks`) |
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from allocators.caches.layout import Layout
from allocators.core.kmem_cache import CACHE, CACHE_LIVE
from allocators.core.page_alloc import PAGE
from allocators.core.world import MEM_MAP, PAGE_SHIFT
from allocators.invariants import check, hoarded_by_dead
from shm.machine import Machine
from stress.explore.space.violation import Violation


def at_rest(m: Machine, layout: Layout, live: np.ndarray, *, stats: bool) -> None:
    """Raises Violation for a leak or a broken invariant.

    m: the world at rest, its words an array. live: objects that are in use. stats: check the statistics too.
    """
    _leak(m, layout, live)
    report = check(m, layout, live, stats=stats)
    if report.violated:
        raise Violation("corruption", "; ".join(f"{name}: {text}" for name, text in report.violated[:2]))


def _leak(m: Machine, layout: Layout, live: np.ndarray) -> None:
    base = layout.plan["caches"]
    alive = Counter(_cache_of(m, int(obj)) for obj in live)
    for number in range(layout.limits.caches):
        s = base + number * CACHE.SIZE
        if m.mem[s + CACHE.state] == CACHE_LIVE and m.mem[s + CACHE.offline] and not alive[s]:
            places = Counter(
                f"{h.place} of {'cpu' if h.place.startswith('cpu') else 'node'} {h.number}"
                for h in hoarded_by_dead(m, layout)
            )
            where = ", ".join(f"{n} empty slab{'s' if n > 1 else ''} in {place}" for place, n in places.items())
            references = m.mem[s + CACHE.refcnt]
            raise Violation(
                "leak",
                f"cache {number} is dead and holds no object but stays, {references} references: "
                f"{where or 'no slab holds it'}",
            )


def _cache_of(m: Machine, obj: int) -> int:
    """The cache that an object belongs to."""
    head = m.mem[MEM_MAP + (obj >> PAGE_SHIFT) * PAGE.SIZE + PAGE.head]
    return int(m.mem[head + PAGE.slab_cache])
