"""Sheaves: per-CPU arrays of free objects in front of SLUB, and a barn of full and empty ones per node.

v6.18 and v7.0 alloc_from_pcs, __pcs_replace_empty_main, free_to_pcs, __pcs_replace_full_main: an object
is taken from or put into the CPU's main sheaf without any atomic operation. An empty main is swapped
with the spare, exchanged for a full sheaf of the barn, or replaced by one that is refilled (allocators.slub.refill); a
full main is swapped with an empty spare, exchanged for an empty sheaf of the barn, or the spare is flushed
when the barn has as many full ones as it keeps. Objects of a remote node go by the sheaves. What no sheaf serves
goes to SLUB's CPU slab, or (F_NOCPUSLAB) object by object to slabs of a node (allocators.slub.node_slab).

The local lock of a CPU's sheaves (v6.18 local_trylock) keeps preemption off and costs no atomic operation. Nothing
here runs in an interrupt, the flush being work on the CPU, so nobody ever finds the lock taken: keeping preemption off
(feature PREEMPT) is all there is to it. On PREEMPT_RT (F_RT) it is a lock whose holder may be preempted: allocations
and frees try it, and go beneath. It is dropped while a sheaf is refilled or flushed, which then is the task's
own; afterwards the CPU, or its sheaves, may be others.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE
from allocators.core.world import OPS, WORLD, count, world
from allocators.slub.alloc import NO_NODE, slab_alloc, this_node
from allocators.slub.barn import barn_at, empty_of_barn, exchange, free_sheaf, new_sheaf, put_empty, put_full
from allocators.slub.flush import flush
from allocators.slub.free import slab_free
from allocators.slub.node_slab import alloc_one, free_one
from allocators.slub.refill import alloc_bulk, refill_objects
from allocators.slub.sheaf_state import (
    BARN,
    PCS,
    SHEAF,
    capacity_of,
    local_lock,
    local_trylock,
    local_unlock,
    pcs_of,
)
from allocators.slub.state import STAT, stat
from shm.atomics import load, read_once, store, this_cpu, write_once
from shm.compiler import dual, dual_inline, dual_slow
from shm.machine import Machine


@dual_inline
def _alloc_beneath(m: Machine, s: int) -> int:
    if m.has("F_NOCPUSLAB"):
        return alloc_one(m, s, NO_NODE)
    else:
        return slab_alloc(m, s, NO_NODE)


@dual_inline
def _free_beneath(m: Machine, s: int, page: int, obj: int) -> None:
    if m.has("F_NOCPUSLAB"):
        free_one(m, s, page, obj)
    else:
        slab_free(m, s, page, obj)


@dual_inline
def sheaf_alloc(m: Machine, s: int, may_block: bool) -> int:
    """alloc_from_pcs, and SLUB when no sheaf can be had; 0 when out of memory."""
    if load(m, s + CACHE.sheaves) == 0 or not local_trylock(m, s):
        return _alloc_beneath(m, s)
    main = load(m, pcs_of(m, s, this_cpu(m)) + PCS.main)
    held = load(m, main + SHEAF.size)
    if held == 0:
        main = _replace_empty_main(m, s, may_block)
        if main == 0:
            return _alloc_beneath(m, s)
        held = load(m, main + SHEAF.size)
    count(m, OPS.sheaf_alloc)
    if m.has("F_NOCPUSLAB"):
        stat(m, s, STAT.alloc_fastpath)
    else:
        stat(m, s, STAT.alloc_pcs)
    write_once(m, main + SHEAF.size, held - 1)
    obj = load(m, main + SHEAF.objects + held - 1)
    local_unlock(m, s)
    return obj


@dual_inline
def is_local(m: Machine, page: int) -> bool:
    """can_free_to_pcs: may an object of this slab go to this CPU's sheaves? F_BARNONLINE: a node without memory has no
    objects of its own, so its CPUs take any."""
    node = this_node(m)
    if m.has("F_BARNONLINE") and node >= world(m, WORLD.nodes_with_memory):
        return True
    return load(m, page + PAGE.node) == node


@dual_inline
def sheaf_free(m: Machine, s: int, page: int, obj: int) -> None:
    """free_to_pcs, and SLUB for objects of another node."""
    if load(m, s + CACHE.sheaves) == 0 or not is_local(m, page) or not local_trylock(m, s):
        _free_beneath(m, s, page, obj)
        return
    main = load(m, pcs_of(m, s, this_cpu(m)) + PCS.main)
    held = load(m, main + SHEAF.size)
    if held == capacity_of(m, s):
        main = _replace_full_main(m, s)
        if main == 0:
            _free_beneath(m, s, page, obj)
            return
        held = load(m, main + SHEAF.size)
    count(m, OPS.sheaf_free)
    if m.has("F_NOCPUSLAB"):
        stat(m, s, STAT.free_fastpath)
    else:
        stat(m, s, STAT.free_pcs)
    store(m, main + SHEAF.objects + held, obj)
    write_once(m, main + SHEAF.size, held + 1)
    local_unlock(m, s)


@dual_slow
def _replace_empty_main(m: Machine, s: int, may_block: bool) -> int:
    """A main sheaf with objects; 0 when none can be had, and then the local lock is dropped.

    F_GATE: who may not block refills no sheaf.
    """
    count(m, OPS.slow)
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    spare = load(m, p + PCS.spare)
    if spare and load(m, spare + SHEAF.size):
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        return spare
    barn = barn_at(m, s, this_node(m))
    if barn == 0:
        local_unlock(m, s)
        return 0
    full = exchange(m, barn + BARN.full, barn + BARN.nr_full, barn + BARN.empty, barn + BARN.nr_empty, barn, main)
    if full:
        stat(m, s, STAT.barn_get)
        write_once(m, p + PCS.main, full)
        return full
    stat(m, s, STAT.barn_get_fail)
    if m.has("F_GATE") and not may_block:
        local_unlock(m, s)
        return 0
    full = spare
    if full:
        write_once(m, p + PCS.spare, 0)
    else:
        full = empty_of_barn(m, barn)
    local_unlock(m, s)
    if full == 0:
        full = new_sheaf(m, s)
    if full == 0 or not _refill(m, s, full):
        return 0
    local_lock(m, s)
    return _install_full(m, s, barn, full)


@dual
def _refill(m: Machine, s: int, sheaf: int) -> bool:
    """refill_sheaf: all or nothing. Without enough memory the sheaf is freed, and with it, in v7.0-rc1, what it got."""
    capacity = capacity_of(m, s)
    if m.has("F_NOCPUSLAB"):
        got = refill_objects(m, s, sheaf + SHEAF.objects, capacity)
    else:
        got = alloc_bulk(m, s, sheaf + SHEAF.objects, capacity)
    for _ in range(got):
        count(m, OPS.sheaf_refill)
        stat(m, s, STAT.sheaf_refill)
    write_once(m, sheaf + SHEAF.size, got)
    if got == capacity:
        return True
    count(m, OPS.refill_failed)
    if m.has("F_REFILLFLUSH") or not m.has("F_NOCPUSLAB"):
        flush(m, s, sheaf)
    else:
        write_once(m, sheaf + SHEAF.size, 0)
    free_sheaf(m, s, sheaf)
    return False


@dual
def _install_full(m: Machine, s: int, barn: int, full: int) -> int:
    """A full sheaf becomes main unless main got objects meanwhile; returns main.

    barn: of the CPU that it was refilled on.
    """
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    spare = load(m, p + PCS.spare)
    if load(m, main + SHEAF.size) == 0:
        write_once(m, p + PCS.main, full)
        if spare:
            put_empty(m, s, barn, main)
        else:
            write_once(m, p + PCS.spare, main)
        return full
    if spare == 0:
        write_once(m, p + PCS.spare, full)
    elif load(m, spare + SHEAF.size) == 0:
        write_once(m, p + PCS.spare, full)
        put_empty(m, s, barn, spare)
    else:
        put_full(m, s, barn, full)
    return main


@dual_slow
def _replace_full_main(m: Machine, s: int) -> int:
    """A main sheaf with room; 0 when none can be had, and then the local lock is dropped."""
    count(m, OPS.slow)
    capacity = capacity_of(m, s)
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    spare = load(m, p + PCS.spare)
    barn = barn_at(m, s, this_node(m))
    if spare and load(m, spare + SHEAF.size) < capacity:
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        return spare
    if barn == 0:
        local_unlock(m, s)
        return 0
    empty = 0
    if spare == 0:
        empty = empty_of_barn(m, barn)
        if empty:
            write_once(m, p + PCS.spare, main)
            write_once(m, p + PCS.main, empty)
            return empty
        local_unlock(m, s)
    elif read_once(m, barn + BARN.nr_full) >= load(m, barn + BARN.max_full):
        # Unlocked: one sheaf more or less in the barn does no harm.
        stat(m, s, STAT.barn_put_fail)
        write_once(m, p + PCS.spare, 0)
        local_unlock(m, s)
        flush(m, s, spare)
        empty = spare
    else:
        empty = exchange(m, barn + BARN.empty, barn + BARN.nr_empty, barn + BARN.full, barn + BARN.nr_full, barn, main)
        if empty:
            stat(m, s, STAT.barn_put)
            write_once(m, p + PCS.main, empty)
            return empty
        local_unlock(m, s)
    if empty == 0:
        empty = new_sheaf(m, s)
        if empty == 0:
            # A kernel flushes main, part by part, and tries again; a sheaf's allocation does not fail here.
            stat(m, s, STAT.barn_put_fail)
            return 0
    local_lock(m, s)
    return _install_empty(m, s, barn, empty)


@dual
def _install_empty(m: Machine, s: int, barn: int, empty: int) -> int:
    """__pcs_install_empty_sheaf: an empty sheaf becomes main unless main or spare got room meanwhile.

    Returns main, which has room.
    """
    capacity = capacity_of(m, s)
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    spare = load(m, p + PCS.spare)
    if spare == 0:
        write_once(m, p + PCS.spare, main)
        write_once(m, p + PCS.main, empty)
        return empty
    if load(m, main + SHEAF.size) < capacity:
        put_empty(m, s, barn, empty)
        return main
    if load(m, spare + SHEAF.size) < capacity:
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        put_empty(m, s, barn, empty)
        return spare
    put_full(m, s, barn, main)
    write_once(m, p + PCS.main, empty)
    return empty
