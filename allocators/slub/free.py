"""SLUB's free: fast path, and the slow path's cases A to D of the specification (v3.16 __slab_free).

The hook of P7, P7v3, P7v4 and P7b is in put_cpu_partial, that of P7v2 and P7a here; F_NP keeps preemption off over
the whole free, so that a sched-RCU grace period is a barrier against every free that runs. F_FULL, of
the re-parenting RFC, takes a child's slab off its node's full list.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE, SLAB_NO_CPU_PARTIAL, node_of
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import FROZEN, freelist_of, inuse_of
from allocators.core.world import OPS, count
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.deactivate import flush_all
from allocators.slub.discard import discard_slab
from allocators.slub.partial import (
    add_partial,
    enough_partial,
    put_cpu_partial,
    remove_full,
    remove_partial,
    unfreeze_partials,
)
from allocators.slub.state import STAT, cas_page, cas_this_cpu, cpu_pair, cpu_slab, next_tid, stat
from shm.atomics import load, local_irq_restore, local_irq_save, preempt_disable, preempt_enable, read_once, store
from shm.compiler import dual, dual_inline, dual_slow
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine


@dual_inline
def slab_free(m: Machine, s: int, page: int, obj: int) -> None:
    """kmem_cache_free: `obj` of the slab `page`, which belongs to cache `s`."""
    if m.has("F_NP") and m.has("PREEMPT"):
        preempt_disable(m)
    while True:
        if m.has("PREEMPT"):
            preempt_disable(m)
        c = cpu_slab(m, s)
        pair = read_once(m, c + KMEM_CACHE_CPU.pair)
        # Read together with the transaction id: the swap below fails if the CPU slab has changed.
        mine = read_once(m, c + KMEM_CACHE_CPU.page) == page
        if m.has("PREEMPT"):
            preempt_enable(m)
        if not mine:
            slab_free_slow(m, s, page, obj)
            break
        store(m, obj + load(m, s + CACHE.offset), freelist_of(pair))
        if cas_this_cpu(m, c + KMEM_CACHE_CPU.pair, pair, cpu_pair(obj, next_tid(pair))):
            stat(m, s, STAT.free_fastpath)
            break
        stat(m, s, STAT.cmpxchg_double_cpu_fail)
    if m.has("F_NP") and m.has("PREEMPT"):
        preempt_enable(m)


@dual
def _flush_pushed(m: Machine, s: int, page: int) -> None:
    """P7v2: a dead cache's slab was pushed on the partial stack of this CPU, or of one before a migration (R5)."""
    if memcg_cache_dead(m, s):
        flags = local_irq_save(m)
        here = read_once(m, cpu_slab(m, s) + KMEM_CACHE_CPU.partial) == page
        if here:
            unfreeze_partials(m, s)
        local_irq_restore(m, flags)
        if not here:
            flush_all(m, s)


@dual_slow
def slab_free_slow(m: Machine, s: int, page: int, obj: int) -> None:
    """__slab_free: push the object on the page's freelist and see to where the slab belongs now."""
    count(m, OPS.slow)
    stat(m, s, STAT.free_slowpath)
    offset = load(m, s + CACHE.offset)
    cpu_partials = load(m, s + CACHE.flags) & SLAB_NO_CPU_PARTIAL == 0
    n = 0
    flags = 0
    while True:
        if n:
            spin_unlock(m, n + NODE.list_lock)
            local_irq_restore(m, flags)
            n = 0
        old = read_once(m, page + PAGE.pair)
        prior = freelist_of(old)
        store(m, obj + offset, prior)
        # One less in use, the object first on the freelist.
        new = (obj << 32) | ((old & 0xFFFFFFFF) - 1)
        frozen = old & FROZEN
        freeze = False
        if frozen == 0 and (inuse_of(new) == 0 or prior == 0):
            hoard = cpu_partials and prior == 0
            if m.has("P7a") and hoard:
                hoard = not memcg_cache_dead(m, s)
            lock = not hoard
            if hoard:
                # The slab was full and on no list: freeze it for this CPU's partial stack.
                new |= FROZEN
                freeze = True
                if m.has("F_FULL"):
                    lock = load(m, s + CACHE.root) != 0
            if lock:
                n = node_of(m, s, load(m, page + PAGE.node))
                flags = local_irq_save(m)
                spin_lock(m, n + NODE.list_lock, LIST_LOCK)
        if cas_page(m, s, page, old, new):
            break
    if m.has("F_FULL") and n and prior == 0 and load(m, s + CACHE.root):
        remove_full(m, n, page)
        if freeze:
            spin_unlock(m, n + NODE.list_lock)
            local_irq_restore(m, flags)
            n = 0
    if n == 0:
        if freeze:
            put_cpu_partial(m, s, page, True)
            if m.has("P7v2"):
                _flush_pushed(m, s, page)
            stat(m, s, STAT.cpu_partial_free)
        elif frozen:
            stat(m, s, STAT.free_frozen)
        return
    if inuse_of(new) == 0 and enough_partial(m, s, n):
        if prior:
            remove_partial(m, n, page)
            stat(m, s, STAT.free_remove_partial)
        spin_unlock(m, n + NODE.list_lock)
        local_irq_restore(m, flags)
        stat(m, s, STAT.free_slab)
        discard_slab(m, s, page)
        return
    if prior == 0:
        add_partial(m, n, page, True)
        stat(m, s, STAT.free_add_partial)
    spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
