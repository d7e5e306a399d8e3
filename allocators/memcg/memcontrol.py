"""Memory cgroups: descriptors, css references, charging slabs, finding a child cache.

v3.16 mm/memcontrol.c before the series, P1, P2, P3, F_RCU of it, and F_WORK of 3.15. A child cache pins its memcg by
a css reference; the memcg's descriptor (and kmemcg_id, which is its index) is free again when the
last reference is gone. F_CSS turns that round, as of 4.0: each page charged holds a css reference, the
child none, and the children are destroyed when the memcg is released. F_REPARENT, as of 5.3: a child
without a memcg belongs to the root cgroup, and its references are counted by allocators.memcg.cache_ref.
F_REPARENT_SLABS: a child's references are those of its frees alone; its pages are charged to the memcg only.

Who may write what: `css`, `kmem` and a child's `refcnt` atomically by anybody; `online`, the list of
children and the slot arrays under memcg_slab_mutex, except that a slot goes 0 -> SLOT_PENDING by the
compare-and-swap of whoever first misses the child (the kernel may queue the creation several times
and finds the duplicates later).
"""

from __future__ import annotations

from allocators.core.bugs import BUG_QUEUE_FULL
from allocators.core.kmem_cache import CACHE
from allocators.core.world import WORLD, world
from allocators.memcg.cache_ref import cache_ref_get, cache_ref_put, cache_ref_tryget, inc_not_zero
from shm.atomics import (
    bug,
    cmpxchg,
    fetch_add,
    load,
    load_acquire,
    preempt_disable,
    preempt_enable,
    read_once,
    smp_rmb,
    store_release,
)
from shm.compiler import dual, dual_inline, dual_slow
from shm.layout import struct
from shm.machine import Machine
from shm.rcu import call_rcu_sched
from shm.ring import ring_push

MEMCG = struct(
    "MEMCG",
    "css",  # references: 1 while online, 1 per child, 1 per queued creation, 1 while dead with charges;
    # F_CSS: 1 while online, 1 per page charged, 1 per queued creation
    "kmem",  # pages charged
    "online",
    "kmem_dead",  # offline with charges: the last uncharge drops a reference
    "children",  # first child cache
    "next_free",
    "used",
    "cgroup",  # index of the workload
    "objcg",  # F_OBJCG: its obj_cgroup while it is online
    size=16,
)

SLOT_PENDING = 1

WORK_CREATE_CHILD = 1  # a=memcg, b=root
WORK_UNREGISTER = 2  # a=cache
WORK_CSS_FREE = 3  # a=memcg
WORK_SHRINK_OR_DESTROY = 4  # a=cache, F_WORK
WORK_OBJCG_FREE = 5  # a=obj_cgroup, F_OBJCG
WORK_REPARENT_SLABS = 6  # a=cache, F_REPARENT_SLABS

RCU_UNREGISTER = 1  # arg=cache
RCU_REPARENT_SLABS = 2  # arg=cache


@dual
def kmemcg_id(m: Machine, memcg: int) -> int:
    """The memcg's index in every root cache's slot array."""
    return (memcg - world(m, WORLD.memcgs)) // MEMCG.SIZE


@dual
def queue_work(m: Machine, func: int, a: int, b: int) -> None:
    """schedule_work for an item that must not be lost."""
    if not ring_push(m, world(m, WORLD.workqueue), func, a, b):
        bug(m, BUG_QUEUE_FULL, func)


@dual
def css_put(m: Machine, memcg: int) -> None:
    """Drop a reference; the last one frees the descriptor, by a work item as in a kernel."""
    css_put_many(m, memcg, 1)


@dual
def css_put_many(m: Machine, memcg: int, references: int) -> None:
    if fetch_add(m, memcg + MEMCG.css, -references) == references:
        queue_work(m, WORK_CSS_FREE, memcg, 0)


@dual
def css_tryget_online(m: Machine, memcg: int) -> bool:
    """Take a reference if the memcg is online. Never the first one: it may go offline right after the check."""
    if read_once(m, memcg + MEMCG.online) == 0:
        return False
    return inc_not_zero(m, memcg + MEMCG.css)


@dual
def memcg_cache_dead(m: Machine, s: int) -> bool:
    """memcg_cache_dead (P3): was this child's memcg taken offline? v3 adds a read barrier."""
    if m.has("P3v3"):
        smp_rmb(m)
        return read_once(m, s + CACHE.dead) != 0
    if m.has("P3"):
        return read_once(m, s + CACHE.dead) != 0
    return False


@dual
def slab_weight(m: Machine, order: int) -> int:
    """What one slab adds to a child's count: 1 with P1, its pages before."""
    if m.has("P1"):
        return 1
    return 1 << order


