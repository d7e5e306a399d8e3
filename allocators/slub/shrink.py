"""Shrink and close: kmem_cache_shrink, kmem_cache_close (v3.16; P4, P7, F_NRP; P4v4 and P7v4 of 4.0).

Both run on the kworker with interrupts on. The sort array of shrink is scratch memory of the world
that only the kworker uses; its allocation may fail on purpose (allocators.core.injection).
"""

from __future__ import annotations

from allocators.core.injection import shrink_alloc_fails
from allocators.core.kmem_cache import CACHE, NODE, list_add_head, list_del, node_of
from allocators.core.lists import deque_push
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import inuse_of, objects_of
from allocators.core.world import MAX_OBJECTS, SCRATCH_AT, WORLD, world
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.deactivate import flush_all
from allocators.slub.discard import discard_slab, tally_discard
from allocators.slub.flush import shrink_barns
from allocators.slub.partial import remove_partial
from shm.atomics import cpu_area, load, local_irq_restore, local_irq_save, read_once, store, write_once
from shm.compiler import dual
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine
from shm.rcu import rcu_barrier

ENOMEM = -12
PROMOTED = 32  # 4.0: slabs with so few free objects are sorted, the others stay where they are


@dual
def _empty_sheaves(m: Machine, s: int, close: bool) -> None:
    """Every CPU is flushed, and the barns are emptied. close: those that wait for a grace period are waited for.

    F_618SHRINK: in this order although there are CPU slabs, so what comes from a barn into a full slab may put that
    on the CPU partial list of who shrinks, where it stays.
    """
    if m.has("F_SHEAF") and not (m.has("F_618SHRINK") or m.has("F_NOCPUSLAB")):
        shrink_barns(m, s)
    flush_all(m, s)
    if m.has("F_RCUSHEAF") and close:
        rcu_barrier(m, world(m, WORLD.rcu_queue), cpu_area(m) + SCRATCH_AT)
    if m.has("F_618SHRINK") or m.has("F_NOCPUSLAB"):
        shrink_barns(m, s)


@dual
def slub_shrink(m: Machine, s: int) -> int:
    """__kmem_cache_shrink: flush all CPUs, discard empty slabs, sort the rest fullest first.

    Returns 0, or ENOMEM having done nothing when the sort array cannot be allocated (before P4).
    """
    if m.has("F_REPARENT_SLABS") and read_once(m, s + CACHE.ref_atomic):
        return 0  # the re-parenter discards what is empty (see enough_partial)
    if (m.has("P7") or m.has("P7v2") or m.has("P7v3") or m.has("P7a") or m.has("P7b")) and memcg_cache_dead(m, s):
        # Readers hold a list_lock, and every list_lock is taken below before anybody relies on it.
        write_once(m, s + CACHE.min_partial, 0)
    sort = False
    if not m.has("P4v4"):
        sort = not shrink_alloc_fails(m)
        if not sort and not (m.has("P4") or m.has("P4v3")):
            return ENOMEM
    _empty_sheaves(m, s, False)
    for node in range(world(m, WORLD.nr_nodes)):
        n = node_of(m, s, node)
        # Unlocked: an empty slab that is being added right now is missed and stays (R8).
        if not m.has("F_NRP") and read_once(m, n + NODE.nr_partial) == 0:
            continue
        if m.has("P4v4"):
            discard = _promote_partial(m, n)
        else:
            discard = _sort_partial(m, s, n, sort)
        while discard:
            page = discard
            discard = load(m, page + PAGE.next)
            tally_discard(m)
            discard_slab(m, s, page)
    return 0


