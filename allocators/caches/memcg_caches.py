"""The life of child caches: created by the kworker, destroyed by it; and the memcgs they belong to.

v3.16 memcg_register_cache, memcg_unregister_cache. When a child is destroyed:

    P2                  by the last uncharge
    F_WORK              until 3.15: each release of a dead child's last page schedules its work, which shrinks or
                        destroys it
    F_CSS               4.0: with its memcg
    F_REPARENT          5.3: by the last reference, whoever owns it
    F_REPARENT_SLABS    the RFC of May 2014: when its slabs have moved to the root cache

What the offline does is in allocators.caches.offline.

A child is made, linked to its memcg and published in its root's slot · serves allocations until it is unpublished ·
goes offline with its memcg · is unlinked and destroyed. Everything here runs on the kworker, under memcg_slab_mutex,
which `create_memcg`, `memcg_work` and `destroy_root` take; slab_mutex is taken inside it.
"""

from __future__ import annotations

from allocators.caches.kfree_rcu import batch_rcu
from allocators.caches.nolock import free_deferred_objects
from allocators.caches.slab_common import create_child, free_after_grace_period, kmem_cache_destroy, kmem_cache_shrink
from allocators.core.bugs import BUG_CLOSE_BUSY, BUG_SECOND_DESTROY
from allocators.core.kmem_cache import CACHE, CACHE_LIVE
from allocators.core.lists import list_push, list_remove
from allocators.core.world import SCRATCH_AT, WORLD, WORLD_AT, kernel_ns, world
from allocators.memcg.cache_ref import cache_ref_end_kill
from allocators.memcg.memcontrol import (
    MEMCG,
    RCU_REPARENT_SLABS,
    RCU_UNREGISTER,
    SLOT_PENDING,
    WORK_CREATE_CHILD,
    WORK_CSS_FREE,
    WORK_OBJCG_FREE,
    WORK_REPARENT_SLABS,
    WORK_SHRINK_OR_DESTROY,
    WORK_UNREGISTER,
    css_put,
    kmemcg_id,
    queue_work,
)
from allocators.memcg.obj_stock import DRAIN_OBJ_STOCK, drain_local_obj_stock
from allocators.memcg.objcg import create_objcg, free_objcg
from allocators.memcg.page_stock import DRAIN_STOCK, drain_local_stock
from allocators.slub.flush import sheaf_ipi
from allocators.slub.rcu_sheaf import sheaf_rcu
from allocators.slub.reparent import reparent_slabs
from shm.atomics import (
    bug,
    call_work,
    cmpxchg,
    cpu_area,
    fetch_add,
    load,
    read_once,
    smp_wmb,
    store,
    store_release,
    write_once,
)
from shm.compiler import dual
from shm.histogram import record
from shm.ipi import IRQ_WORK
from shm.locks import MEMCG_SLAB_MUTEX, mutex_lock, mutex_unlock
from shm.machine import Machine
from shm.rcu import rcu_process, synchronize_sched
from shm.ring import ITEM, ring_pop_into


@dual
def tally(m: Machine, field: int, delta: int) -> None:
    """Add to a tally of the kworker in WORLD."""
    store(m, WORLD_AT + field, load(m, WORLD_AT + field) + delta)


@dual
def create_memcg(m: Machine, cgroup: int) -> int:
    """A new online memcg for a cgroup index of the workload; 0 when no descriptor is left."""
    mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
    memcg = load(m, WORLD_AT + WORLD.memcg_free)
    if m.has("F_OBJCG") and memcg and not create_objcg(m, memcg):
        memcg = 0
    if memcg:
        store(m, WORLD_AT + WORLD.memcg_free, load(m, memcg + MEMCG.next_free))
        store(m, memcg + MEMCG.next_free, 0)
        store(m, memcg + MEMCG.kmem, 0)
        store(m, memcg + MEMCG.kmem_dead, 0)
        store(m, memcg + MEMCG.children, 0)
        store(m, memcg + MEMCG.used, 1)
        store(m, memcg + MEMCG.cgroup, cgroup)
        write_once(m, memcg + MEMCG.css, 1)
        write_once(m, memcg + MEMCG.online, 1)
        store_release(m, world(m, WORLD.cgroup_table) + cgroup, memcg)
        tally(m, WORLD.cgroups_online, 1)
    mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
    return memcg


