"""SLAB's allocation: the CPU's array, its refill, new slabs, other nodes.

v3.16: ____cache_alloc, cache_alloc_refill, cache_grow, fallback_alloc. Interrupts are off throughout,
but around the page allocator, as for an allocation that may sleep. So after cache_grow nothing that was read before of
this CPU holds: neither which it is nor its array. Page colouring is not modelled.
"""

from __future__ import annotations

from allocators.core.bugs import BUG_NO_ARRAY
from allocators.core.kmem_cache import CACHE, NODE, node_of
from allocators.core.page_alloc import PAGE, alloc_pages, alloc_pages_exact_node
from allocators.core.world import OPS, WORLD, count, node_of_cpu, world
from allocators.memcg.memcontrol import memcg_charge_slab
from allocators.slab.state import (
    ARRAY_CACHE,
    BATCHREFILL_LIMIT,
    SLAB_NODE,
    SLAB_STAT,
    add_head,
    add_tail,
    cpu_array,
    first_object,
    index_array,
    index_at,
    pop,
    push,
    set_index,
    slab_node,
    slab_stat,
    transfer_objects,
    unlink,
)
from shm.atomics import (
    add_book,
    bug,
    fetch_add,
    load,
    local_irq_restore,
    local_irq_save,
    read_book,
    read_once,
    store,
    this_cpu,
    write_book,
    write_once,
)
from shm.compiler import dual, dual_inline, dual_slow
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine

ANY_NODE = -1


@dual_inline
def cache_alloc(m: Machine, s: int) -> int:
    """kmem_cache_alloc: an object of cache `s`, or 0."""
    flags = local_irq_save(m)
    ac = cpu_array(m, s)
    if load(m, ac + ARRAY_CACHE.avail):
        store(m, ac + ARRAY_CACHE.touched, 1)
        obj = pop(m, ac)
        slab_stat(m, s, SLAB_STAT.allochit, 1)
    else:
        obj = _alloc_slow(m, s)
    local_irq_restore(m, flags)
    return obj


@dual_slow
def _alloc_slow(m: Machine, s: int) -> int:
    count(m, OPS.slow)
    slab_stat(m, s, SLAB_STAT.allocmiss, 1)
    obj = cache_alloc_refill(m, s)
    if obj == 0 and world(m, WORLD.nr_nodes) > 1:
        obj = fallback_alloc(m, s)
    return obj


@dual
def cache_alloc_refill(m: Machine, s: int) -> int:
    """Fill this CPU's empty array from the shared array or from slabs; 0 when the node has no memory."""
    node = node_of_cpu(m, this_cpu(m))
    ac = cpu_array(m, s)
    while load(m, ac + ARRAY_CACHE.avail) == 0:
        if m.has("P8v3"):
            # A kernel goes on with NULL.
            if ac == 0:
                bug(m, BUG_NO_ARRAY, s)
                return 0
        _refill(m, s, slab_node(m, s, node), ac)
        if load(m, ac + ARRAY_CACHE.avail) == 0:
            grown = cache_grow(m, s, node) >= 0
            # Interrupts were on: this may be another CPU, and its array may have been filled, or taken away (P8v3).
            node = node_of_cpu(m, this_cpu(m))
            ac = cpu_array(m, s)
            if not grown and load(m, ac + ARRAY_CACHE.avail) == 0:
                return 0
    store(m, ac + ARRAY_CACHE.touched, 1)
    return pop(m, ac)


@dual
def _refill(m: Machine, s: int, n: int, ac: int) -> None:
    """Fill an empty array from the node's shared array, else from its slabs, as far as they go."""
    batch = load(m, ac + ARRAY_CACHE.batchcount)
    if load(m, ac + ARRAY_CACHE.touched) == 0 and batch > BATCHREFILL_LIMIT:
        batch = BATCHREFILL_LIMIT
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    shared = load(m, n + SLAB_NODE.shared)
    moved = 0
    if shared:
        moved = transfer_objects(m, ac, shared, batch)
    if moved:
        store(m, shared + ARRAY_CACHE.touched, 1)
    else:
        _take_from_slabs(m, s, n, ac, batch)
    spin_unlock(m, n + SLAB_NODE.list_lock)


@dual
def next_slab(m: Machine, n: int) -> int:
    """The slab to take objects from, partial ones first; 0 when there is none. list_lock held."""
    page = load(m, n + SLAB_NODE.slabs_partial)
    if page == 0:
        write_once(m, n + SLAB_NODE.free_touched, 1)
        page = load(m, n + SLAB_NODE.slabs_free)
    return page


