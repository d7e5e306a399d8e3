"""SLUB's allocation: fast path, slow path, slabs from the partial lists or the page allocator.

v3.16: slab_alloc_node, __slab_alloc, get_freelist, get_partial_node, acquire_slab, new_slab.
"""

from __future__ import annotations

from allocators.core.bugs import BUG_ALLOC_FROM_DEAD
from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE, SLAB_NO_CPU_PARTIAL, list_del, node_of
from allocators.core.page_alloc import PAGE, address_of, alloc_pages
from allocators.core.page_pair import FROZEN, freelist_of, inuse_of, objects_of, page_pair
from allocators.core.world import DEFRAG, DEFRAG_AT, OPS, WORLD, count, node_of_cpu, world
from allocators.memcg.memcontrol import memcg_charge_slab
from allocators.slub.deactivate import deactivate_slab, flush_slab
from allocators.slub.partial import add_full, put_cpu_partial, put_cpu_partial_refill
from allocators.slub.state import (
    OFF_LIST,
    PARTIAL_DISABLED,
    STAT,
    cas_page,
    cas_this_cpu,
    cpu_pair,
    cpu_slab,
    next_tid,
    stat,
)
from shm.atomics import (
    bug,
    cpu_area,
    cycles,
    fetch_add,
    load,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    this_cpu,
    write_once,
)
from shm.compiler import dual, dual_inline, dual_slow
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import MACHINE, Machine
from shm.xorshift import next_random

NO_NODE = -1
REMOTE_NODE_DEFRAG_RATIO = 1000  # sysfs' default of 100 percent, times ten, of DEFRAG_RANGE: other nodes are searched
DEFRAG_RANGE = 1024


@dual
def this_node(m: Machine) -> int:
    """Node of this CPU."""
    return node_of_cpu(m, this_cpu(m))


@dual_inline
def slab_alloc(m: Machine, s: int, node: int) -> int:
    """kmem_cache_alloc_node: an object of cache `s`, or 0. node: NO_NODE or where it must lie."""
    while True:
        if m.has("PREEMPT"):
            preempt_disable(m)
        c = cpu_slab(m, s)
        pair = read_once(m, c + KMEM_CACHE_CPU.pair)
        page = read_once(m, c + KMEM_CACHE_CPU.page)
        if m.has("PREEMPT"):
            preempt_enable(m)
        obj = freelist_of(pair)
        if obj == 0 or (node != NO_NODE and load(m, page + PAGE.node) != node):
            obj = slab_alloc_slow(m, s, node)
            stat(m, s, STAT.alloc_slowpath)
            break
        # The object may be handed out by an interrupt meanwhile; then this reads a stale word, and
        # the transaction id makes the compare-and-swap fail.
        after = read_once(m, obj + load(m, s + CACHE.offset))
        if cas_this_cpu(m, c + KMEM_CACHE_CPU.pair, pair, cpu_pair(after & 0x7FFFFFFF, next_tid(pair))):
            stat(m, s, STAT.alloc_fastpath)
            break
        stat(m, s, STAT.cmpxchg_double_cpu_fail)
    return obj


@dual_slow
def slab_alloc_slow(m: Machine, s: int, node: int) -> int:
    """__slab_alloc: interrupts off, refill the CPU's private list; 0 when out of memory."""
    count(m, OPS.slow)
    flags = local_irq_save(m)
    c = cpu_slab(m, s)
    obj = 0
    while True:
        page = load(m, c + KMEM_CACHE_CPU.page)
        pair = load(m, c + KMEM_CACHE_CPU.pair)
        if page:
            if node != NO_NODE and load(m, page + PAGE.node) != node:
                stat(m, s, STAT.alloc_node_mismatch)
                deactivate_slab(m, s, page, freelist_of(pair))
                write_once(m, c + KMEM_CACHE_CPU.page, 0)
                write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(0, pair))
            else:
                obj = freelist_of(pair)
                if obj == 0:
                    obj = get_freelist(m, s, page)
                    if obj:
                        stat(m, s, STAT.alloc_refill)
                if obj:
                    break
                # The slab is full now, unfrozen and on no list: only its objects reach it.
                write_once(m, c + KMEM_CACHE_CPU.page, 0)
                stat(m, s, STAT.deactivate_bypass)
        partial = load(m, c + KMEM_CACHE_CPU.partial)
        if m.has("P7") and partial == PARTIAL_DISABLED:
            bug(m, BUG_ALLOC_FROM_DEAD, s)
            partial = 0
        if partial:
            write_once(m, c + KMEM_CACHE_CPU.page, partial)
            write_once(m, c + KMEM_CACHE_CPU.partial, load(m, partial + PAGE.next))
            stat(m, s, STAT.cpu_partial_alloc)
            write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(0, pair))
            continue
        obj = get_partial(m, s, node)
        if obj == 0:
            obj = new_slab_objects(m, s, node)
            c = cpu_slab(m, s)
        if obj == 0:
            local_irq_restore(m, flags)
            return 0
        break
    pair = load(m, c + KMEM_CACHE_CPU.pair)
    write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(load(m, obj + load(m, s + CACHE.offset)), next_tid(pair)))
    local_irq_restore(m, flags)
    return obj


@dual
def get_freelist(m: Machine, s: int, page: int) -> int:
    """Take the whole freelist of the CPU slab; if it is empty, unfreeze the slab instead.

    F_FULL: a child's slab that turns full so goes on the full list, under list_lock.
    """
    while True:
        old = read_once(m, page + PAGE.pair)
        obj = freelist_of(old)
        objects = objects_of(old)
        n = 0
        if m.has("F_FULL") and obj == 0 and load(m, s + CACHE.root):
            n = node_of(m, s, load(m, page + PAGE.node))
            spin_lock(m, n + NODE.list_lock, LIST_LOCK)
        done = cas_page(m, s, page, old, page_pair(0, objects, objects, 1 if obj else 0))
        if m.has("F_FULL") and n:
            if done:
                add_full(m, n, page)
            spin_unlock(m, n + NODE.list_lock)
        if done:
            return obj


