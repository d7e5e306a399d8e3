"""Slabs move from a child cache to its root cache: the RFC of 13 May 2014 (F_REPARENT_SLABS), never merged.

A free takes a reference to the child that page.slab_cache names. The offline gives the child up; once no reference is
left, none is given any more, and a free is of the *slow mode*: under the page's bit lock it looks whether the slab
still is the child's, and pushes the object, leaving the slab where it is. Else it begins anew, with the root cache.
So when no reference is left nobody changes the child's lists, and the re-parenter walks them: it flushes the CPUs,
takes each slab off the partial and full lists (F_FULL), and discards it, or makes it the root's under the page's
lock.

Inferred, as the mails are silent:

- page.slab_cache is read, and the reference taken, with preemption on: race R1b. F_NP keeps it off over both.
- The push in slow mode is a compare-and-swap, since the flush of a CPU slab changes the pair without the bit lock.
- No slab of a child that is given up is discarded but by the re-parenter (`enough_partial`), which has taken the page's
  lock: who frees the last object in slow mode holds it a moment longer.

The bit lock is a bit of PAGE.order, as it is one of page.flags in a kernel; it is taken inside list_lock, interrupts
off.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, NODE, count_free, node_of
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.page_pair import freelist_of, inuse_of, objects_of
from allocators.core.world import OPS, WORLD, count, world
from allocators.memcg.cache_ref import cache_ref_put, cache_ref_tryget
from allocators.memcg.memcontrol import WORK_REPARENT_SLABS, memcg_uncharge_slab, queue_work
from allocators.slub.deactivate import flush_all
from allocators.slub.discard import discard_slab
from allocators.slub.free import slab_free
from allocators.slub.partial import add_partial, remove_full, remove_partial
from allocators.slub.state import STAT, cas_page, stat
from shm.atomics import (
    add_book,
    fetch_add,
    fetch_and,
    fetch_or,
    load,
    load_acquire,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    store_release,
)
from shm.compiler import dual, dual_inline, dual_slow
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine
from shm.waiting import pause

PG_LOCKED = 1 << 8


@dual
def slab_lock(m: Machine, page: int) -> None:
    """Take a slab's bit lock. Interrupts off."""
    turns = 0
    while fetch_or(m, page + PAGE.order, PG_LOCKED) & PG_LOCKED:
        turns += 1
        pause(m, turns)


@dual
def slab_unlock(m: Machine, page: int) -> None:
    fetch_and(m, page + PAGE.order, ~PG_LOCKED)


@dual_inline
def free_to_owner(m: Machine, obj: int) -> None:
    """kmem_cache_free: `obj` goes to the cache that its slab belongs to, which may change meanwhile."""
    if m.has("F_NP") and m.has("PREEMPT"):
        preempt_disable(m)
    page = head_of(m, obj)
    while True:
        s = load_acquire(m, page + PAGE.slab_cache)
        child = load(m, s + CACHE.root) != 0
        if not child or cache_ref_tryget(m, s):
            if m.has("STATS"):
                count_free(m, s)
            slab_free(m, s, page, obj)
            if child and cache_ref_put(m, s, 1):
                queue_work(m, WORK_REPARENT_SLABS, s, 0)
            break
        if free_in_slow_mode(m, s, page, obj):
            break
    if m.has("F_NP") and m.has("PREEMPT"):
        preempt_enable(m)


@dual_slow
def free_in_slow_mode(m: Machine, s: int, page: int, obj: int) -> bool:
    """Push an object of a child that is given up; False, having done nothing, when the slab is the child's no more.

    While the page is locked and the child's, the child is not destroyed.
    """
    flags = local_irq_save(m)
    slab_lock(m, page)
    mine = load(m, page + PAGE.slab_cache) == s
    if mine:
        if m.has("STATS"):
            count_free(m, s)
        count(m, OPS.slow)
        stat(m, s, STAT.free_slowpath)
        offset = load(m, s + CACHE.offset)
        while True:
            old = read_once(m, page + PAGE.pair)
            store(m, obj + offset, freelist_of(old))
            if cas_page(m, s, page, old, (obj << 32) | ((old & 0xFFFFFFFF) - 1)):
                break
    slab_unlock(m, page)
    local_irq_restore(m, flags)
    return mine


@dual
def reparent_slabs(m: Machine, s: int) -> None:
    """The re-parenter's walk: nothing is left of `s` afterwards. No reference is left; kworker, interrupts on."""
    flush_all(m, s)
    for node in range(world(m, WORLD.nr_nodes)):
        n = node_of(m, s, node)
        while True:
            flags = local_irq_save(m)
            spin_lock(m, n + NODE.list_lock, LIST_LOCK)
            page = take_partial(m, n)
            if page == 0:
                page = take_full(m, n)
            spin_unlock(m, n + NODE.list_lock)
            local_irq_restore(m, flags)
            if page == 0:
                break
            if not give_to_root(m, s, page):
                stat(m, s, STAT.free_slab)
                discard_slab(m, s, page)


@dual
def take_partial(m: Machine, n: int) -> int:
    """The first slab of a node's partial list, taken off, or 0; list_lock held."""
    page = load(m, n + NODE.first)
    if page:
        remove_partial(m, n, page)
    return page


@dual
def take_full(m: Machine, n: int) -> int:
    """As take_partial, of the full list."""
    page = load(m, n + NODE.full)
    if page:
        remove_full(m, n, page)
    return page


@dual
def give_to_root(m: Machine, s: int, page: int) -> bool:
    """Make a slab that is on no list the root cache's, and uncharge it; False, having done nothing, when it is empty.

    Its objects may be freed to the root as soon as page.slab_cache says so, so it is on the root's partial list by
    then.
    """
    root = load(m, s + CACHE.root)
    node = load(m, page + PAGE.node)
    to = node_of(m, root, node)
    flags = local_irq_save(m)
    spin_lock(m, to + NODE.list_lock, LIST_LOCK)
    slab_lock(m, page)
    order = load(m, page + PAGE.order) & ~PG_LOCKED
    pair = read_once(m, page + PAGE.pair)
    used = inuse_of(pair)
    if used:
        if freelist_of(pair):
            add_partial(m, to, page, True)
        _account(m, node_of(m, s, node), -1, -objects_of(pair))
        _account(m, to, 1, objects_of(pair))
        if m.has("STATS"):
            add_book(m, s + CACHE.live, -used)
            add_book(m, root + CACHE.live, used)
        store_release(m, page + PAGE.slab_cache, root)
    slab_unlock(m, page)
    spin_unlock(m, to + NODE.list_lock)
    local_irq_restore(m, flags)
    if used:
        memcg_uncharge_slab(m, s, order)
    return used != 0


@dual
def _account(m: Machine, n: int, slabs: int, objects: int) -> None:
    fetch_add(m, n + NODE.nr_slabs, slabs)
    fetch_add(m, n + NODE.total_objects, objects)