@dual
def take_objects(m: Machine, s: int, n: int, page: int, ac: int, most: int) -> int:
    """Push up to `most` free objects of a partial or free slab on an array; returns how many.

    The slab goes to the list it then belongs to. list_lock held.
    """
    active = load(m, page + PAGE.pair)
    taken = load(m, s + CACHE.oo_objects) - active
    if taken > most:
        taken = most
    first = first_object(m, s, page)
    size = load(m, s + CACHE.size)
    array = index_array(m, s, page)
    for i in range(taken):
        push(m, ac, first + index_at(m, array, active + i) * size)
    _activate(m, s, n, page, taken)
    return taken


@dual
def take_object(m: Machine, s: int, n: int, page: int) -> int:
    """As take_objects, a single one, which is returned."""
    number = index_at(m, index_array(m, s, page), load(m, page + PAGE.pair))
    _activate(m, s, n, page, 1)
    return first_object(m, s, page) + number * load(m, s + CACHE.size)


@dual
def _activate(m: Machine, s: int, n: int, page: int, taken: int) -> None:
    """Count objects that were taken from a slab, and move it to the list it belongs to now. list_lock held."""
    active = load(m, page + PAGE.pair)
    unlink(m, n + (SLAB_NODE.slabs_partial if active else SLAB_NODE.slabs_free), page)
    active += taken
    write_once(m, page + PAGE.pair, active)
    full = active == load(m, s + CACHE.oo_objects)
    add_head(m, n + (SLAB_NODE.slabs_full if full else SLAB_NODE.slabs_partial), page)
    write_once(m, n + SLAB_NODE.free_objects, load(m, n + SLAB_NODE.free_objects) - taken)


@dual
def count_taken(m: Machine, s: int, taken: int) -> None:
    """The statistics of objects that leave their slab (STATS)."""
    if m.has("STATS"):
        slab_stat(m, s, SLAB_STAT.allocations, taken)
        active = add_book(m, s + CACHE.num_active, taken) + taken
        # Racy with several nodes, as in a kernel.
        if active > read_book(m, s + CACHE.high_mark):
            write_book(m, s + CACHE.high_mark, active)


@dual
def _take_from_slabs(m: Machine, s: int, n: int, ac: int, batch: int) -> None:
    while batch > 0:
        page = next_slab(m, n)
        if page == 0:
            break
        taken = take_objects(m, s, n, page, ac, batch)
        count_taken(m, s, taken)
        batch -= taken


@dual
def cache_grow(m: Machine, s: int, node: int) -> int:
    """A new slab on slabs_free of its node; returns the node, or -1 when there is no memory.

    node: where it must lie, or ANY_NODE for a slab from wherever there is memory, this node first.
    Called with interrupts off.
    """
    local_irq_restore(m, 0)
    order = load(m, s + CACHE.oo_order)
    if node == ANY_NODE:
        page = alloc_pages(m, node_of_cpu(m, this_cpu(m)), order)
    else:
        page = alloc_pages_exact_node(m, node, order)
    if page:
        if not memcg_charge_slab(m, s, order):
            page = 0
    local_irq_save(m)
    if page == 0:
        return -1
    num = load(m, s + CACHE.oo_objects)
    write_once(m, page + PAGE.slab_cache, s)
    store(m, page + PAGE.pair, 0)
    array = index_array(m, s, page)
    for i in range(num):
        set_index(m, array, i, i)
    where = load(m, page + PAGE.node)
    n = slab_node(m, s, where)
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    add_tail(m, n + SLAB_NODE.slabs_free, page)
    slab_stat(m, s, SLAB_STAT.grown, 1)
    write_once(m, n + SLAB_NODE.free_objects, load(m, n + SLAB_NODE.free_objects) + num)
    spin_unlock(m, n + SLAB_NODE.list_lock)
    fetch_add(m, node_of(m, s, where) + NODE.nr_slabs, 1)
    fetch_add(m, node_of(m, s, where) + NODE.total_objects, num)
    return where


@dual
def alloc_from_node(m: Machine, s: int, node: int) -> int:
    """____cache_alloc_node without growing: one object straight from a node's slabs, or 0."""
    n = slab_node(m, s, node)
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    page = next_slab(m, n)
    obj = 0
    if page:
        slab_stat(m, s, SLAB_STAT.node_allocs, 1)
        count_taken(m, s, 1)
        obj = take_object(m, s, n, page)
    spin_unlock(m, n + SLAB_NODE.list_lock)
    return obj


@dual
def fallback_alloc(m: Machine, s: int) -> int:
    """This node is out of memory: an object of another one, or of a new slab wherever it lies; or 0."""
    nodes = world(m, WORLD.nr_nodes)
    home = node_of_cpu(m, this_cpu(m))
    while True:
        for i in range(nodes):
            node = (home + i) % nodes
            if read_once(m, slab_node(m, s, node) + SLAB_NODE.free_objects):
                obj = alloc_from_node(m, s, node)
                if obj:
                    return obj
        if cache_grow(m, s, ANY_NODE) < 0:
            return 0
