"""A sheaf is filled from slabs: refill_objects (v7.0; F_NOCPUSLAB); in v6.18 by a bulk allocation from CPU slabs.

v7.0: this node's partial slabs are taken off their list as a run, as many as seem to hold what is wanted; each one's
whole freelist is taken by one swap. Then other nodes, then new slabs. What is left over:

    F_REFILL7     of a freelist: freed like any chain of objects, which puts the slab on the list again. Slabs not
                  touched: to the list's head, and empty ones beyond min_partial are discarded
    F_REFILL72    of a freelist: swapped back without any lock as long as the slab is full still; that slab and those
                  not touched go to the list's tail together
    F_REFILL73    the same, swapped back under list_lock
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE, node_of
from allocators.core.page_alloc import PAGE, address_of
from allocators.core.page_pair import freelist_of, inuse_of, objects_of, page_pair
from allocators.core.world import WORLD, world
from allocators.slub.alloc import NO_NODE, searches_other_nodes, slab_alloc_slow, this_node
from allocators.slub.discard import discard_slab, tally_discard
from allocators.slub.node_slab import free_chain, fresh_slab, lock_node, open_slab, take_off
from allocators.slub.partial import add_partial, enough_partial
from allocators.slub.state import STAT, cas_page, cpu_pair, cpu_slab, next_tid, stat
from shm.atomics import load, local_irq_restore, local_irq_save, read_once, store, write_once
from shm.compiler import dual
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine


@dual
def alloc_bulk(m: Machine, s: int, array: int, wanted: int) -> int:
    """v6.18 __kmem_cache_alloc_bulk: objects of the CPU slab one after the other, interrupts off; returns how many."""
    offset = load(m, s + CACHE.offset)
    got = 0
    flags = local_irq_save(m)
    while got < wanted:
        c = cpu_slab(m, s)
        pair = load(m, c + KMEM_CACHE_CPU.pair)
        obj = freelist_of(pair)
        if obj:
            write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(load(m, obj + offset), next_tid(pair)))
            stat(m, s, STAT.alloc_fastpath)
        else:
            local_irq_restore(m, flags)
            obj = slab_alloc_slow(m, s, NO_NODE)
            stat(m, s, STAT.alloc_slowpath)
            if obj == 0:
                return got
            flags = local_irq_save(m)
        store(m, array + got, obj)
        got += 1
    local_irq_restore(m, flags)
    return got


@dual
def refill_objects(m: Machine, s: int, array: int, wanted: int) -> int:
    """Fill an array with objects; returns how many there are, fewer when out of memory."""
    node = this_node(m)
    got = _from_node(m, s, node_of(m, s, node), array, wanted, False)
    nodes = world(m, WORLD.nr_nodes)
    if got < wanted and nodes > 1 and searches_other_nodes(m):
        for i in range(1, nodes):
            n = node_of(m, s, (node + i) % nodes)
            if got < wanted and read_once(m, n + NODE.nr_partial) > read_once(m, s + CACHE.min_partial):
                got += _from_node(m, s, n, array + got, wanted - got, True)
    while got < wanted:
        more = _from_new_slab(m, s, node, array + got, wanted - got)
        if more == 0:
            break
        got += more
    return got


@dual
def _from_new_slab(m: Machine, s: int, node: int, array: int, wanted: int) -> int:
    page = fresh_slab(m, s, node)
    if page == 0:
        return 0
    taken = min(wanted, objects_of(load(m, page + PAGE.pair)))
    obj = address_of(page)
    for i in range(taken):
        store(m, array + i, obj)
        obj += load(m, s + CACHE.size)
    open_slab(m, s, page, taken)
    return taken


@dual
def _take_run(m: Machine, n: int, wanted: int, other: bool) -> int:
    """get_partial_node_bulk: slabs off a node's list until so many free objects were seen; the first, linked by
    PAGE.next.

    Free objects are counted without the page's pair being held: there may be more by now, never fewer.
    """
    run = 0
    flags = local_irq_save(m)
    if lock_node(m, n, other):
        last = 0
        seen = 0
        page = load(m, n + NODE.first)
        while page and seen < wanted:
            after = load(m, page + PAGE.next)
            pair = read_once(m, page + PAGE.pair)
            seen += objects_of(pair) - inuse_of(pair)
            take_off(m, n, page)
            store(m, page + PAGE.next, 0)
            if last:
                store(m, last + PAGE.next, page)
            else:
                run = page
            last = page
            page = after
        spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    return run


@dual
def _take_freelist(m: Machine, s: int, page: int) -> int:
    """The pair of a slab whose whole freelist was taken, as it was before. Only we take from it, so it has objects."""
    while True:
        old = read_once(m, page + PAGE.pair)
        objects = objects_of(old)
        if cas_page(m, s, page, old, page_pair(0, objects, objects, 0)):
            return old


@dual
def _from_node(m: Machine, s: int, n: int, array: int, wanted: int, other: bool) -> int:
    if read_once(m, n + NODE.nr_partial) == 0:
        return 0
    offset = load(m, s + CACHE.offset)
    page = _take_run(m, n, wanted, other)
    got = 0
    back = 0
    while page and got < wanted:
        # Read now: as soon as it is full a free may put it on the node's list.
        after = load(m, page + PAGE.next)
        old = _take_freelist(m, s, page)
        obj = freelist_of(old)
        left = objects_of(old) - inuse_of(old)
        while left and got < wanted:
            store(m, array + got, obj)
            obj = load(m, obj + offset)
            left -= 1
            got += 1
        if left:
            if m.has("F_REFILL72"):
                if _return_freelist(m, s, page, obj, left):
                    back = page
                else:
                    _free_left_over(m, s, page, obj, left)
            elif m.has("F_REFILL73"):
                if not _return_under_lock(m, s, n, page, obj, left):
                    _free_left_over(m, s, page, obj, left)
            else:
                _free_left_over(m, s, page, obj, left)
        page = after
    if m.has("F_REFILL72") and back:
        store(m, back + PAGE.next, page)
        page = back
    if page:
        _put_run_back(m, s, n, page)
    return got


@dual
def _free_left_over(m: Machine, s: int, page: int, obj: int, objects: int) -> None:
    """The rest of a freelist is freed; the slab counts as full, or somebody has freed into it meanwhile."""
    offset = load(m, s + CACHE.offset)
    tail = obj
    for _ in range(objects - 1):
        tail = load(m, tail + offset)
    free_chain(m, s, page, obj, tail, objects)


@dual
def _return_freelist(m: Machine, s: int, page: int, obj: int, objects: int) -> bool:
    """__slab_try_return_freelist: back by one swap as long as the slab is full, so nobody else's."""
    every = objects_of(read_once(m, page + PAGE.pair))
    full = page_pair(0, every, every, 0)
    return cas_page(m, s, page, full, page_pair(obj, every - objects, every, 0))


@dual
def _return_under_lock(m: Machine, s: int, n: int, page: int, obj: int, objects: int) -> bool:
    """F_REFILL73: as before, and the slab is on its list when the lock is dropped."""
    flags = local_irq_save(m)
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    done = _return_freelist(m, s, page, obj, objects)
    if done:
        add_partial(m, n, page, True)
    spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    return done


@dual
def _put_run_back(m: Machine, s: int, n: int, page: int) -> None:
    """Slabs that were taken off and not used up."""
    discard = 0
    flags = local_irq_save(m)
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    while page:
        after = load(m, page + PAGE.next)
        if m.has("F_REFILL72") or m.has("F_REFILL73"):
            add_partial(m, n, page, True)
        elif inuse_of(read_once(m, page + PAGE.pair)) == 0 and enough_partial(m, s, n):
            store(m, page + PAGE.next, discard)
            discard = page
        else:
            add_partial(m, n, page, False)
        page = after
    spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    while discard:
        page = discard
        discard = load(m, page + PAGE.next)
        tally_discard(m)
        discard_slab(m, s, page)
