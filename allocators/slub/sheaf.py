"""Sheaves: per-CPU arrays of free objects in front of SLUB, and a barn of full and empty ones per node.

v6.18 alloc_from_pcs, __pcs_replace_empty_main, free_to_pcs, __pcs_replace_full_main, barn_*: an object
is taken from or put into the CPU's main sheaf without any atomic operation. An empty main is swapped
with the spare, exchanged for a full sheaf of the barn, or replaced by one refilled from SLUB; a full
main is swapped with an empty spare, exchanged for an empty sheaf of the barn, or the spare is flushed
to SLUB when the barn has as many full ones as it keeps. Objects of a remote node go by the sheaves.

The local lock of a CPU's sheaves (v6.18 local_trylock) keeps preemption off and costs no atomic operation. Nothing
here runs in an interrupt, the flush being work on the CPU, so nobody ever finds the lock taken: keeping preemption off
(feature PREEMPT) is all there is to it. It is dropped while a sheaf is refilled or flushed, which then is the task's
own; afterwards the CPU, or its sheaves, may be others.

For SLUB an object in a sheaf is in use, so a slab may stay for nothing but objects in sheaves. The
flush of a CPU empties its sheaves, shrink and destruction empty the barns first, so that what they free
is flushed too. A kernel takes and frees the objects of a sheaf in bulk, slab by slab; here one by one.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import OPS, WORLD, count, world
from allocators.slub.alloc import NO_NODE, slab_alloc, this_node
from allocators.slub.deactivate import slub_ipi
from allocators.slub.free import slab_free
from allocators.slub.sheaf_state import BARN, CAPACITY, MAX_EMPTY, MAX_FULL, PCS, POOL, SHEAF, barn_of, pcs_of, pool_of
from shm.atomics import (
    load,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    this_cpu,
    write_once,
)
from shm.compiler import dual, dual_inline, dual_slow
from shm.locks import BARN_LOCK, spin_lock, spin_unlock
from shm.machine import Machine


@dual
def _local_lock(m: Machine) -> None:
    """local_lock and local_trylock of this CPU's sheaves."""
    if m.has("PREEMPT"):
        preempt_disable(m)


@dual
def _local_unlock(m: Machine) -> None:
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual_inline
def sheaf_alloc(m: Machine, s: int) -> int:
    """alloc_from_pcs, and SLUB when no sheaf can be had; 0 when out of memory."""
    if load(m, s + CACHE.sheaves) == 0:
        return slab_alloc(m, s, NO_NODE)
    _local_lock(m)
    main = load(m, pcs_of(m, s, this_cpu(m)) + PCS.main)
    held = load(m, main + SHEAF.size)
    if held == 0:
        main = _replace_empty_main(m, s)
        if main == 0:
            return slab_alloc(m, s, NO_NODE)
        held = load(m, main + SHEAF.size)
    count(m, OPS.sheaf_alloc)
    write_once(m, main + SHEAF.size, held - 1)
    obj = load(m, main + SHEAF.objects + held - 1)
    _local_unlock(m)
    return obj


@dual_inline
def sheaf_free(m: Machine, s: int, page: int, obj: int) -> None:
    """free_to_pcs, and SLUB for objects of another node."""
    if load(m, s + CACHE.sheaves) == 0 or load(m, page + PAGE.node) != this_node(m):
        slab_free(m, s, page, obj)
        return
    _local_lock(m)
    main = load(m, pcs_of(m, s, this_cpu(m)) + PCS.main)
    held = load(m, main + SHEAF.size)
    if held == CAPACITY:
        main = _replace_full_main(m, s)
        held = load(m, main + SHEAF.size)
    count(m, OPS.sheaf_free)
    store(m, main + SHEAF.objects + held, obj)
    write_once(m, main + SHEAF.size, held + 1)
    _local_unlock(m)