@dual
def register_child(m: Machine, root: int, memcg: int) -> int:
    """memcg_register_cache: create the child and publish it; it holds a css reference.

    Returns the child that serves now.
    One that is there already stays: creations may be asked for more than once. 0: no descriptor is left, there are no
    children (F_OBJCG, SLOB), or the memcg went offline meanwhile and the kernel looks again. memcg_slab_mutex is held.
    """
    if m.has("F_OBJCG") or m.has("SLOB"):
        return 0
    slot = load(m, root + CACHE.slots) + kmemcg_id(m, memcg)
    if load(m, slot) > SLOT_PENDING:
        return load(m, slot)
    if (m.has("F_CSS") or m.has("F_REPARENT") or m.has("F_REPARENT_SLABS")) and read_once(m, memcg + MEMCG.online) == 0:
        store_release(m, slot, 0)
        return 0
    child = create_child(m, root, memcg)
    if child == 0:
        store_release(m, slot, 0)
        return 0
    if not m.has("F_CSS"):
        fetch_add(m, memcg + MEMCG.css, 1)
    link_child(m, child)
    # An allocation finds the child by the slot alone: everything above must be visible before.
    smp_wmb(m)
    store_release(m, slot, child)
    return child


@dual
def _children_of(m: Machine, memcg: int) -> int:
    """The word that holds the first child of a memcg, or of the root cgroup (0): the re-parented ones."""
    if memcg:
        return memcg + MEMCG.children
    return WORLD_AT + WORLD.reparented


@dual
def link_child(m: Machine, s: int) -> None:
    """Put a child first on the list of its memcg."""
    list_push(m, _children_of(m, load(m, s + CACHE.memcg)), s, CACHE.memcg_next, CACHE.memcg_prev)


@dual
def unlink_child(m: Machine, s: int) -> None:
    """Take a child off the list of its memcg."""
    list_remove(m, _children_of(m, load(m, s + CACHE.memcg)), s, CACHE.memcg_next, CACHE.memcg_prev)
    store(m, s + CACHE.memcg_prev, 0)
    store(m, s + CACHE.memcg_next, 0)


@dual
def unpublish(m: Machine, s: int) -> None:
    """Take a child out of its root's slot: allocations are served by the root cache from now on."""
    slot = load(m, load(m, s + CACHE.root) + CACHE.slots) + kmemcg_id(m, load(m, s + CACHE.memcg))
    if load(m, slot) == s:
        store_release(m, slot, 0)


@dual
def unregister_child(m: Machine, s: int) -> bool:
    """memcg_unregister_cache: unpublish, unlink, destroy, drop the css reference."""
    memcg = load(m, s + CACHE.memcg)
    offline = load(m, s + CACHE.offline)
    since = load(m, s + CACHE.offline_at)
    if read_once(m, s + CACHE.last_free) > since:
        since = read_once(m, s + CACHE.last_free)
    if memcg:
        unpublish(m, s)
    unlink_child(m, s)
    write_once(m, s + CACHE.closing, 1)
    if not kmem_cache_destroy(m, s):
        return False
    if not m.has("F_CSS") and memcg:
        css_put(m, memcg)
    if offline:
        tally(m, WORLD.destroyed, 1)
        if m.has("STATS"):
            # The cycle counters of two CPUs may differ a little.
            lifetime = kernel_ns(m) - since if since else 0
            record(m, world(m, WORLD.lifetimes), lifetime if lifetime > 0 else 0)
    return True


@dual
def destroy_root(m: Machine, root: int) -> bool:
    """kmem_cache_destroy of a root cache: its children go first (v3.16 __memcg_cleanup_cache_params).

    False when a child or the root itself still has objects: what is left then stays. What is queued for a
    child finds it gone (R11); F_FLUSHWORK, 2018: it is let run first.
    """
    if m.has("F_FLUSHWORK"):
        while run_deferred_work(m):
            pass
    mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
    done = True
    s = load(m, WORLD_AT + WORLD.slab_caches)
    while s and done:
        after = load(m, s + CACHE.next)
        if load(m, s + CACHE.root) == root:
            done = unregister_child(m, s)
        s = after
    if done:
        done = kmem_cache_destroy(m, root)
    mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
    return done


@dual
def _destroy_children(m: Machine, memcg: int) -> None:
    """v4.0 memcg_destroy_kmem_caches: nothing is charged any more, so no child has a slab."""
    s = load(m, memcg + MEMCG.children)
    while s:
        after = load(m, s + CACHE.memcg_next)
        if not unregister_child(m, s):
            bug(m, BUG_CLOSE_BUSY, s)
        s = after


@dual
def _css_free(m: Machine, memcg: int) -> None:
    """The last reference of a memcg is gone: its descriptor is free."""
    if m.has("F_CSS"):
        _destroy_children(m, memcg)
    table = world(m, WORLD.cgroup_table) + load(m, memcg + MEMCG.cgroup)
    if load(m, table) == memcg:
        store_release(m, table, 0)
    store(m, memcg + MEMCG.used, 0)
    store(m, memcg + MEMCG.next_free, load(m, WORLD_AT + WORLD.memcg_free))
    store(m, WORLD_AT + WORLD.memcg_free, memcg)
    tally(m, WORLD.cgroups_offline, -1)


