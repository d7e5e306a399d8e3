"""A memcg goes offline: what becomes of its child caches, switch by switch.

v3.16 memcg_unregister_all_caches: shrink each child, destroy what is empty. Beside that or instead of it:

    P3, F_MB, F_GP      the dead mark before the shrink; a full barrier after it; a grace period after it
    P2                  the reference of an online memcg is dropped
    F_RCU, F_FREEREF    one grace period before what is already empty is destroyed (F_FREEREF: for the frees that hold
                        references)
    F_WORK              until 3.15: only mark and schedule work
    P7v4, F_CSS         4.0: deactivate and unpublish
    F_REPARENT          5.3: the same, with a grace period instead of the barrier, and the children move to the parent
                        cgroup, here the root, so nothing of the memcg remains
    F_REPARENT_SLABS    the RFC of May 2014: unpublish, and give the references up; the last one lets the slabs move to
                        the root cache (allocators.slub.reparent)
    F_OBJCG             5.9: there are no children; the memcg's obj_cgroup moves

Runs on the kworker. `offline_one` and `offline_memcg` take memcg_slab_mutex, all else runs under it.
"""

from __future__ import annotations

from allocators.caches.memcg_caches import link_child, tally, unlink_child, unpublish, unregister_child
from allocators.caches.slab_common import kmem_cache_deactivate, kmem_cache_shrink
from allocators.core.bugs import BUG_QUEUE_FULL
from allocators.core.kmem_cache import CACHE
from allocators.core.world import WORLD, WORLD_AT, kernel_ns, world
from allocators.memcg.cache_ref import cache_ref_begin_kill, cache_ref_end_kill
from allocators.memcg.memcontrol import MEMCG, RCU_REPARENT_SLABS, css_put, schedule_shrink_or_destroy
from allocators.memcg.objcg import reparent_objcg
from shm.atomics import bug, cmpxchg, fetch_add, load, read_once, smp_mb, smp_wmb, store, write_once, xchg
from shm.compiler import dual
from shm.ipi import IPI_BARRIER, smp_call_all
from shm.locks import MEMCG_SLAB_MUTEX, mutex_lock, mutex_unlock
from shm.machine import Machine
from shm.rcu import call_rcu_sched, synchronize_sched


@dual
def mark_dead(m: Machine, s: int) -> None:
    """P3: the dead mark. v3 orders it before the shrink; F_MB makes every CPU pass a barrier."""
    if m.has("P3") or m.has("P3v3"):
        write_once(m, s + CACHE.dead, 1)
        if m.has("P3v3"):
            smp_wmb(m)
        if m.has("F_MB"):
            smp_mb(m)
            smp_call_all(m, IPI_BARRIER, 0)


@dual
def _begin_reparenting(m: Machine, s: int) -> None:
    """v5.3 memcg_deactivate_kmem_caches, for one child: deactivate it and hand it to the root cgroup.

    A grace period must follow before `_end_reparenting`: a CPU may be charging to the old memcg still.
    """
    memcg = load(m, s + CACHE.memcg)
    tally(m, WORLD.offlined, 1)
    write_once(m, s + CACHE.offline, 1)
    if m.has("P7v4"):
        kmem_cache_deactivate(m, s)
    unpublish(m, s)
    cache_ref_begin_kill(m, s)
    unlink_child(m, s)
    write_once(m, s + CACHE.memcg, 0)
    link_child(m, s)
    css_put(m, memcg)


@dual
def _end_reparenting(m: Machine, s: int) -> bool:
    """v5.3 kmemcg_cache_deactivate_after_rcu; True when the child is empty and must be destroyed."""
    kmem_cache_shrink(m, s)
    write_once(m, s + CACHE.offline_at, kernel_ns(m))
    return cache_ref_end_kill(m, s)


