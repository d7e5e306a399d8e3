"""The partial lists: each node's, and each CPU's stack of frozen slabs.

v3.16: put_cpu_partial, unfreeze_partials, add_partial, remove_partial; P6 and P7 of the series, P7v4
of 4.0.

A node's list: under its list_lock. A CPU's stack: pushed by its CPU by a this-CPU compare-and-swap (P6's refill: by
stores, interrupts off), emptied by its CPU, interrupts off; other CPUs only look whether there is something.

A slab on the CPU partial stack is linked through `next`; `prev` packs pages:32 | pobjects:32 of the
stack from that slab down, a snapshot of the push: later frees into these slabs do not update it.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE, list_add_head, list_add_tail, list_del, node_of
from allocators.core.lists import list_push, list_remove
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import FROZEN, inuse_of, objects_of
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.discard import discard_slab
from allocators.slub.state import PARTIAL_DISABLED, STAT, cas_page, cas_this_cpu, cpu_slab, stat
from shm.atomics import (
    load,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    write_once,
)
from shm.compiler import dual, dual_slow
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine

PAGES_SHIFT = 32
POBJECTS_MASK = (1 << 32) - 1


@dual
def add_partial(m: Machine, n: int, page: int, tail: bool) -> None:
    """Put a slab on the node's partial list; list_lock held."""
    write_once(m, n + NODE.nr_partial, load(m, n + NODE.nr_partial) + 1)
    if tail:
        list_add_tail(m, n, page)
    else:
        list_add_head(m, n, page)


@dual
def remove_partial(m: Machine, n: int, page: int) -> None:
    """Take a slab off the node's partial list; list_lock held."""
    list_del(m, n, page)
    write_once(m, n + NODE.nr_partial, load(m, n + NODE.nr_partial) - 1)


@dual
def add_full(m: Machine, n: int, page: int) -> None:
    """F_FULL: put a full slab of a child cache on its node's full list; list_lock held."""
    list_push(m, n + NODE.full, page, PAGE.next, PAGE.prev)


@dual
def remove_full(m: Machine, n: int, page: int) -> None:
    """F_FULL: take a slab off its node's full list; list_lock held."""
    list_remove(m, n + NODE.full, page, PAGE.next, PAGE.prev)


@dual
def enough_partial(m: Machine, s: int, n: int) -> bool:
    """May an empty slab be discarded, with this many on the node's list? F_OBO: >= instead of >.

    F_REPARENT_SLABS: not of a child that is given up; who frees in slow mode may hold the page's lock, which only the
    re-parenter takes.
    """
    if m.has("F_REPARENT_SLABS") and read_once(m, s + CACHE.ref_atomic):
        return False
    if m.has("F_OBO"):
        return read_once(m, n + NODE.nr_partial) >= read_once(m, s + CACHE.min_partial)
    return read_once(m, n + NODE.nr_partial) > read_once(m, s + CACHE.min_partial)


@dual
def unfreeze_partials(m: Machine, s: int) -> None:
    """Move this CPU's partial stack to the nodes' lists, discarding empty slabs. Interrupts off."""
    c = cpu_slab(m, s)
    if m.has("P7") and read_once(m, c + KMEM_CACHE_CPU.partial) == PARTIAL_DISABLED:
        return
    n = 0
    discard = 0
    page = load(m, c + KMEM_CACHE_CPU.partial)
    while page:
        write_once(m, c + KMEM_CACHE_CPU.partial, load(m, page + PAGE.next))
        home = node_of(m, s, load(m, page + PAGE.node))
        if home != n:
            if n:
                spin_unlock(m, n + NODE.list_lock)
            n = home
            spin_lock(m, n + NODE.list_lock, LIST_LOCK)
        while True:
            old = read_once(m, page + PAGE.pair)
            if cas_page(m, s, page, old, old & ~FROZEN):
                break
        if inuse_of(old) == 0 and enough_partial(m, s, n):
            store(m, page + PAGE.next, discard)
            discard = page
        else:
            add_partial(m, n, page, True)
            stat(m, s, STAT.free_add_partial)
        page = load(m, c + KMEM_CACHE_CPU.partial)
    if n:
        spin_unlock(m, n + NODE.list_lock)
    while discard:
        page = discard
        discard = load(m, page + PAGE.next)
        stat(m, s, STAT.deactivate_empty)
        discard_slab(m, s, page)
        stat(m, s, STAT.free_slab)