@dual
def searches_other_nodes(m: Machine) -> bool:
    """get_any_partial's chance by get_cycles(); in serial play, where all must repeat, by a generator of this CPU."""
    if load(m, MACHINE.serial):
        drawn = next_random(m, cpu_area(m) + DEFRAG_AT + DEFRAG.random)
    else:
        drawn = cycles(m)
    return drawn % DEFRAG_RANGE <= REMOTE_NODE_DEFRAG_RATIO


@dual
def get_partial(m: Machine, s: int, node: int) -> int:
    """Objects from a node's partial list; this node first, others as remote_node_defrag_ratio allows."""
    home = this_node(m) if node == NO_NODE else node
    obj = get_partial_node(m, s, node_of(m, s, home))
    if obj or node != NO_NODE:
        return obj
    nodes = world(m, WORLD.nr_nodes)
    if nodes > 1 and searches_other_nodes(m):
        for i in range(1, nodes):
            n = node_of(m, s, (home + i) % nodes)
            if read_once(m, n + NODE.nr_partial) > read_once(m, s + CACHE.min_partial):
                obj = get_partial_node(m, s, n)
                if obj:
                    return obj
    return 0


@dual
def get_partial_node(m: Machine, s: int, n: int) -> int:
    """Freeze slabs of a node: the first becomes the CPU slab, more go to the CPU partial list."""
    # Unlocked: a slab that is being added may be missed, and then a new one is made instead.
    if read_once(m, n + NODE.nr_partial) == 0:
        return 0
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    obj = 0
    available = 0
    if m.has("F_PARTIALSLABS"):
        available = -1  # counts slabs, without the CPU slab
    limit = load(m, s + CACHE.cpu_partial)
    page = load(m, n + NODE.first)
    while page:
        after = load(m, page + PAGE.next)
        old = read_once(m, page + PAGE.pair)
        objects = objects_of(old)
        taken = page_pair(0, objects, objects, 1) if obj == 0 else old | FROZEN
        if not cas_page(m, s, page, old, taken):
            break
        list_del(m, n, page)
        write_once(m, n + NODE.nr_partial, load(m, n + NODE.nr_partial) - 1)
        if m.has("F_PARTIALSLABS"):
            available += 1
        else:
            available += objects - inuse_of(old)
        if obj == 0:
            write_once(m, cpu_slab(m, s) + KMEM_CACHE_CPU.page, page)
            stat(m, s, STAT.alloc_from_partial)
            obj = freelist_of(old)
        else:
            if m.has("P6"):
                put_cpu_partial_refill(m, s, page)
            else:
                put_cpu_partial(m, s, page, False)
            stat(m, s, STAT.cpu_partial_node)
        if load(m, s + CACHE.flags) & SLAB_NO_CPU_PARTIAL or available > limit // 2:
            break
        page = after
    spin_unlock(m, n + NODE.list_lock)
    return obj


@dual
def new_slab_objects(m: Machine, s: int, node: int) -> int:
    """A new slab becomes the CPU slab; returns its first object, or 0."""
    page = new_slab(m, s, node)
    if page == 0:
        return 0
    # Interrupts may have been on: this may be another CPU, and it may have got a slab meanwhile.
    c = cpu_slab(m, s)
    if load(m, c + KMEM_CACHE_CPU.page):
        flush_slab(m, s, c)
    pair = load(m, page + PAGE.pair)
    objects = objects_of(pair)
    write_once(m, page + PAGE.pair, page_pair(0, objects, objects, 1))
    stat(m, s, STAT.alloc_slab)
    write_once(m, c + KMEM_CACHE_CPU.page, page)
    return freelist_of(pair)


@dual
def new_slab(m: Machine, s: int, node: int) -> int:
    """allocate_slab: charge, pages of the preferred order or else the minimum, free chain; 0 on failure.

    Called with interrupts off; they are on around the page allocator, as for an allocation that may
    sleep.
    """
    where = this_node(m) if node == NO_NODE else node
    local_irq_restore(m, 0)
    order = load(m, s + CACHE.oo_order)
    page = alloc_pages(m, where, order)
    if page == 0 and load(m, s + CACHE.min_order) < order:
        order = load(m, s + CACHE.min_order)
        page = alloc_pages(m, where, order)
        if page:
            stat(m, s, STAT.order_fallback)
    if page:
        if not memcg_charge_slab(m, s, order):
            page = 0
    local_irq_save(m)
    if page == 0:
        return 0
    objects = load(m, s + CACHE.oo_objects) if order == load(m, s + CACHE.oo_order) else load(m, s + CACHE.min_objects)
    store(m, page + PAGE.slab_cache, s)
    if m.has("F_NOCPUSLAB"):
        # Whoever opens it makes its freelist (allocators.slub.node_slab).
        store(m, page + PAGE.prev, OFF_LIST)
        write_once(m, page + PAGE.pair, page_pair(0, 0, objects, 0))
        return page
    size = load(m, s + CACHE.size)
    offset = load(m, s + CACHE.offset)
    start = address_of(page)
    obj = start
    for _ in range(objects - 1):
        store(m, obj + offset, obj + size)
        obj += size
    store(m, obj + offset, 0)
    write_once(m, page + PAGE.pair, page_pair(start, 0, objects, 1))
    n = node_of(m, s, load(m, page + PAGE.node))
    fetch_add(m, n + NODE.nr_slabs, 1)
    fetch_add(m, n + NODE.total_objects, objects)
    return page