@dual_slow
def _replace_empty_main(m: Machine, s: int) -> int:
    """A main sheaf with objects; 0 when none can be had, and then the local lock is dropped."""
    count(m, OPS.slow)
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    spare = load(m, p + PCS.spare)
    if spare and load(m, spare + SHEAF.size):
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        return spare
    barn = barn_of(m, s, this_node(m))
    full = _exchange(m, barn + BARN.full, barn + BARN.nr_full, barn + BARN.empty, barn + BARN.nr_empty, barn, main)
    if full:
        write_once(m, p + PCS.main, full)
        return full
    full = spare
    if full:
        write_once(m, p + PCS.spare, 0)
    else:
        full = _get_empty(m, s, barn)
    _local_unlock(m)
    _refill(m, s, full)
    if load(m, full + SHEAF.size) < CAPACITY:
        _flush(m, s, full)
        _put_empty(m, s, barn, full)
        return 0
    _local_lock(m)
    return _install_full(m, s, barn, full)


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
            _put_empty(m, s, barn, main)
        else:
            write_once(m, p + PCS.spare, main)
        return full
    if spare == 0:
        write_once(m, p + PCS.spare, full)
    elif load(m, spare + SHEAF.size) == 0:
        write_once(m, p + PCS.spare, full)
        _put_empty(m, s, barn, spare)
    else:
        _push(m, barn + BARN.lock, barn + BARN.full, barn + BARN.nr_full, full)
    return main


@dual_slow
def _replace_full_main(m: Machine, s: int) -> int:
    """A main sheaf with room."""
    count(m, OPS.slow)
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    spare = load(m, p + PCS.spare)
    barn = barn_of(m, s, this_node(m))
    if spare and load(m, spare + SHEAF.size) < CAPACITY:
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        return spare
    if spare == 0:
        _local_unlock(m)
        empty = _get_empty(m, s, barn)
    elif read_once(m, barn + BARN.nr_full) >= MAX_FULL:
        # Unlocked: one sheaf more or less in the barn does no harm.
        write_once(m, p + PCS.spare, 0)
        _local_unlock(m)
        _flush(m, s, spare)
        empty = spare
    else:
        empty = _exchange(m, barn + BARN.empty, barn + BARN.nr_empty, barn + BARN.full, barn + BARN.nr_full, barn, main)
        if empty:
            write_once(m, p + PCS.main, empty)
            return empty
        _local_unlock(m)
        empty = _get_empty(m, s, barn)
    _local_lock(m)
    return _install_empty(m, s, barn, empty)


@dual
def _install_empty(m: Machine, s: int, barn: int, empty: int) -> int:
    """__pcs_install_empty_sheaf: an empty sheaf becomes main unless main or spare got room meanwhile.

    Returns main, which has room.
    """
    p = pcs_of(m, s, this_cpu(m))
    main = load(m, p + PCS.main)
    spare = load(m, p + PCS.spare)
    if spare == 0:
        write_once(m, p + PCS.spare, main)
        write_once(m, p + PCS.main, empty)
        return empty
    if load(m, main + SHEAF.size) < CAPACITY:
        _put_empty(m, s, barn, empty)
        return main
    if load(m, spare + SHEAF.size) < CAPACITY:
        write_once(m, p + PCS.main, spare)
        write_once(m, p + PCS.spare, main)
        _put_empty(m, s, barn, empty)
        return spare
    _push(m, barn + BARN.lock, barn + BARN.full, barn + BARN.nr_full, main)
    write_once(m, p + PCS.main, empty)
    return empty


@dual
def _exchange(m: Machine, wanted: int, nr_wanted: int, given: int, nr_given: int, barn: int, sheaf: int) -> int:
    """barn_replace_*: take the first sheaf of one list and put `sheaf` on the other; 0 when there is none."""
    if read_once(m, nr_wanted) == 0:
        return 0
    flags = local_irq_save(m)
    spin_lock(m, barn + BARN.lock, BARN_LOCK)
    found = load(m, wanted)
    if found:
        store(m, wanted, load(m, found + SHEAF.next))
        write_once(m, nr_wanted, load(m, nr_wanted) - 1)
        store(m, sheaf + SHEAF.next, load(m, given))
        store(m, given, sheaf)
        write_once(m, nr_given, load(m, nr_given) + 1)
    spin_unlock(m, barn + BARN.lock)
    local_irq_restore(m, flags)
    if found:
        count(m, OPS.barn_exchange)
    return found


@dual
def _push(m: Machine, lock: int, head: int, counter: int, sheaf: int) -> None:
    """Put a sheaf on a list; counter: its length, or 0 for the pool."""
    flags = local_irq_save(m)
    spin_lock(m, lock, BARN_LOCK)
    store(m, sheaf + SHEAF.next, load(m, head))
    store(m, head, sheaf)
    if counter:
        write_once(m, counter, load(m, counter) + 1)
    spin_unlock(m, lock)
    local_irq_restore(m, flags)


