"""A slab's pages go back: at once, or after a grace period (SLAB_DESTROY_BY_RCU). For SLUB and SLAB;
SLOB defers single objects, see allocators.slob.cache.

Slabs that wait for a grace period hang on a stack, `WORLD.rcu_slabs`, linked through PAGE.next:
pushed by any CPU with a compare-and-swap, taken as a whole by the kworker. Until then they count
for their child cache, so an offline that finds a cache empty but for such slabs leaves it behind
(before P2): seen in the recorded kernels' anon_vma and sighand_cache.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, SLAB_DESTROY_BY_RCU
from allocators.core.lists import stack_push
from allocators.core.page_alloc import PAGE, free_pages
from allocators.core.world import WORLD, WORLD_AT
from allocators.memcg.memcontrol import memcg_uncharge_slab
from allocators.memcg.obj_vector import drop_vector
from shm.atomics import load, read_once, xchg
from shm.compiler import dual
from shm.machine import Machine
from shm.rcu import synchronize_sched


@dual
def release_slab(m: Machine, s: int, page: int) -> None:
    """Free and uncharge a slab that is on no list any more; the uncharge comes last."""
    if load(m, s + CACHE.flags) & SLAB_DESTROY_BY_RCU:
        _free_after_grace_period(m, page)
    else:
        _free_slab(m, s, page)


@dual
def _free_slab(m: Machine, s: int, page: int) -> None:
    order = load(m, page + PAGE.order)
    if m.has("F_OBJCG"):
        drop_vector(m, page)
    free_pages(m, page, order)
    memcg_uncharge_slab(m, s, order)


@dual
def _free_after_grace_period(m: Machine, page: int) -> None:
    stack_push(m, WORLD_AT + WORLD.rcu_slabs, page, page + PAGE.next)


@dual
def free_rcu_slabs(m: Machine) -> bool:
    """Free the slabs that wait, after one grace period; False when none waits. Kworker only."""
    if read_once(m, WORLD_AT + WORLD.rcu_slabs) == 0:
        return False
    page = xchg(m, WORLD_AT + WORLD.rcu_slabs, 0)
    synchronize_sched(m)
    while page:
        after = load(m, page + PAGE.next)
        _free_slab(m, load(m, page + PAGE.slab_cache), page)
        page = after
    return True