@dual_slow
def put_cpu_partial(m: Machine, s: int, page: int, drain: bool) -> None:
    """Push a slab that was just frozen on this CPU's partial stack; drain the stack when it is full.

    The CPU may change between two turns of the loop (Y2): the slab then lands on another CPU's stack.

    Out of line in every design: with P6 it has one caller, and inlined there frees were 10 % faster, by no merit of P6.
    """
    if m.has("P7b") and drain and memcg_cache_dead(m, s):
        unfreeze_one(m, s, page)
        return
    if m.has("P7v4") and m.has("PREEMPT"):
        preempt_disable(m)
    while True:
        a = cpu_slab(m, s) + KMEM_CACHE_CPU.partial
        old = read_once(m, a)
        if m.has("P7") and old == PARTIAL_DISABLED:
            unfreeze_one(m, s, page)
            return
        below = 0
        if old:
            below = load(m, old + PAGE.prev)
            held = below & POBJECTS_MASK
            if m.has("F_PARTIALSLABS"):
                held = (below >> PAGES_SHIFT) + 1
            if drain and held > load(m, s + CACHE.cpu_partial):
                flags = local_irq_save(m)
                unfreeze_partials(m, s)
                local_irq_restore(m, flags)
                old = 0
                below = 0
                stat(m, s, STAT.cpu_partial_drain)
        stack(m, page, old, below)
        if cas_this_cpu(m, a, old, page):
            break
    if m.has("P7v3") and drain and memcg_cache_dead(m, s):
        flags = local_irq_save(m)
        unfreeze_partials(m, s)
        local_irq_restore(m, flags)
    # Deactivation is followed by a barrier on every CPU: a push that this read came too early for is seen by its flush.
    if m.has("P7v4") and drain and read_once(m, s + CACHE.cpu_partial) == 0:
        flags = local_irq_save(m)
        unfreeze_partials(m, s)
        local_irq_restore(m, flags)
    if m.has("P7v4") and m.has("PREEMPT"):
        preempt_enable(m)


@dual
def stack(m: Machine, page: int, old: int, below: int) -> None:
    """Link a frozen slab above `old`, whose pages:pobjects are `below`."""
    pair = read_once(m, page + PAGE.pair)
    free = objects_of(pair) - inuse_of(pair)
    store(m, page + PAGE.prev, below + (1 << PAGES_SHIFT) + free)
    store(m, page + PAGE.next, old)


@dual
def put_cpu_partial_refill(m: Machine, s: int, page: int) -> None:
    """P6: the push of the refill side with plain stores. Interrupts are off, list_lock is held."""
    a = cpu_slab(m, s) + KMEM_CACHE_CPU.partial
    old = load(m, a)
    below = load(m, old + PAGE.prev) if old else 0
    stack(m, page, old, below)
    write_once(m, a, page)


@dual
def unfreeze_one(m: Machine, s: int, page: int) -> None:
    """P7 of v1, P7b: partial lists are disabled, so the slab just frozen goes to its node or is discarded."""
    n = node_of(m, s, load(m, page + PAGE.node))
    flags = local_irq_save(m)
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    while True:
        old = read_once(m, page + PAGE.pair)
        if cas_page(m, s, page, old, old & ~FROZEN):
            break
    empty = inuse_of(old) == 0 and enough_partial(m, s, n)
    if not empty:
        add_partial(m, n, page, True)
        stat(m, s, STAT.free_add_partial)
    spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    if empty:
        stat(m, s, STAT.deactivate_empty)
        discard_slab(m, s, page)
        stat(m, s, STAT.free_slab)
