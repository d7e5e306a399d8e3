"""Caches as a whole: allocate and free by cgroup, create, destroy, shrink (v3.16 mm/slab_common.c).

slab_mutex covers the list of caches and the free descriptors; creation and destruction take it, on the kworker. A
cache that is destroyed is used by nobody any more: its caller knows that, or it is the race that is looked for.

The only module that knows which allocator a machine runs: a machine's kernel name is the allocator's
name, and `m.has` of the allocator's feature picks the branch at compile time.
"""

from __future__ import annotations

from allocators.core.kmem_cache import (
    CACHE,
    CACHE_FREE,
    CACHE_LIVE,
    KMEM_CACHE_CPU,
    NODE,
    SLAB_DESTROY_BY_RCU,
    count_free,
)
from allocators.core.lists import list_push, list_remove
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import OPS, SCRATCH_AT, STAT_WORDS, WORLD, WORLD_AT, count, world
from allocators.memcg.cache_ref import cache_ref_get, cache_ref_put
from allocators.memcg.memcontrol import memcg_kmem_get_cache, schedule_unregister
from allocators.memcg.objcg import before_free, post_alloc, pre_alloc
from allocators.memcg.slab_pages import free_rcu_slabs
from allocators.slab.alloc import cache_alloc
from allocators.slab.drain import slab_shrink, slab_shutdown
from allocators.slab.free import cache_free, cache_free_past_arrays
from allocators.slab.setup import slab_setup
from allocators.slab.state import SLAB_STAT
from allocators.slob.cache import free_waiting_objects, slob_cache_alloc, slob_cache_free, slob_shrink, slob_shutdown
from allocators.slob.state import cache_of
from allocators.slub.alloc import NO_NODE, slab_alloc
from allocators.slub.deactivate import flush_all
from allocators.slub.flush import flush_rcu_sheaves
from allocators.slub.free import slab_free
from allocators.slub.reparent import free_to_owner
from allocators.slub.sheaf import sheaf_alloc, sheaf_free
from allocators.slub.shrink import slub_deactivate, slub_shrink, slub_shutdown
from allocators.slub.sysfs import sysfs_slab_unlink
from shm.atomics import add_book, area_of, book, cpu_area, load, read_book, store, store_release, write_book, write_once
from shm.compiler import dual, dual_inline
from shm.ipi import IPI_BARRIER, IRQ_WORK, smp_call_all
from shm.locks import SLAB_MUTEX, mutex_lock, mutex_unlock
from shm.machine import MACHINE, Machine
from shm.rcu import rcu_barrier


@dual_inline
def kmem_cache_alloc(m: Machine, root: int, memcg: int) -> int:
    """An object of the cache `root` (or of the memcg's copy of it); 0 when out of memory.

    SLOB: a reference to it (see allocators.slob), which is what `kmem_cache_free` takes.
    """
    return kmem_cache_alloc_gfp(m, root, memcg, True)


@dual_inline
def kmem_cache_alloc_gfp(m: Machine, root: int, memcg: int, may_block: bool) -> int:
    """As `kmem_cache_alloc`. may_block: may it wait for reclaim? Only F_GATE asks."""
    owner = 0
    if m.has("F_OBJCG"):
        s = root
        owner = pre_alloc(m, s, memcg)
    elif m.has("SLOB"):
        s = root  # a kernel with SLOB accounts no kernel memory to cgroups
    else:
        s = memcg_kmem_get_cache(m, root, memcg)
    if m.has("SLAB"):
        obj = cache_alloc(m, s)
    elif m.has("SLOB"):
        obj = slob_cache_alloc(m, s)
    elif m.has("F_SHEAF"):
        obj = sheaf_alloc(m, s, may_block)
    else:
        obj = slab_alloc(m, s, NO_NODE)
    if m.has("F_OBJCG") and owner:
        post_alloc(m, s, owner, obj)
    if m.has("STATS"):
        if obj:
            count(m, OPS.alloc)
            add_book(m, s + CACHE.live, 1)
        else:
            count(m, OPS.alloc_failed)
    # Last: without this reference the cache may be gone (R10).
    if m.has("F_ALLOCREF") and s != root and cache_ref_put(m, s, 1):
        schedule_unregister(m, s)
    return obj


@dual_inline
def kmem_cache_free(m: Machine, obj: int) -> None:
    """Free an object to the cache its slab belongs to, whichever cache the caller knows.

    SLOB: to the cache that its reference names.
    """
    free_by(m, obj, False)


