"""Arrays and free slabs go back: by the reaper's fifths, or all at once by shrink and shutdown.

v3.16: drain_array, drain_freelist, do_drain, drain_cpu_caches, __kmem_cache_shrink. The patches of
the series act on dead caches in shrink: P8v2 lets no array take anything any more, P8v3 takes the
per-CPU arrays away, F_FLIM lets no empty slab stay.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.world import OPS, WORLD, WORLD_AT, count, node_of_cpu, world
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slab.free import drain_alien_cache, free_block, slab_destroy
from allocators.slab.state import (
    ARRAY_CACHE,
    KMEM_CACHE_ARRAY,
    SLAB_NODE,
    alien_array,
    cpu_array,
    drop_oldest,
    slab_node,
    unlink,
)
from shm.atomics import cpu_area, load, local_irq_restore, local_irq_save, read_once, store, this_cpu, write_once
from shm.compiler import dual
from shm.ipi import smp_call_all
from shm.locks import ALIEN_LOCK, LIST_LOCK, spin_lock, spin_unlock
from shm.machine import Machine

IPI_DRAIN = 1


@dual
def drain_array(m: Machine, s: int, n: int, ac: int, force: bool) -> None:
    """Give some of an array's objects back: a fifth of its limit, or all if forced.

    An array that was used since the last time is only marked, unless forced. Interrupts on.
    """
    if ac == 0 or read_once(m, ac + ARRAY_CACHE.avail) == 0:
        return
    if load(m, ac + ARRAY_CACHE.touched) and not force:
        store(m, ac + ARRAY_CACHE.touched, 0)
        return
    flags = local_irq_save(m)
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    avail = load(m, ac + ARRAY_CACHE.avail)
    if avail:
        number = avail if force else (load(m, ac + ARRAY_CACHE.limit) + 4) // 5
        if number > avail:
            number = (avail + 1) // 2
        free_block(m, s, n, ac, number)
        drop_oldest(m, ac, number)
    spin_unlock(m, n + SLAB_NODE.list_lock)
    local_irq_restore(m, flags)


@dual
def drain_freelist(m: Machine, s: int, n: int, most: int) -> int:
    """Destroy up to `most` free slabs, the longest free first; returns how many."""
    freed = 0
    # Unlocked: an empty slab that is being added right now may be missed (R8b).
    while freed < most and read_once(m, n + SLAB_NODE.slabs_free):
        flags = local_irq_save(m)
        spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
        page = load(m, n + SLAB_NODE.slabs_free + 1)
        if page:
            unlink(m, n + SLAB_NODE.slabs_free, page)
            write_once(
                m, n + SLAB_NODE.free_objects, load(m, n + SLAB_NODE.free_objects) - load(m, s + CACHE.oo_objects)
            )
        spin_unlock(m, n + SLAB_NODE.list_lock)
        local_irq_restore(m, flags)
        if page == 0:
            break
        slab_destroy(m, s, page)
        freed += 1
    return freed


@dual
def slabs_of_free_objects(m: Machine, s: int, n: int) -> int:
    """How many slabs the node's free objects would fill (slabs_tofree)."""
    num = load(m, s + CACHE.oo_objects)
    return (read_once(m, n + SLAB_NODE.free_objects) + num - 1) // num


@dual
def do_drain(m: Machine, s: int) -> None:
    """The drain IPI's handler: all that this CPU's array holds goes back. Interrupts off."""
    ac = cpu_array(m, s)
    if ac == 0:
        return
    n = slab_node(m, s, node_of_cpu(m, this_cpu(m)))
    spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
    free_block(m, s, n, ac, load(m, ac + ARRAY_CACHE.avail))
    spin_unlock(m, n + SLAB_NODE.list_lock)
    store(m, ac + ARRAY_CACHE.avail, 0)
    if m.has("P8v2"):
        if memcg_cache_dead(m, s):
            store(m, ac + ARRAY_CACHE.limit, 0)
    if m.has("P8v3"):
        if memcg_cache_dead(m, s):
            store(m, cpu_area(m) + load(m, s + CACHE.cpu_slab) + KMEM_CACHE_ARRAY.array, 0)


@dual
def slab_ipi(m: Machine, func: int, arg: int) -> None:
    """SLAB's interrupts."""
    if func == IPI_DRAIN:
        do_drain(m, arg)


@dual
def drain_cpu_caches(m: Machine, s: int) -> None:
    """Empty every CPU's array by IPI, then the alien and the shared arrays. Interrupts on."""
    count(m, OPS.ipi)
    smp_call_all(m, IPI_DRAIN, s)
    nodes = world(m, WORLD.nr_nodes)
    dead = memcg_cache_dead(m, s)
    for node in range(nodes):
        for home in range(nodes):
            if home != node:
                alien = alien_array(m, slab_node(m, s, node), home)
                flags = local_irq_save(m)
                spin_lock(m, alien + ARRAY_CACHE.lock, ALIEN_LOCK)
                drain_alien_cache(m, s, alien, home)
                if m.has("P8v2"):
                    if dead:
                        store(m, alien + ARRAY_CACHE.limit, 0)
                spin_unlock(m, alien + ARRAY_CACHE.lock)
                local_irq_restore(m, flags)
    for node in range(nodes):
        n = slab_node(m, s, node)
        if dead:
            _limit_dead(m, n)
        drain_array(m, s, n, load(m, n + SLAB_NODE.shared), True)


@dual
def _limit_dead(m: Machine, n: int) -> None:
    """P8v2 and F_FLIM: a dead cache's shared array takes nothing, no empty slab is kept."""
    if m.has("P8v2") or m.has("F_FLIM"):
        flags = local_irq_save(m)
        spin_lock(m, n + SLAB_NODE.list_lock, LIST_LOCK)
        write_once(m, n + SLAB_NODE.free_limit, 0)
        shared = load(m, n + SLAB_NODE.shared)
        if m.has("P8v2") and shared:
            store(m, shared + ARRAY_CACHE.limit, 0)
        spin_unlock(m, n + SLAB_NODE.list_lock)
        local_irq_restore(m, flags)


@dual
def slab_shrink(m: Machine, s: int) -> int:
    """__kmem_cache_shrink: empty all arrays and destroy all free slabs; 1 if slabs remain, else 0."""
    drain_cpu_caches(m, s)
    left = 0
    for node in range(world(m, WORLD.nr_nodes)):
        n = slab_node(m, s, node)
        freed = drain_freelist(m, s, n, slabs_of_free_objects(m, s, n))
        store(m, WORLD_AT + WORLD.shrink_discarded, load(m, WORLD_AT + WORLD.shrink_discarded) + freed)
        if read_once(m, n + SLAB_NODE.slabs_full) or read_once(m, n + SLAB_NODE.slabs_partial):
            left = 1
    return left


@dual
def slab_shutdown(m: Machine, s: int) -> bool:
    """__kmem_cache_shutdown: shrink; False when slabs still hold objects, and then the arrays stay."""
    return slab_shrink(m, s) == 0