@dual
def _live_child(m: Machine, s: int) -> bool:
    """Is `s` a child that lives? If not, what an item asks for is done already, which must not be."""
    if load(m, s + CACHE.state) != CACHE_LIVE or load(m, s + CACHE.root) == 0:
        bug(m, BUG_SECOND_DESTROY, s)
        return False
    return True


@dual
def _shrink_or_destroy(m: Machine, s: int) -> None:
    """v3.15 kmem_cache_destroy_work_func. A shrink that releases the last page schedules it again."""
    if load(m, s + CACHE.work_pending) == 0:
        return  # cancelled: the root cache was destroyed, and its children with it
    if not _live_child(m, s):
        return
    # The mark goes first, with a full barrier: a release from now on schedules anew.
    cmpxchg(m, s + CACHE.work_pending, 1, 0)
    if read_once(m, s + CACHE.refcnt) != 0:
        kmem_cache_shrink(m, s)
    else:
        unregister_child(m, s)


@dual
def _reparent_and_destroy(m: Machine, s: int) -> None:
    """F_REPARENT_SLABS: the re-parenter.

    The grace period is for who has read page.slab_cache and holds no reference (R1b).
    """
    reparent_slabs(m, s)
    synchronize_sched(m)
    if not unregister_child(m, s):
        bug(m, BUG_CLOSE_BUSY, s)


@dual
def memcg_work(m: Machine, func: int, a: int, b: int) -> None:
    """The kworker's items."""
    if m.has("F_CSS") and func == WORK_CSS_FREE:
        # A css is freed a grace period after its last reference: the free that dropped it has ended (R1).
        synchronize_sched(m)
    mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
    if func == WORK_CREATE_CHILD:
        register_child(m, b, a)
    elif func == WORK_UNREGISTER:
        if _live_child(m, a):
            unregister_child(m, a)
    elif func == WORK_REPARENT_SLABS and m.has("F_REPARENT_SLABS"):
        if _live_child(m, a):
            _reparent_and_destroy(m, a)
    elif func == WORK_CSS_FREE:
        _css_free(m, a)
    elif func == WORK_OBJCG_FREE and m.has("F_OBJCG"):
        free_objcg(m, a)
    elif func == WORK_SHRINK_OR_DESTROY and m.has("F_WORK"):
        _shrink_or_destroy(m, a)
    mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
    if func == WORK_CREATE_CHILD:
        css_put(m, a)


@dual
def slub_call(m: Machine, func: int, arg: int) -> None:
    """SLUB's interrupts and work on CPUs; with F_PAGESTOCK the memcg's work too."""
    if m.has("F_NOLOCK") and func == IRQ_WORK:
        free_deferred_objects(m)
    elif m.has("F_PAGESTOCK") and func == DRAIN_STOCK:
        drain_local_stock(m)
    elif (m.has("F_STOCKLOOK") or m.has("F_BUG_STOCKLOOK")) and func == DRAIN_OBJ_STOCK:
        drain_local_obj_stock(m)
    else:
        sheaf_ipi(m, func, arg)


@dual
def memcg_rcu(m: Machine, func: int, arg: int) -> None:
    """RCU callbacks: F_RCU's second half of the destruction; F_REPARENT_SLABS': frees count in one word from now on;
    what kfree_rcu has waiting."""
    if m.has("F_RCUSHEAF"):
        sheaf_rcu(m, func, arg)
    batch_rcu(m, func, arg)
    if m.has("F_REPARENT_SLABS") and func == RCU_REPARENT_SLABS and cache_ref_end_kill(m, arg):
        queue_work(m, WORK_REPARENT_SLABS, arg, 0)
    if func == RCU_UNREGISTER and cmpxchg(m, arg + CACHE.work_pending, 0, 1) == 0:
        queue_work(m, WORK_UNREGISTER, arg, 0)


@dual
def run_deferred_work(m: Machine) -> bool:
    """One turn of the kworker: a work item, or what waits for a grace period; False when idle."""
    scratch = cpu_area(m) + SCRATCH_AT
    if ring_pop_into(m, world(m, WORLD.workqueue), scratch):
        call_work(m, load(m, scratch + ITEM.func), load(m, scratch + ITEM.a), load(m, scratch + ITEM.b))
        return True
    if free_after_grace_period(m):
        return True
    return rcu_process(m, world(m, WORLD.rcu_queue), scratch) > 0
