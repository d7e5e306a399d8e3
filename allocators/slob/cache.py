"""The doors of SLOB: a cache is a size and an alignment, nothing is kept for it.

v3.16 mm/slob.c: slob_alloc_node, kmem_cache_free, kmem_rcu_free, __kmem_cache_shrink, __kmem_cache_shutdown.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, SLAB_DESTROY_BY_RCU
from allocators.core.lists import stack_push
from allocators.core.page_alloc import PAGE, address_of, free_pages, page_of
from allocators.core.world import OPS, PAGE_BYTES, count
from allocators.slob.alloc import NO_NODE, new_pages, slob_alloc
from allocators.slob.free import slob_free
from allocators.slob.state import OBJECT_MASK, SLOB, SLOB_STAT, cache_of, heap, reference, slob_stat
from shm.atomics import load, read_once, store, xchg
from shm.compiler import dual, dual_slow
from shm.machine import Machine
from shm.rcu import synchronize_sched


@dual
def slob_cache_alloc(m: Machine, s: int) -> int:
    """kmem_cache_alloc: a reference to an object of cache `s`, or 0."""
    size = load(m, s + CACHE.size)
    if size < PAGE_BYTES:
        return reference(m, s, slob_alloc(m, s, size, load(m, s + CACHE.offset), NO_NODE))
    return reference(m, s, _alloc_large(m, s))


@dual_slow
def _alloc_large(m: Machine, s: int) -> int:
    page = new_pages(m, load(m, s + CACHE.oo_order), NO_NODE)
    if page == 0:
        return 0
    slob_stat(m, s, SLOB_STAT.alloc_large, 1)
    # Only for observers: a kernel keeps nothing of a large object.
    store(m, page + PAGE.slab_cache, s)
    return address_of(page)


@dual
def slob_cache_free(m: Machine, s: int, ref: int) -> None:
    """kmem_cache_free: at once, or after a grace period (SLAB_DESTROY_BY_RCU)."""
    if load(m, s + CACHE.flags) & SLAB_DESTROY_BY_RCU:
        _free_after_grace_period(m, s, ref)
    else:
        _free(m, s, ref & OBJECT_MASK)


@dual
def _free(m: Machine, s: int, obj: int) -> None:
    size = load(m, s + CACHE.size)
    if size < PAGE_BYTES:
        slob_free(m, s, obj, size)
    else:
        count(m, OPS.slow)
        slob_stat(m, s, SLOB_STAT.free_large, 1)
        free_pages(m, page_of(obj), load(m, s + CACHE.oo_order))


@dual
def rcu_word(m: Machine, s: int, obj: int) -> int:
    """Where an object of `s` that waits keeps the reference to the next one: behind what was the object."""
    return obj + ((load(m, s + CACHE.object_size) + 7) >> 3)


@dual_slow
def _free_after_grace_period(m: Machine, s: int, ref: int) -> None:
    slob_stat(m, s, SLOB_STAT.free_deferred, 1)
    stack_push(m, heap(m) + SLOB.waiting, ref, rcu_word(m, s, ref & OBJECT_MASK))


@dual
def free_waiting_objects(m: Machine) -> bool:
    """kmem_rcu_free: free the objects that wait, after one grace period; False when none does. Kworker only."""
    top = heap(m) + SLOB.waiting
    if read_once(m, top) == 0:
        return False
    ref = xchg(m, top, 0)
    synchronize_sched(m)
    while ref:
        s = cache_of(m, ref)
        after = load(m, rcu_word(m, s, ref & OBJECT_MASK))
        _free(m, s, ref & OBJECT_MASK)
        ref = after
    return True


@dual
def slob_shrink(m: Machine, s: int) -> int:
    """__kmem_cache_shrink: there is nothing to give back; 0. (P5 takes the result away, which nobody reads.)"""
    return 0


@dual
def slob_shutdown(m: Machine, s: int) -> bool:
    """__kmem_cache_shutdown: whether objects are left cannot be told, so it is always done."""
    return True


@dual
def slob_ipi(m: Machine, func: int, arg: int) -> None:
    """SLOB interrupts nobody."""