@dual
def _pop(m: Machine, lock: int, head: int, counter: int) -> int:
    """Take a sheaf from a list; 0 when it is empty."""
    flags = local_irq_save(m)
    spin_lock(m, lock, BARN_LOCK)
    sheaf = load(m, head)
    if sheaf:
        store(m, head, load(m, sheaf + SHEAF.next))
        if counter:
            write_once(m, counter, load(m, counter) - 1)
    spin_unlock(m, lock)
    local_irq_restore(m, flags)
    return sheaf


@dual
def _get_empty(m: Machine, s: int, barn: int) -> int:
    """An empty sheaf from the barn, else a new one; there are as many as can be in use."""
    empty = 0
    if read_once(m, barn + BARN.nr_empty):
        empty = _pop(m, barn + BARN.lock, barn + BARN.empty, barn + BARN.nr_empty)
    if empty == 0:
        pool = pool_of(m, s)
        empty = _pop(m, pool + POOL.lock, pool + POOL.unused, 0)
    return empty


@dual
def _put_empty(m: Machine, s: int, barn: int, sheaf: int) -> None:
    """barn_put_empty_sheaf, or free it when the barn has enough."""
    if read_once(m, barn + BARN.nr_empty) < MAX_EMPTY:
        _push(m, barn + BARN.lock, barn + BARN.empty, barn + BARN.nr_empty, sheaf)
    else:
        pool = pool_of(m, s)
        _push(m, pool + POOL.lock, pool + POOL.unused, 0, sheaf)


@dual
def _refill(m: Machine, s: int, sheaf: int) -> None:
    """refill_sheaf: fill it from SLUB, as far as memory goes."""
    held = load(m, sheaf + SHEAF.size)
    while held < CAPACITY:
        count(m, OPS.sheaf_refill)
        obj = slab_alloc(m, s, NO_NODE)
        if obj == 0:
            break
        store(m, sheaf + SHEAF.objects + held, obj)
        held += 1
    write_once(m, sheaf + SHEAF.size, held)


@dual
def _flush(m: Machine, s: int, sheaf: int) -> None:
    """sheaf_flush_unused: free its objects to SLUB."""
    held = load(m, sheaf + SHEAF.size)
    write_once(m, sheaf + SHEAF.size, 0)
    for i in range(held):
        obj = load(m, sheaf + SHEAF.objects + i)
        count(m, OPS.sheaf_flush)
        slab_free(m, s, head_of(m, obj), obj)


@dual
def flush_sheaves(m: Machine, s: int) -> None:
    """pcs_flush_all: this CPU's sheaves are emptied; it keeps its main sheaf.

    Preemption is off (a kernel drops the lock between batches).
    """
    if load(m, s + CACHE.sheaves):
        p = pcs_of(m, s, this_cpu(m))
        _flush(m, s, load(m, p + PCS.main))
        spare = load(m, p + PCS.spare)
        if spare:
            write_once(m, p + PCS.spare, 0)
            _flush(m, s, spare)
            pool = pool_of(m, s)
            _push(m, pool + POOL.lock, pool + POOL.unused, 0, spare)


@dual
def shrink_barns(m: Machine, s: int) -> None:
    """barn_shrink of every node: all sheaves go, what they hold goes to SLUB. Kworker only."""
    if load(m, s + CACHE.sheaves):
        pool = pool_of(m, s)
        for node in range(world(m, WORLD.nr_nodes)):
            barn = barn_of(m, s, node)
            while True:
                sheaf = _pop(m, barn + BARN.lock, barn + BARN.full, barn + BARN.nr_full)
                if sheaf == 0:
                    sheaf = _pop(m, barn + BARN.lock, barn + BARN.empty, barn + BARN.nr_empty)
                if sheaf == 0:
                    break
                _flush(m, s, sheaf)
                _push(m, pool + POOL.lock, pool + POOL.unused, 0, sheaf)


@dual
def sheaf_ipi(m: Machine, func: int, arg: int) -> None:
    """SLUB's interrupts; with F_SHEAF its work on CPUs.

    v6.18 flush_cpu_slab: sheaves first, so that what they free is flushed too.
    """
    if m.has("F_SHEAF"):
        flush_sheaves(m, arg)
        flags = local_irq_save(m)
        slub_ipi(m, func, arg)
        local_irq_restore(m, flags)
    else:
        slub_ipi(m, func, arg)
