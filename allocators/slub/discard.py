"""A slab's end: discard_slab, at once or after a grace period (v3.16; SLAB_DESTROY_BY_RCU).

Slabs that wait for a grace period hang on a stack, `WORLD.rcu_slabs`, linked through PAGE.next:
pushed by any CPU with a compare-and-swap, taken as a whole by the kworker. Until then they count
for their child cache, so an offline that finds a cache empty but for such slabs leaves it behind
(before P2): seen in the recorded kernels' anon_vma and sighand_cache.
"""

from __future__ import annotations

from allocators.kmem_cache import CACHE, NODE, SLAB_DESTROY_BY_RCU, node_of
from allocators.memcontrol import memcg_uncharge_slab
from allocators.page_alloc import PAGE, free_pages
from allocators.slub.state import objects_of
from allocators.world import WORLD, WORLD_AT
from shm.atomics import cmpxchg, fetch_add, load, read_once, store, xchg
from shm.compiler import dual
from shm.rcu import synchronize_sched


@dual
def discard_slab(m, s: int, page: int) -> None:
    """Give an empty slab's pages back. The uncharge comes last: after it `s` may be gone (R1)."""
    n = node_of(m, s, load(m, page + PAGE.node))
    fetch_add(m, n + NODE.nr_slabs, -1)
    fetch_add(m, n + NODE.total_objects, -objects_of(load(m, page + PAGE.pair)))
    if load(m, s + CACHE.flags) & SLAB_DESTROY_BY_RCU:
        _free_after_grace_period(m, page)
    else:
        free_slab(m, s, page)


@dual
def free_slab(m, s: int, page: int) -> None:
    """Free the pages, then uncharge."""
    order = load(m, page + PAGE.order)
    free_pages(m, page, order)
    memcg_uncharge_slab(m, s, order)


@dual
def _free_after_grace_period(m, page: int) -> None:
    while True:
        top = read_once(m, WORLD_AT + WORLD.rcu_slabs)
        store(m, page + PAGE.next, top)
        if cmpxchg(m, WORLD_AT + WORLD.rcu_slabs, top, page) == top:
            return


@dual
def free_rcu_slabs(m) -> bool:
    """Free the slabs that wait, after one grace period; False when none waits. Kworker only."""
    if read_once(m, WORLD_AT + WORLD.rcu_slabs) == 0:
        return False
    page = xchg(m, WORLD_AT + WORLD.rcu_slabs, 0)
    synchronize_sched(m)
    while page:
        after = load(m, page + PAGE.next)
        free_slab(m, load(m, page + PAGE.slab_cache), page)
        page = after
    return True
