"""Sheaves are emptied: of one CPU, by work on it, and of the barns (v6.18 pcs_flush_all, barn_shrink; F_SHEAF).

For SLUB an object in a sheaf is in use, so a slab may stay for nothing but objects in sheaves. v7.0 gives the objects
of a sheaf back slab by slab; before, here, one by one (v6.18 builds the same chains for its bulk free).
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import head_of
from allocators.core.world import OPS, WORLD, count, world
from allocators.slub.alloc import this_node
from allocators.slub.barn import free_sheaf, pop
from allocators.slub.deactivate import slub_ipi
from allocators.slub.free import slab_free
from allocators.slub.node_slab import free_last
from allocators.slub.rcu_words import RCU_FLUSH_SHEAF
from allocators.slub.sheaf_state import BARN, PCS, SHEAF, barn_of, local_lock, local_trylock, local_unlock, pcs_of
from allocators.slub.state import STAT, stat
from shm.atomics import load, local_irq_restore, local_irq_save, store, this_cpu, write_once
from shm.compiler import dual
from shm.cpu_work import work_on_cpus
from shm.cpumask import CPUS_IN_WORD, cpu_online_mask
from shm.machine import MACHINE, Machine
from shm.rcu import call_rcu_sched

IPI_FLUSH_RCU = 2  # work beside IPI_FLUSH; 3 and 4 are the memcg's


@dual
def flush(m: Machine, s: int, sheaf: int) -> None:
    """sheaf_flush_unused: free the objects of a sheaf, which is the caller's, to their slabs."""
    held = load(m, sheaf + SHEAF.size)
    write_once(m, sheaf + SHEAF.size, 0)
    for _ in range(held):
        count(m, OPS.sheaf_flush)
        stat(m, s, STAT.sheaf_flush)
    if m.has("F_NOCPUSLAB"):
        while held:
            held = free_last(m, s, sheaf + SHEAF.objects, held)
    else:
        for i in range(held):
            obj = load(m, sheaf + SHEAF.objects + i)
            slab_free(m, s, head_of(m, obj), obj)


@dual
def hand_to_rcu(m: Machine, s: int, sheaf: int, func: int) -> None:
    """A sheaf with objects of kfree_rcu, which is nobody's any more, waits for a grace period.

    The queue has room for all sheaves that there are.
    """
    store(m, sheaf + SHEAF.node, this_node(m))
    store(m, sheaf + SHEAF.cache, s)
    call_rcu_sched(m, world(m, WORLD.rcu_queue), func, sheaf)


@dual
def flush_rcu_sheaf(m: Machine, s: int) -> None:
    """flush_rcu_sheaf: this CPU's rcu_free sheaf is handed to RCU, full or not. Preemption is off."""
    if load(m, s + CACHE.sheaves):
        p = pcs_of(m, s, this_cpu(m))
        sheaf = load(m, p + PCS.rcu_free)
        if sheaf:
            write_once(m, p + PCS.rcu_free, 0)
            hand_to_rcu(m, s, sheaf, RCU_FLUSH_SHEAF)


@dual
def flush_rcu_sheaves(m: Machine, s: int) -> None:
    """flush_rcu_sheaves_on_cache: on every CPU, without a look. Interrupts on.

    Whoever found a CPU without a sheaf might look between its being full and its being handed to RCU.
    """
    for first in range(0, load(m, MACHINE.nr_cpus), CPUS_IN_WORD):
        work_on_cpus(m, first, cpu_online_mask(m, first), IPI_FLUSH_RCU, s)


@dual
def flush_sheaves(m: Machine, s: int) -> None:
    """pcs_flush_all: this CPU's sheaves are emptied; it keeps its main sheaf.

    Preemption is off (a kernel drops the lock between batches). F_RT: it is on, and the lock may be held by one who was
    preempted. Until F_FLUSHLOCK main then stays as it is.
    """
    if load(m, s + CACHE.sheaves):
        p = pcs_of(m, s, this_cpu(m))
        if m.has("F_RT"):
            local_lock(m, s)
        spare = load(m, p + PCS.spare)
        if spare:
            write_once(m, p + PCS.spare, 0)
        if m.has("F_RCUSHEAF"):
            flush_rcu_sheaf(m, s)
        if m.has("F_RT"):
            local_unlock(m, s)
        if spare:
            flush(m, s, spare)
            free_sheaf(m, s, spare)
        if m.has("F_RT"):
            if m.has("F_FLUSHLOCK"):
                local_lock(m, s)
            elif not local_trylock(m, s):
                return
        flush(m, s, load(m, p + PCS.main))
        if m.has("F_RT"):
            local_unlock(m, s)


@dual
def shrink_barns(m: Machine, s: int) -> None:
    """barn_shrink of every node: all sheaves go, what they hold goes to SLUB. Kworker only."""
    if load(m, s + CACHE.sheaves):
        for node in range(world(m, WORLD.nr_nodes)):
            barn = barn_of(m, s, node)
            while True:
                sheaf = pop(m, barn + BARN.lock, barn + BARN.full, barn + BARN.nr_full)
                if sheaf == 0:
                    sheaf = pop(m, barn + BARN.lock, barn + BARN.empty, barn + BARN.nr_empty)
                if sheaf == 0:
                    break
                flush(m, s, sheaf)
                free_sheaf(m, s, sheaf)


@dual
def sheaf_ipi(m: Machine, func: int, arg: int) -> None:
    """SLUB's interrupts; with F_SHEAF its work on CPUs.

    v6.18 flush_cpu_slab: sheaves first, so that what they free is flushed too.
    """
    if m.has("F_RCUSHEAF") and func == IPI_FLUSH_RCU:
        flush_rcu_sheaf(m, arg)
    elif m.has("F_SHEAF"):
        flush_sheaves(m, arg)
        if not m.has("F_NOCPUSLAB"):
            flags = local_irq_save(m)
            slub_ipi(m, func, arg)
            local_irq_restore(m, flags)
    else:
        slub_ipi(m, func, arg)