@dual
def offline_child(m: Machine, s: int) -> bool:
    """What the offline does to one child; True when it must now be unregistered (it is empty)."""
    if m.has("F_REPARENT"):
        _begin_reparenting(m, s)
        synchronize_sched(m)
        return _end_reparenting(m, s)
    tally(m, WORLD.offlined, 1)
    write_once(m, s + CACHE.offline, 1)
    if m.has("F_WORK"):
        write_once(m, s + CACHE.dead, 1)
        write_once(m, s + CACHE.offline_at, kernel_ns(m))
        schedule_shrink_or_destroy(m, s)
        return False
    if m.has("F_REPARENT_SLABS"):
        write_once(m, s + CACHE.offline_at, kernel_ns(m))
        unpublish(m, s)
        cache_ref_begin_kill(m, s)
        if not call_rcu_sched(m, world(m, WORLD.rcu_queue), RCU_REPARENT_SLABS, s):
            bug(m, BUG_QUEUE_FULL, s)
        return False
    mark_dead(m, s)
    if m.has("F_GP"):
        synchronize_sched(m)
    if m.has("P7v4"):
        kmem_cache_deactivate(m, s)
    kmem_cache_shrink(m, s)
    write_once(m, s + CACHE.offline_at, kernel_ns(m))
    if m.has("F_CSS"):
        unpublish(m, s)
        return False
    if m.has("P2"):
        return fetch_add(m, s + CACHE.refcnt, -1) == 1
    return read_once(m, s + CACHE.refcnt) == 0


@dual
def _grace_period_first(m: Machine) -> bool:
    """Does a grace period go before the destruction of a child that the offline found empty?

    With F_FREEREF a free that emptied it may still have to drop its reference; F_REPARENT's children are found empty
    after the switch to one count, which such a free is in.
    """
    return m.has("F_RCU") or (m.has("F_FREEREF") and not m.has("F_REPARENT"))


@dual
def offline_one(m: Machine, s: int) -> None:
    """The offline of a memcg reaches one child, and the memcg stays.

    Of recorded kernels, whose offlines come cache by cache.
    """
    mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
    if offline_child(m, s):
        if _grace_period_first(m):
            store(m, s + CACHE.closing, 1)
            synchronize_sched(m)
        unregister_child(m, s)
    mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)


@dual
def _offline_children(m: Machine, memcg: int) -> None:
    """As `offline_one` for all of them, with one grace period."""
    doomed = 0
    s = load(m, memcg + MEMCG.children)
    while s:
        after = load(m, s + CACHE.memcg_next)
        if offline_child(m, s):
            if _grace_period_first(m):
                store(m, s + CACHE.closing, 1)
                doomed += 1
            else:
                unregister_child(m, s)
        s = after
    if doomed:
        synchronize_sched(m)
        s = load(m, memcg + MEMCG.children)
        while s:
            after = load(m, s + CACHE.memcg_next)
            if load(m, s + CACHE.closing):
                unregister_child(m, s)
            s = after


@dual
def _reparent_children(m: Machine, memcg: int) -> None:
    """v5.3: all children move at once, so one grace period serves them all."""
    moved = 0
    while load(m, memcg + MEMCG.children):
        _begin_reparenting(m, load(m, memcg + MEMCG.children))
        moved += 1
    if moved:
        synchronize_sched(m)
        # They are the first of the root's list now.
        s = load(m, WORLD_AT + WORLD.reparented)
        for _ in range(moved):
            after = load(m, s + CACHE.memcg_next)
            if _end_reparenting(m, s):
                unregister_child(m, s)
            s = after
    # What was charged is charged to the root cgroup now, and nobody reads this counter any more.
    store(m, memcg + MEMCG.kmem, 0)


@dual
def offline_memcg(m: Machine, memcg: int) -> None:
    """mem_cgroup_css_offline: no task is left in the cgroup; its children go, or are left behind."""
    write_once(m, memcg + MEMCG.online, 0)
    mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
    tally(m, WORLD.cgroups_online, -1)
    tally(m, WORLD.cgroups_offline, 1)
    if m.has("F_OBJCG"):
        reparent_objcg(m, memcg)
    elif m.has("F_REPARENT"):
        _reparent_children(m, memcg)
    else:
        _offline_children(m, memcg)
    mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
    if not m.has("F_CSS") and not m.has("F_REPARENT") and not m.has("F_OBJCG") and read_once(m, memcg + MEMCG.kmem):
        # Charges remain: a reference more, dropped by the last uncharge.
        fetch_add(m, memcg + MEMCG.css, 1)
        # A full barrier before the counter is read, as set_bit is in a kernel: else this and the last
        # uncharge may both miss the other's store, and the reference is never dropped.
        xchg(m, memcg + MEMCG.kmem_dead, 1)
        if read_once(m, memcg + MEMCG.kmem) == 0 and cmpxchg(m, memcg + MEMCG.kmem_dead, 1, 0) == 1:
            css_put(m, memcg)
    css_put(m, memcg)