@dual
def _charge_owner(m: Machine, s: int, pages: int) -> None:
    """F_REPARENT: charge the memcg that `s` belongs to now, if any.

    Under rcu_read_lock (preemption off): a memcg that goes offline right now keeps its descriptor and its counter for a
    grace period.
    """
    if m.has("PREEMPT"):
        preempt_disable(m)
    owner = read_once(m, s + CACHE.memcg)
    if owner:
        fetch_add(m, owner + MEMCG.kmem, pages)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def memcg_charge_slab(m: Machine, s: int, order: int) -> bool:
    """Charge a new slab of `s` to its memcg; root caches are not charged. No limit is modelled."""
    if m.has("F_REPARENT"):
        _charge_owner(m, s, 1 << order)
        if load(m, s + CACHE.root):
            cache_ref_get(m, s, slab_weight(m, order))
        return True
    memcg = load(m, s + CACHE.memcg)
    if memcg:
        if m.has("F_CSS"):
            fetch_add(m, memcg + MEMCG.css, 1 << order)
        fetch_add(m, memcg + MEMCG.kmem, 1 << order)
        if not m.has("F_REPARENT_SLABS"):
            fetch_add(m, s + CACHE.refcnt, slab_weight(m, order))
    return True


@dual
def memcg_uncharge_slab(m: Machine, s: int, order: int) -> None:
    """Uncharge a discarded slab: the last event of its life. P2: the last one destroys the cache."""
    if m.has("F_REPARENT"):
        _charge_owner(m, s, -(1 << order))
        if load(m, s + CACHE.root) and cache_ref_put(m, s, slab_weight(m, order)):
            schedule_unregister(m, s)
        return
    memcg = load(m, s + CACHE.memcg)
    if memcg == 0:
        return
    if m.has("F_CSS"):
        fetch_add(m, s + CACHE.refcnt, -slab_weight(m, order))
        fetch_add(m, memcg + MEMCG.kmem, -(1 << order))
        css_put_many(m, memcg, 1 << order)
        return
    if fetch_add(m, memcg + MEMCG.kmem, -(1 << order)) == 1 << order:
        if cmpxchg(m, memcg + MEMCG.kmem_dead, 1, 0) == 1:
            css_put(m, memcg)
    if m.has("F_REPARENT_SLABS"):
        return
    weight = slab_weight(m, order)
    if fetch_add(m, s + CACHE.refcnt, -weight) == weight:
        if m.has("P2"):
            schedule_unregister(m, s)
        if m.has("F_WORK") and read_once(m, s + CACHE.dead):
            schedule_shrink_or_destroy(m, s)


@dual
def schedule_unregister(m: Machine, s: int) -> None:
    """The reference count of a child reached zero: destroy it, after a grace period with F_RCU."""
    if m.has("F_RCU"):
        if not call_rcu_sched(m, world(m, WORLD.rcu_queue), RCU_UNREGISTER, s):
            bug(m, BUG_QUEUE_FULL, s)
    elif cmpxchg(m, s + CACHE.work_pending, 0, 1) == 0:
        queue_work(m, WORK_UNREGISTER, s, 0)


@dual
def schedule_shrink_or_destroy(m: Machine, s: int) -> None:
    """v3.15 mem_cgroup_destroy_cache: a dead child's work item, unless it is pending.

    After the release of the last page `s` may be destroyed already, by work that was pending (R9).
    """
    if cmpxchg(m, s + CACHE.work_pending, 0, 1) == 0:
        queue_work(m, WORK_SHRINK_OR_DESTROY, s, 0)


@dual_inline
def memcg_kmem_get_cache(m: Machine, root: int, memcg: int) -> int:
    """The cache to allocate from on behalf of `memcg` (0: the root cgroup).

    A missing child is created later by the kworker; until then the root cache serves.
    """
    if memcg == 0:
        return root
    slot = load(m, root + CACHE.slots) + kmemcg_id(m, memcg)
    if m.has("F_ALLOCREF") and m.has("PREEMPT"):
        preempt_disable(m)  # rcu_read_lock: a child that is found is not destroyed before the reference is taken
    child = load_acquire(m, slot)
    found = child > SLOT_PENDING
    if m.has("F_ALLOCREF") and found:
        found = cache_ref_tryget(m, child)
    if m.has("F_ALLOCREF") and m.has("PREEMPT"):
        preempt_enable(m)
    if found:
        return child
    if child == 0:
        _schedule_create(m, root, memcg, slot)
    return root


@dual_slow
def _schedule_create(m: Machine, root: int, memcg: int, slot: int) -> None:
    if css_tryget_online(m, memcg):
        if cmpxchg(m, slot, 0, SLOT_PENDING) != 0:
            css_put(m, memcg)
        elif not ring_push(m, world(m, WORLD.workqueue), WORK_CREATE_CHILD, memcg, root):
            store_release(m, slot, 0)
            css_put(m, memcg)