@dual_inline
def free_by(m: Machine, obj: int, kworker: bool) -> None:
    """As `kmem_cache_free`. kworker: is it the kworker that frees? SLAB has no arrays for it."""
    if m.has("F_REPARENT_SLABS"):
        free_to_owner(m, obj)
        return
    if m.has("SLOB"):
        s = cache_of(m, obj)
        page = 0
    else:
        page = head_of(m, obj)
        s = load(m, page + PAGE.slab_cache)
    if m.has("STATS"):
        count_free(m, s)
    if m.has("F_OBJCG"):
        before_free(m, s, obj, page)
    child = False
    if m.has("F_FREEREF"):
        child = load(m, s + CACHE.root) != 0
        if child:
            cache_ref_get(m, s, 1)
    if m.has("SLAB"):
        if kworker:
            cache_free_past_arrays(m, s, page, obj)
        else:
            cache_free(m, s, page, obj)
    elif m.has("SLOB"):
        slob_cache_free(m, s, obj)
    elif m.has("F_SHEAF"):
        sheaf_free(m, s, page, obj)
    else:
        slab_free(m, s, page, obj)
    if m.has("F_FREEREF") and child and cache_ref_put(m, s, 1):
        schedule_unregister(m, s)


@dual
def take_descriptor(m: Machine) -> int:
    """A free kmem_cache descriptor, cleared, or 0; slab_mutex held."""
    s = load(m, WORLD_AT + WORLD.cache_free)
    if s:
        store(m, WORLD_AT + WORLD.cache_free, load(m, s + CACHE.next))
        store(m, s + CACHE.next, 0)
        store(m, s + CACHE.state, CACHE_LIVE)
        node = load(m, s + CACHE.node)
        for i in range(world(m, WORLD.nr_nodes) * NODE.SIZE):
            store(m, node + i, 0)
        for cpu in range(load(m, MACHINE.nr_cpus)):
            c = area_of(m, cpu) + load(m, s + CACHE.cpu_slab)
            # SLAB's word in this place is a pointer, which slab_setup sets where there is an array.
            store(m, c + KMEM_CACHE_CPU.pair, 0 if m.has("SLAB") or m.has("SLOB") else cpu)
            write_once(m, c + KMEM_CACHE_CPU.page, 0)
            store(m, c + KMEM_CACHE_CPU.partial, 0)
            store(m, c + KMEM_CACHE_CPU.ref, 0)
        list_push(m, WORLD_AT + WORLD.slab_caches, s, CACHE.next, CACHE.prev)
        store(m, WORLD_AT + WORLD.nr_caches, load(m, WORLD_AT + WORLD.nr_caches) + 1)
    return s


@dual
def create_child(m: Machine, root: int, memcg: int) -> int:
    """A copy of `root` for a memcg, not yet published, or 0 when there is no descriptor left."""
    mutex_lock(m, WORLD_AT + WORLD.slab_mutex, SLAB_MUTEX)
    s = take_descriptor(m)
    if s:
        for field in (
            CACHE.offset,
            CACHE.size,
            CACHE.cpu_partial,
            CACHE.min_partial,
            CACHE.oo_order,
            CACHE.oo_objects,
            CACHE.min_order,
            CACHE.min_objects,
            CACHE.max_objects,
            CACHE.object_size,
            CACHE.flags,
        ):
            store(m, s + field, load(m, root + field))
        store(m, s + CACHE.root, root)
        store(m, s + CACHE.memcg, memcg)
        store(m, s + CACHE.index, -1)
        if m.has("P2") or m.has("F_REPARENT") or m.has("F_REPARENT_SLABS"):
            store(m, s + CACHE.refcnt, 1)
        if m.has("SLAB"):
            slab_setup(m, s)
    mutex_unlock(m, WORLD_AT + WORLD.slab_mutex)
    return s


@dual
def kmem_cache_shrink(m: Machine, s: int) -> int:
    """Discard what is empty; 0, or an error (see the allocator's shrink)."""
    if m.has("SLAB"):
        return slab_shrink(m, s)
    elif m.has("SLOB"):
        return slob_shrink(m, s)
    else:
        return slub_shrink(m, s)


@dual
def kmem_cache_flush(m: Machine, s: int) -> None:
    """SLUB: every CPU's slabs and sheaves go back (flush_all); barns keep theirs. Nothing on other allocators."""
    if not (m.has("SLAB") or m.has("SLOB")):
        flush_all(m, s)


@dual
def kmem_cache_deactivate(m: Machine, s: int) -> None:
    """What v4.0 does to a cache before the shrink when its memcg goes offline (P7v4).

    Every CPU passes a barrier (kick_all_cpus_sync); with F_REPARENT the caller's grace period is it.
    """
    if m.has("P7v4"):
        slub_deactivate(m, s)
        if not m.has("F_REPARENT"):
            smp_call_all(m, IPI_BARRIER, 0)


