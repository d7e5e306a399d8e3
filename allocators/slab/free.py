"""SLAB's free: the CPU's array, its flush, alien arrays, objects back into slabs.

v3.16: __cache_free, cache_flusharray, cache_free_alien, free_block, slab_destroy; with P8v2 and P8v3.
Interrupts are off throughout. Frees never set `touched`.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, NODE, node_of
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import OPS, WORLD, count, node_of_cpu, world
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.memcg.slab_pages import release_slab
from allocators.slab.state import (
    ARRAY_CACHE,
    SLAB_NODE,
    SLAB_STAT,
    add_head,
    add_tail,
    alien_array,
    cpu_array,
    drop_oldest,
    entry_of,
    first_object,
    index_array,
    push,
    set_index,
    slab_node,
    slab_stat,
    transfer_objects,
    unlink,
)
from shm.atomics import (
    add_book,
    fetch_add,
    load,
    local_irq_restore,
    local_irq_save,
    read_book,
    store,
    this_cpu,
    write_book,
    write_once,
)
from shm.compiler import dual, dual_inline, dual_slow
from shm.locks import ALIEN_LOCK, LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine


@dual_inline
def cache_free(m: Machine, s: int, page: int, obj: int) -> None:
    """kmem_cache_free: `obj` of the slab `page`, which belongs to cache `s`."""
    flags = local_irq_save(m)
    ac = cpu_array(m, s)
    # Without an array (P8v3) the limit is that of the NULL word, which is 0.
    here = True
    if m.has("P8v3"):
        here = ac != 0
    if here and world(m, WORLD.nr_nodes) > 1:
        here = load(m, page + PAGE.node) == node_of_cpu(m, this_cpu(m))
    if here and load(m, ac + ARRAY_CACHE.avail) < load(m, ac + ARRAY_CACHE.limit):
        slab_stat(m, s, SLAB_STAT.freehit, 1)
        push(m, ac, obj)
    else:
        _free_slow(m, s, ac, page, obj)
    local_irq_restore(m, flags)


@dual_slow
def _free_slow(m: Machine, s: int, ac: int, page: int, obj: int) -> None:
    count(m, OPS.slow)
    home = load(m, page + PAGE.node)
    if m.has("P8v3"):
        if ac == 0:
            slab_stat(m, s, SLAB_STAT.free_noarray, 1)
            free_one(m, s, home, obj)
            return
    node = node_of_cpu(m, this_cpu(m))
    if home != node:
        cache_free_alien(m, s, node, home, obj)
        return
    slab_stat(m, s, SLAB_STAT.freemiss, 1)
    if m.has("P8v2"):
        if load(m, ac + ARRAY_CACHE.limit) == 0:
            free_one(m, s, home, obj)
            return
    cache_flusharray(m, s, node, ac)
    push(m, ac, obj)


@dual
def cache_free_past_arrays(m: Machine, s: int, page: int, obj: int) -> None:
    """A free by the kworker, which has no array."""
    count(m, OPS.slow)
    flags = local_irq_save(m)
    slab_stat(m, s, SLAB_STAT.free_noarray, 1)
    free_one(m, s, load(m, page + PAGE.node), obj)
    local_irq_restore(m, flags)


@dual
def free_one(m: Machine, s: int, node: int, obj: int) -> None:
    """A free that no array takes: straight into its slab."""
    n = slab_node(m, s, node)
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    free_object(m, s, n, obj)
    spin_unlock(m, n + SLAB_NODE.list_lock)


@dual
def cache_flusharray(m: Machine, s: int, node: int, ac: int) -> None:
    """A full array gives its `batchcount` oldest objects to the shared array or, if that is full, back."""
    batch = load(m, ac + ARRAY_CACHE.batchcount)
    n = slab_node(m, s, node)
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    shared = load(m, n + SLAB_NODE.shared)
    room = 0
    if shared:
        have = load(m, shared + ARRAY_CACHE.avail)
        room = load(m, shared + ARRAY_CACHE.limit) - have
    if room > 0:
        if batch > room:
            batch = room
        for i in range(batch):
            store(m, entry_of(shared, have + i), load(m, entry_of(ac, i)))
        store(m, shared + ARRAY_CACHE.avail, have + batch)
    else:
        free_block(m, s, n, ac, batch)
    _count_freeable(m, s, n)
    spin_unlock(m, n + SLAB_NODE.list_lock)
    drop_oldest(m, ac, batch)


@dual
def _count_freeable(m: Machine, s: int, n: int) -> None:
    """max_freeable; the list is no longer than free_limit allows (STATS)."""
    if m.has("STATS"):
        length = 0
        page = read_book(m, n + SLAB_NODE.slabs_free)
        while page:
            length += 1
            page = read_book(m, page + PAGE.next)
        if length > read_book(m, s + CACHE.max_freeable):
            write_book(m, s + CACHE.max_freeable, length)


@dual
def cache_free_alien(m: Machine, s: int, node: int, home: int, obj: int) -> None:
    """Free an object of another node: into the alien array, which goes home when it is full."""
    slab_stat(m, s, SLAB_STAT.node_frees, 1)
    alien = alien_array(m, slab_node(m, s, node), home)
    spin_lock(m, alien + ARRAY_CACHE.lock, ALIEN_LOCK)
    limit = load(m, alien + ARRAY_CACHE.limit)
    full = load(m, alien + ARRAY_CACHE.avail) == limit
    # P8v2 leaves no room at all.
    if m.has("P8v2") and limit == 0:
        full = False
        free_one(m, s, home, obj)
    else:
        if full:
            slab_stat(m, s, SLAB_STAT.node_overflow, 1)
            drain_alien_cache(m, s, alien, home)
        push(m, alien, obj)
    spin_unlock(m, alien + ARRAY_CACHE.lock)


@dual
def drain_alien_cache(m: Machine, s: int, alien: int, home: int) -> None:
    """Send an alien array home: to that node's shared array first, the rest into slabs. Its lock is held."""
    if load(m, alien + ARRAY_CACHE.avail) == 0:
        return
    n = slab_node(m, s, home)
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    shared = load(m, n + SLAB_NODE.shared)
    if shared:
        transfer_objects(m, shared, alien, load(m, alien + ARRAY_CACHE.limit))
    free_block(m, s, n, alien, load(m, alien + ARRAY_CACHE.avail))
    store(m, alien + ARRAY_CACHE.avail, 0)
    spin_unlock(m, n + SLAB_NODE.list_lock)


