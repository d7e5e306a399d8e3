"""Allocations and frees of callers that may not spin (v7.0 kmalloc_nolock, kfree_nolock; F_NOLOCK).

Such a caller may have interrupted anybody, a holder of any lock too, so each lock is only tried. An allocation takes
what the CPU's sheaves, the barn or the first slab of the node have, and else fails: it refills no sheaf. (A kernel
tries for a new slab, too.) A free goes to the CPU's sheaves, else on a list of the CPU, and an interrupt that the CPU
asks itself for (irq_work) frees what is there to its slabs. Who destroys a cache has every CPU do that first.

The list is a stack through the objects' first words, pushed by a compare-and-swap by its CPU alone, which that
interrupt may come in between. An object on it is in use for its slab, handed out to nobody, and has no owner any more.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, count_free, node_of
from allocators.core.lists import stack_push
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import DEFERRED_AT, OPS, count
from allocators.memcg.objcg import before_free, post_alloc, pre_alloc
from allocators.slub.alloc import this_node
from allocators.slub.barn import barn_at, try_exchange
from allocators.slub.node_slab import free_chain, try_one_from_node
from allocators.slub.sheaf import is_local
from allocators.slub.sheaf_state import BARN, PCS, SHEAF, capacity_of, local_trylock, local_unlock, pcs_of
from allocators.slub.state import STAT, stat
from shm.atomics import (
    add_book,
    cpu_area,
    load,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    this_cpu,
    write_once,
    xchg,
)
from shm.compiler import dual, dual_slow
from shm.idle import ask
from shm.ipi import SERVICE_IRQ_WORK
from shm.machine import MACHINE, Machine


@dual_slow
def alloc_nolock(m: Machine, s: int, memcg: int) -> int:
    """kmalloc_nolock: an object of a root cache, or 0 when none can be had without waiting."""
    owner = pre_alloc(m, s, memcg)
    obj = _from_sheaf(m, s)
    if obj == 0:
        stat(m, s, STAT.alloc_slowpath)
        obj = try_one_from_node(m, s, node_of(m, s, this_node(m)))
    if owner:
        post_alloc(m, s, owner, obj)
    if m.has("STATS"):
        if obj:
            count(m, OPS.alloc)
            add_book(m, s + CACHE.live, 1)
        else:
            count(m, OPS.alloc_failed)
            count(m, OPS.nolock_failed)
    return obj


@dual
def _from_sheaf(m: Machine, s: int) -> int:
    if load(m, s + CACHE.sheaves) == 0 or not local_trylock(m, s):
        return 0
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    if load(m, main + SHEAF.size) == 0:
        full = _full_sheaf(m, s, p, main)
        if full == 0:
            local_unlock(m, s)
            return 0
        main = full
    held = load(m, main + SHEAF.size)
    stat(m, s, STAT.alloc_fastpath)
    count(m, OPS.sheaf_alloc)
    write_once(m, main + SHEAF.size, held - 1)
    obj = load(m, main + SHEAF.objects + held - 1)
    local_unlock(m, s)
    return obj


@dual
def _full_sheaf(m: Machine, s: int, p: int, main: int) -> int:
    """The spare, or a full one of the barn, in the place of an empty main; 0 when there is none. Local lock held."""
    spare = load(m, p + PCS.spare)
    if spare and load(m, spare + SHEAF.size):
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        return spare
    barn = barn_at(m, s, this_node(m))
    if barn == 0:
        return 0
    full = try_exchange(m, barn + BARN.full, barn + BARN.nr_full, barn + BARN.empty, barn + BARN.nr_empty, barn, main)
    if full:
        stat(m, s, STAT.barn_get)
        write_once(m, p + PCS.main, full)
    else:
        stat(m, s, STAT.barn_get_fail)
    return full


@dual_slow
def free_nolock(m: Machine, obj: int) -> None:
    """kfree_nolock. Never waits."""
    page = head_of(m, obj)
    s = load(m, page + PAGE.slab_cache)
    before_free(m, s, obj, page)
    if _to_sheaf(m, s, page, obj):
        if m.has("STATS"):
            count_free(m, s)
    else:
        _defer_free(m, obj)


@dual
def _to_sheaf(m: Machine, s: int, page: int, obj: int) -> bool:
    if load(m, s + CACHE.sheaves) == 0 or not is_local(m, page) or not local_trylock(m, s):
        return False
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    if load(m, main + SHEAF.size) == capacity_of(m, s):
        empty = _sheaf_with_room(m, s, p, main)
        if empty == 0:
            local_unlock(m, s)
            return False
        main = empty
    held = load(m, main + SHEAF.size)
    stat(m, s, STAT.free_fastpath)
    count(m, OPS.sheaf_free)
    store(m, main + SHEAF.objects + held, obj)
    write_once(m, main + SHEAF.size, held + 1)
    local_unlock(m, s)
    return True


@dual
def _sheaf_with_room(m: Machine, s: int, p: int, main: int) -> int:
    """The spare, or an empty one of the barn, in the place of a full main; 0 when there is none. Local lock held."""
    spare = load(m, p + PCS.spare)
    if spare == 0:
        return 0
    if load(m, spare + SHEAF.size) < capacity_of(m, s):
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        return spare
    barn = barn_at(m, s, this_node(m))
    if barn == 0 or read_once(m, barn + BARN.nr_full) >= load(m, barn + BARN.max_full):
        return 0
    empty = try_exchange(m, barn + BARN.empty, barn + BARN.nr_empty, barn + BARN.full, barn + BARN.nr_full, barn, main)
    if empty:
        stat(m, s, STAT.barn_put)
        write_once(m, p + PCS.main, empty)
    return empty


@dual
def _defer_free(m: Machine, obj: int) -> None:
    """defer_free: on this CPU's list; who puts the first one there asks for the interrupt."""
    count(m, OPS.deferred_free)
    if m.has("PREEMPT"):
        preempt_disable(m)
    first = stack_push(m, cpu_area(m) + DEFERRED_AT, obj, obj)
    if first == 0 and load(m, MACHINE.serial) == 0:
        ask(m, this_cpu(m), SERVICE_IRQ_WORK)
    if m.has("PREEMPT"):
        preempt_enable(m)
    if load(m, MACHINE.serial):
        free_deferred_objects(m)  # interrupts are on: it comes at once


@dual_slow
def free_deferred_objects(m: Machine) -> None:
    """This CPU's list is freed, past its sheaves. In an interrupt."""
    obj = xchg(m, cpu_area(m) + DEFERRED_AT, 0)
    while obj:
        after = load(m, obj)
        page = head_of(m, obj)
        s = load(m, page + PAGE.slab_cache)
        if m.has("STATS"):
            count_free(m, s)
        stat(m, s, STAT.free_slowpath)
        free_chain(m, s, page, obj, obj, 1)
        obj = after
