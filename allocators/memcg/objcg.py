"""Owners of single objects: one set of caches for all cgroups, v5.9 (obj_cgroup; feature F_OBJCG).

An accounted object has a pointer to its obj_cgroup in a vector of its slab (allocators.memcg.obj_vector), made when the
slab gets its first accounted object. An obj_cgroup belongs to a memcg until that goes offline, then to the parent,
here the root cgroup (0): one pointer write, whatever number of objects. It lives as long as an object
or a stock (allocators.memcg.obj_stock) refers to it; the memcg does not.

F_OBJCGNODE, 7.1: a memcg has an obj_cgroup for each node, and an allocation takes that of its CPU's node. A stock of
one slot is then drained whenever objects go from node to node.

Who may write: `memcg` the offline. A kernel reads it, and MEMCG.objcg, inside RCU read sections; here preemption is
kept off (feature PREEMPT).
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import MEM_MAP, OBJCG, OPS, WORLD, WORLD_AT, count, node_of_cpu, world
from allocators.memcg.cache_ref import BIAS
from allocators.memcg.memcontrol import MEMCG, kmemcg_id
from allocators.memcg.obj_refs import end_kill, objcg_get, objcg_put
from allocators.memcg.obj_stock import drain_other_obj_stocks, obj_cgroup_charge, refill_obj_stock
from allocators.memcg.obj_vector import MADE, POINTER_BYTES, make_vector, owner_word
from allocators.memcg.page_stock import drain_all_stock
from shm.atomics import (
    fetch_add,
    load,
    load_acquire,
    peek_book,
    preempt_disable,
    preempt_enable,
    store,
    store_release,
    this_cpu,
    write_once,
)
from shm.compiler import dual
from shm.machine import Machine
from shm.rcu import synchronize_sched


@dual
def _word_of(m: Machine, memcg: int, node: int) -> int:
    """The word that has a memcg's obj_cgroup for a node."""
    if m.has("F_OBJCGNODE"):
        return world(m, WORLD.node_objcgs) + kmemcg_id(m, memcg) * world(m, WORLD.nr_nodes) + node
    return memcg + MEMCG.objcg


@dual
def _objcgs_of_a_memcg(m: Machine) -> int:
    """F_OBJCGNODE: one for each node."""
    if m.has("F_OBJCGNODE"):
        return world(m, WORLD.nr_nodes)
    return 1


@dual
def _node_here(m: Machine) -> int:
    """The node whose obj_cgroup an allocation takes: its CPU's, wherever the slab will be."""
    if m.has("F_OBJCGNODE"):
        return node_of_cpu(m, this_cpu(m))
    return 0


@dual
def full_size(m: Machine, s: int) -> int:
    """obj_full_size: bytes that one object is charged, its owner pointer included."""
    return load(m, s + CACHE.size) * 8 + POINTER_BYTES


@dual
def pre_alloc(m: Machine, s: int, memcg: int) -> int:
    """memcg_slab_pre_alloc_hook: charge one object; the obj_cgroup, or 0 for the root cgroup."""
    if memcg == 0:
        return 0
    if m.has("PREEMPT"):
        preempt_disable(m)
    o = load_acquire(m, _word_of(m, memcg, _node_here(m)))
    if o:
        objcg_get(m, o)
    if m.has("PREEMPT"):
        preempt_enable(m)
    if o:
        obj_cgroup_charge(m, o, full_size(m, s))
    return o