@dual
def free_block(m: Machine, s: int, n: int, ac: int, number: int) -> None:
    """The oldest `number` objects of an array go back into their slabs; the array is left as it is.

    list_lock of `n`, their node, is held.
    """
    for i in range(number):
        free_object(m, s, n, load(m, entry_of(ac, i)))


@dual
def free_object(m: Machine, s: int, n: int, obj: int) -> None:
    """One object back into its slab; a slab that becomes empty is kept on slabs_free or destroyed.

    It is destroyed with list_lock held: whoever unlocks may touch a cache that is gone (R14).
    """
    page = head_of(m, obj)
    num = load(m, s + CACHE.oo_objects)
    active = load(m, page + PAGE.pair) - 1
    unlink(m, n + (SLAB_NODE.slabs_full if active + 1 == num else SLAB_NODE.slabs_partial), page)
    number = (obj - first_object(m, s, page)) // load(m, s + CACHE.size)
    set_index(m, index_array(m, s, page), active, number)
    write_once(m, page + PAGE.pair, active)
    if m.has("STATS"):
        add_book(m, s + CACHE.num_active, -1)
    free_objects = load(m, n + SLAB_NODE.free_objects) + 1
    if active:
        write_once(m, n + SLAB_NODE.free_objects, free_objects)
        add_tail(m, n + SLAB_NODE.slabs_partial, page)
        return
    surplus = free_objects > load(m, n + SLAB_NODE.free_limit)
    if m.has("P8v3"):
        if not m.has("F_FLIM"):
            surplus = surplus or memcg_cache_dead(m, s)
    if surplus:
        write_once(m, n + SLAB_NODE.free_objects, free_objects - num)
        slab_destroy(m, s, page)
    else:
        write_once(m, n + SLAB_NODE.free_objects, free_objects)
        add_head(m, n + SLAB_NODE.slabs_free, page)


@dual
def slab_destroy(m: Machine, s: int, page: int) -> None:
    """Give an unlinked empty slab's pages back. The uncharge comes last: after it `s` may be gone."""
    n = node_of(m, s, load(m, page + PAGE.node))
    fetch_add(m, n + NODE.nr_slabs, -1)
    fetch_add(m, n + NODE.total_objects, -load(m, s + CACHE.oo_objects))
    release_slab(m, s, page)