@dual
def _sort_partial(m: Machine, s: int, n: int, sort: bool) -> int:
    """Under list_lock: unlink the empty slabs (returned as a chain) and sort the others by inuse.

    scratch holds MAX_OBJECTS list heads, then as many tails; each bucket is filled at its head, as
    list_move does.
    """
    heads = world(m, WORLD.shrink_scratch)
    tails = heads + MAX_OBJECTS
    objects = load(m, s + CACHE.max_objects)
    flags = local_irq_save(m)
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    if sort:
        for i in range(objects + 1):
            store(m, heads + i, 0)
            store(m, tails + i, 0)
    discard = 0
    page = load(m, n + NODE.first)
    while page:
        after = load(m, page + PAGE.next)
        inuse = inuse_of(read_once(m, page + PAGE.pair))
        if inuse == 0:
            if sort:
                # The list is taken apart and rebuilt below: neighbours may already be in a bucket.
                write_once(m, n + NODE.nr_partial, load(m, n + NODE.nr_partial) - 1)
            else:
                remove_partial(m, n, page)
            store(m, page + PAGE.next, discard)
            discard = page
        elif sort:
            deque_push(m, heads + inuse, tails + inuse, page, PAGE.next, PAGE.prev)
        page = after
    if sort:
        first = 0
        last = 0
        for i in range(objects, 0, -1):
            top = load(m, heads + i)
            if top:
                if last:
                    store(m, last + PAGE.next, top)
                    store(m, top + PAGE.prev, last)
                else:
                    first = top
                last = load(m, tails + i)
        write_once(m, n + NODE.first, first)
        store(m, n + NODE.last, last)
        if last:
            store(m, last + PAGE.next, 0)
    spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    return discard


@dual
def _promote_partial(m: Machine, n: int) -> int:
    """P4v4: as _sort_partial, with a fixed number of buckets by free objects, so without any allocation.

    Buckets are filled at their head, then spliced to the list's front, those with most free objects first.
    """
    heads = world(m, WORLD.shrink_scratch)
    tails = heads + PROMOTED
    for i in range(2 * PROMOTED):
        store(m, heads + i, 0)
    flags = local_irq_save(m)
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    discard = 0
    page = load(m, n + NODE.first)
    while page:
        after = load(m, page + PAGE.next)
        pair = read_once(m, page + PAGE.pair)
        free = objects_of(pair) - inuse_of(pair)
        if inuse_of(pair) == 0:
            remove_partial(m, n, page)
            store(m, page + PAGE.next, discard)
            discard = page
        elif free <= PROMOTED:
            # Kept in the order of the walk here; moving them one by one to the front turns it round.
            list_del(m, n, page)
            store(m, page + PAGE.next, 0)
            last = load(m, tails + free - 1)
            store(m, (last + PAGE.next) if last else (heads + free - 1), page)
            store(m, tails + free - 1, page)
        page = after
    for i in range(PROMOTED - 1, -1, -1):
        page = load(m, heads + i)
        while page:
            after = load(m, page + PAGE.next)
            list_add_head(m, n, page)
            page = after
    spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    return discard


@dual
def slub_deactivate(m: Machine, s: int) -> None:
    """P7v4: no slab is kept empty, and every push on a CPU partial stack is followed by its flush."""
    write_once(m, s + CACHE.cpu_partial, 0)
    write_once(m, s + CACHE.min_partial, 0)


@dual
def slub_shutdown(m: Machine, s: int) -> bool:
    """kmem_cache_close: flush, free all slabs; False when some still hold objects.

    Nobody may use the cache any more, hence no lock (as in a kernel).
    """
    _empty_sheaves(m, s, True)
    busy = False
    for node in range(world(m, WORLD.nr_nodes)):
        n = node_of(m, s, node)
        page = load(m, n + NODE.first)
        while page:
            after = load(m, page + PAGE.next)
            if inuse_of(read_once(m, page + PAGE.pair)) == 0:
                remove_partial(m, n, page)
                tally_discard(m)
                discard_slab(m, s, page)
            page = after
        if load(m, n + NODE.nr_partial) or read_once(m, n + NODE.nr_slabs):
            busy = True
    return not busy
