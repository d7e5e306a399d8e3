"""A CPU slab goes back to its node: deactivate_slab, flush_slab, and the flush of all CPUs (v3.16).

Only its own CPU unfreezes a CPU slab, interrupts off; so who wants all CPUs flushed interrupts them (F_SHEAF: has
each do it as work). Others free into the slab all the while: each step is a compare-and-swap of the page pair, which
is tried again. list_lock is taken before the swap that puts the slab on a list of its node, so that it is on it when
others first see it unfrozen.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE, node_of
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import FROZEN, freelist_of, inuse_of, objects_of, page_pair
from allocators.core.world import OPS, count
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.discard import discard_slab
from allocators.slub.partial import (
    add_full,
    add_partial,
    enough_partial,
    remove_full,
    remove_partial,
    unfreeze_partials,
)
from allocators.slub.sheaf_state import has_sheaved
from allocators.slub.state import PARTIAL_DISABLED, STAT, cas_page, cpu_pair, cpu_slab, next_tid, stat
from shm.atomics import area_of, load, read_once, store, write_once
from shm.compiler import dual
from shm.cpu_work import work_on_cpus
from shm.cpumask import CPUS_IN_WORD, cpu_online_mask, cpus_from
from shm.ipi import await_answers, smp_call_mask
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import CPU, MACHINE, Machine

IPI_FLUSH = 1

_NONE, _PARTIAL, _FULL, _FREE = 0, 1, 2, 3


@dual
def deactivate_slab(m: Machine, s: int, page: int, freelist: int) -> None:
    """Return a CPU slab and the CPU's private objects to the node. Interrupts off, owner CPU.

    First all private objects but the last join the page's freelist one by one, the slab staying
    frozen; then one compare-and-swap adds the last and unfreezes, with the slab already on the list
    it belongs to by what was seen, and the list corrected if the swap fails.
    """
    n = node_of(m, s, load(m, page + PAGE.node))
    offset = load(m, s + CACHE.offset)
    tail = False
    if freelist_of(read_once(m, page + PAGE.pair)):
        stat(m, s, STAT.deactivate_remote_frees)
        tail = True
    while freelist and load(m, freelist + offset):
        after = load(m, freelist + offset)
        while True:
            old = read_once(m, page + PAGE.pair)
            store(m, freelist + offset, freelist_of(old))
            if cas_page(m, s, page, old, page_pair(freelist, inuse_of(old) - 1, objects_of(old), 1)):
                break
        freelist = after
    locked = False
    last = _NONE
    while True:
        old = read_once(m, page + PAGE.pair)
        new = old & ~FROZEN
        if freelist:
            store(m, freelist + offset, freelist_of(old))
            new = page_pair(freelist, inuse_of(old) - 1, objects_of(old), 0)
        if inuse_of(new) == 0 and enough_partial(m, s, n):
            mode = _FREE
        elif freelist_of(new):
            mode = _PARTIAL
            if not locked:
                locked = True
                spin_lock(m, n + NODE.list_lock, LIST_LOCK)
        else:
            mode = _FULL
            if m.has("F_FULL") and not locked and load(m, s + CACHE.root):
                locked = True
                spin_lock(m, n + NODE.list_lock, LIST_LOCK)
        if last != mode:
            if last == _PARTIAL:
                remove_partial(m, n, page)
            if m.has("F_FULL") and last == _FULL and load(m, s + CACHE.root):
                remove_full(m, n, page)
            if mode == _PARTIAL:
                add_partial(m, n, page, tail)
                stat(m, s, STAT.deactivate_to_tail if tail else STAT.deactivate_to_head)
            elif mode == _FULL:
                stat(m, s, STAT.deactivate_full)
                if m.has("F_FULL") and load(m, s + CACHE.root):
                    add_full(m, n, page)
        last = mode
        if cas_page(m, s, page, old, new):
            break
    if locked:
        spin_unlock(m, n + NODE.list_lock)
    if mode == _FREE:
        stat(m, s, STAT.deactivate_empty)
        discard_slab(m, s, page)
        stat(m, s, STAT.free_slab)


@dual
def flush_slab(m: Machine, s: int, c: int) -> None:
    """Deactivate the CPU slab of the kmem_cache_cpu `c`, which is this CPU's. Interrupts off."""
    stat(m, s, STAT.cpuslab_flush)
    pair = load(m, c + KMEM_CACHE_CPU.pair)
    deactivate_slab(m, s, load(m, c + KMEM_CACHE_CPU.page), freelist_of(pair))
    write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(0, next_tid(pair)))
    write_once(m, c + KMEM_CACHE_CPU.page, 0)


@dual
def flush_cpu_slab(m: Machine, s: int) -> None:
    """The flush IPI's handler: everything this CPU hoards of `s` goes back. Interrupts off."""
    c = cpu_slab(m, s)
    if load(m, c + KMEM_CACHE_CPU.page):
        flush_slab(m, s, c)
    unfreeze_partials(m, s)
    if m.has("P7") and memcg_cache_dead(m, s):
        write_once(m, c + KMEM_CACHE_CPU.partial, PARTIAL_DISABLED)


@dual
def has_cpu_slab(m: Machine, s: int, cpu: int) -> bool:
    """flush_all's predicate: reads another CPU's words without any lock.

    Racy by design: that CPU may freeze a slab right after the read. Harmless for a live cache; for a
    dead one it is race R6, and a CPU that holds nothing is never told that the cache died (R12).
    """
    c = area_of(m, cpu) + load(m, s + CACHE.cpu_slab)
    if m.has("F_SHEAF") and has_sheaved(m, s, cpu):
        return True
    return read_once(m, c + KMEM_CACHE_CPU.page) != 0 or read_once(m, c + KMEM_CACHE_CPU.partial) != 0


@dual
def _holders(m: Machine, s: int, first: int) -> int:
    """The CPUs from `first` that are online and seem to hold something of `s`, as a word of a mask."""
    mask = 0
    for i in range(cpus_from(m, first)):
        if has_cpu_slab(m, s, first + i) and read_once(m, area_of(m, first + i) + CPU.online):
            mask |= 1 << i
    return mask


@dual
def flush_all(m: Machine, s: int) -> None:
    """Flush every CPU that seems to hold something of `s`; waits. Interrupts on.

    F_ALLCPU: the flush of a dead cache goes to every CPU, so that each gets v1's mark. F_SHEAF: it is work on
    those CPUs (v6.18 flush_all_cpus_locked), since an interrupt would find a sheaf in the middle of an operation.
    """
    called = False
    for first in range(0, load(m, MACHINE.nr_cpus), CPUS_IN_WORD):
        mask = _holders(m, s, first)
        if m.has("F_ALLCPU") and memcg_cache_dead(m, s):
            mask = cpu_online_mask(m, first)
        if m.has("F_SHEAF"):
            work_on_cpus(m, first, mask, IPI_FLUSH, s)
        elif mask:
            if not called:
                called = True
                count(m, OPS.ipi)
            smp_call_mask(m, first, mask, IPI_FLUSH, s)
    await_answers(m)


@dual
def slub_ipi(m: Machine, func: int, arg: int) -> None:
    """SLUB's interrupts."""
    if func == IPI_FLUSH:
        flush_cpu_slab(m, arg)
