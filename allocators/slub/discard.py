"""A slab's end: discard_slab, at once or after a grace period (v3.16; SLAB_DESTROY_BY_RCU).

The slab is empty, unfrozen and on no list, so it is the caller's alone. No lock is held.
"""

from __future__ import annotations

from allocators.core.kmem_cache import NODE, node_of
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import objects_of
from allocators.core.world import WORLD, WORLD_AT
from allocators.memcg.slab_pages import release_slab
from shm.atomics import add_book, fetch_add, load, store
from shm.compiler import dual
from shm.machine import Machine


@dual
def tally_discard(m: Machine) -> None:
    """Count a slab that is discarded where SLUB_STATS counts none: by shrink, or (F_NOCPUSLAB) by a refill."""
    a = WORLD_AT + WORLD.shrink_discarded
    if m.has("F_NOCPUSLAB"):
        add_book(m, a, 1)
    else:
        store(m, a, load(m, a) + 1)  # kworker only


@dual
def discard_slab(m: Machine, s: int, page: int) -> None:
    """Give an empty slab's pages back. The uncharge comes last: after it `s` may be gone (R1)."""
    n = node_of(m, s, load(m, page + PAGE.node))
    fetch_add(m, n + NODE.nr_slabs, -1)
    fetch_add(m, n + NODE.total_objects, -objects_of(load(m, page + PAGE.pair)))
    release_slab(m, s, page)