@dual
def kmem_cache_destroy(m: Machine, s: int) -> bool:
    """Destroy a cache that nobody uses; False (and the cache stays) when it still has objects.

    F_RCUSHEAF: what kfree_rcu has not freed yet is waited for (2024); before, those were objects that remain.
    F_UNLINKLOCKED: a root cache's sysfs directory is deleted under slab_mutex (to 5.19), else after it was dropped.
    """
    if m.has("F_RCUSHEAF"):
        _kvfree_rcu_barrier(m, s)
    if m.has("F_NOLOCK"):
        smp_call_all(m, IRQ_WORK, 0)  # defer_free_barrier
    mutex_lock(m, WORLD_AT + WORLD.slab_mutex, SLAB_MUTEX)
    if m.has("SLAB"):
        done = slab_shutdown(m, s)
    elif m.has("SLOB"):
        done = slob_shutdown(m, s)
    else:
        done = slub_shutdown(m, s)
    if done:
        # rcu_barrier: what waits for a grace period still names this cache.
        if load(m, s + CACHE.flags) & SLAB_DESTROY_BY_RCU:
            free_after_grace_period(m)
        list_remove(m, WORLD_AT + WORLD.slab_caches, s, CACHE.next, CACHE.prev)
        if not m.has("SLAB") and not m.has("SLOB") and load(m, s + CACHE.root) == 0:
            _unlink(m, s)
        _retire(m, s)
        store(m, WORLD_AT + WORLD.nr_caches, load(m, WORLD_AT + WORLD.nr_caches) - 1)
        store(m, s + CACHE.next, load(m, WORLD_AT + WORLD.cache_free))
        store(m, WORLD_AT + WORLD.cache_free, s)
    mutex_unlock(m, WORLD_AT + WORLD.slab_mutex)
    return done


@dual
def _unlink(m: Machine, s: int) -> None:
    """The sysfs directory of a cache that nobody finds any more; slab_mutex held."""
    if m.has("F_UNLINKLOCKED"):
        sysfs_slab_unlink(m, s)
    else:
        mutex_unlock(m, WORLD_AT + WORLD.slab_mutex)
        sysfs_slab_unlink(m, s)
        mutex_lock(m, WORLD_AT + WORLD.slab_mutex, SLAB_MUTEX)


@dual
def _kvfree_rcu_barrier(m: Machine, s: int) -> None:
    """kvfree_rcu_barrier_on_cache. A batch waits for two grace periods."""
    flush_rcu_sheaves(m, s)
    for _ in range(2):
        rcu_barrier(m, world(m, WORLD.rcu_queue), cpu_area(m) + SCRATCH_AT)


@dual
def free_after_grace_period(m: Machine) -> bool:
    """Free what waits for a grace period, slabs or (SLOB) objects; False when nothing does. Kworker only."""
    if m.has("SLOB"):
        return free_waiting_objects(m)
    else:
        return free_rcu_slabs(m)


@dual
def _retire(m: Machine, s: int) -> None:
    """Keep a destroyed cache's statistics and clear the descriptor for its next user."""
    if m.has("STATS"):
        for cpu in range(load(m, MACHINE.nr_cpus)):
            a = area_of(m, cpu) + read_book(m, s + CACHE.stats)
            for i in range(STAT_WORDS):
                book(m, read_book(m, WORLD_AT + WORLD.retired) + i, read_book(m, a + i))
                write_book(m, a + i, 0)
        if m.has("SLAB"):
            for item, field in ((SLAB_STAT.high_mark, CACHE.high_mark), (SLAB_STAT.max_freeable, CACHE.max_freeable)):
                total = world(m, WORLD.retired) + item
                store(m, total, load(m, total) + load(m, s + field))
                store(m, s + field, 0)
            store(m, s + CACHE.num_active, 0)
    index = load(m, s + CACHE.index)
    if index >= 0:
        store_release(m, world(m, WORLD.cache_table) + index, 0)
    for field in (
        CACHE.dead,
        CACHE.refcnt,
        CACHE.ref_atomic,
        CACHE.prev,
        CACHE.root,
        CACHE.memcg,
        CACHE.memcg_next,
        CACHE.memcg_prev,
    ):
        store(m, s + field, 0)
    for field in (CACHE.work_pending, CACHE.offline, CACHE.closing, CACHE.live, CACHE.last_free, CACHE.offline_at):
        store(m, s + field, 0)
    store(m, s + CACHE.state, CACHE_FREE)