@dual
def post_alloc(m: Machine, s: int, o: int, obj: int) -> None:
    """memcg_slab_post_alloc_hook: the object gets its owner, or the charge goes back.

    An object whose slab can have no vector is not accounted.
    """
    page = head_of(m, obj) if obj else 0
    owned = obj != 0
    if owned and load_acquire(m, world(m, WORLD.obj_cgroups) + (page - MEM_MAP) // PAGE.SIZE) != MADE:
        owned = make_vector(m, page)
    if owned:
        objcg_get(m, o)
        store(m, owner_word(m, s, page, obj), o)
    else:
        refill_obj_stock(m, o, full_size(m, s), True)
    objcg_put(m, o)


@dual
def before_free(m: Machine, s: int, obj: int, page: int) -> None:
    """memcg_slab_free_hook: uncharge the object and drop its owner."""
    if load_acquire(m, world(m, WORLD.obj_cgroups) + (page - MEM_MAP) // PAGE.SIZE) != MADE:
        return
    owner = owner_word(m, s, page, obj)
    o = load(m, owner)
    if o:
        if m.has("STATS") and peek_book(m, o + OBJCG.offline):
            count(m, OPS.dead_free)
        count(m, OPS.owned_free)
        store(m, owner, 0)
        refill_obj_stock(m, o, full_size(m, s), True)
        objcg_put(m, o)


@dual
def create_objcg(m: Machine, memcg: int) -> bool:
    """memcg_online_kmem; False when too few descriptors are left. memcg_slab_mutex held."""
    nodes = _objcgs_of_a_memcg(m)
    left = load(m, WORLD_AT + WORLD.objcg_free)
    for _ in range(nodes - 1):
        if left:
            left = load(m, left + OBJCG.next_free)
    if left == 0:
        return False
    for node in range(nodes):
        o = load(m, WORLD_AT + WORLD.objcg_free)
        store(m, WORLD_AT + WORLD.objcg_free, load(m, o + OBJCG.next_free))
        store(m, o + OBJCG.next_free, 0)
        store(m, o + OBJCG.memcg, memcg)
        store(m, o + OBJCG.charged, 0)
        store(m, o + OBJCG.offline, 0)
        store(m, o + OBJCG.ref_atomic, 0)
        store(m, o + OBJCG.refcnt, 1)
        store(m, o + OBJCG.used, 1)
        store_release(m, _word_of(m, memcg, node), o)
    return True


@dual
def reparent_objcg(m: Machine, memcg: int) -> None:
    """memcg_reparent_objcgs: a pointer write for each obj_cgroup, and the memcg's own references go. Kworker only.

    F_PAGESTOCK: then the CPUs' page stocks give up what they have for the memcg. Interrupts and preemption on.
    """
    nodes = _objcgs_of_a_memcg(m)
    moved = 0  # the first of those moved, linked by next_free
    for node in range(nodes):
        word = _word_of(m, memcg, node)
        o = load(m, word)
        store_release(m, word, 0)
        write_once(m, o + OBJCG.offline, 1)
        write_once(m, o + OBJCG.memcg, 0)
        fetch_add(m, o + OBJCG.refcnt, BIAS)
        write_once(m, o + OBJCG.ref_atomic, 1)
        store(m, o + OBJCG.next_free, moved)
        moved = o
    synchronize_sched(m)
    # Nobody charges to the memcg any more; what it was charged is charged to the root cgroup now.
    if m.has("F_PAGESTOCK"):
        drain_all_stock(m, memcg)
    if m.has("F_STOCKLOOK") or m.has("F_BUG_STOCKLOOK"):
        drain_other_obj_stocks(m, memcg)
    store(m, memcg + MEMCG.kmem, 0)
    while moved:
        after = load(m, moved + OBJCG.next_free)
        store(m, moved + OBJCG.next_free, 0)
        end_kill(m, moved)
        moved = after


@dual
def free_objcg(m: Machine, o: int) -> None:
    """obj_cgroup_release: what its stocks left of a page each is whole pages together. memcg_slab_mutex held.

    F_STOCKMEMCG: together with those of other obj_cgroups that have the same parent.
    """
    if m.has("F_STOCKMEMCG"):
        left = WORLD_AT + WORLD.objcg_left_over
        store(m, left, load(m, left) + load(m, o + OBJCG.charged))
    store(m, o + OBJCG.used, 0)
    store(m, o + OBJCG.next_free, load(m, WORLD_AT + WORLD.objcg_free))
    store(m, WORLD_AT + WORLD.objcg_free, o)
