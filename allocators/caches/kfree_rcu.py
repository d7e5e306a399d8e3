"""kfree_rcu: an object is freed after a grace period (v6.18 and v7.0 kvfree_call_rcu; before, its batches alone).

With F_RCUSHEAF an object goes to the CPU's rcu_free sheaf (allocators.slub.rcu_sheaf). Where that cannot be had, and in
other designs, it joins the CPU's batch. A batch is a stack through the objects' first words, which its user needs no
more. While objects come together a grace period goes by; then the kworker takes them all, and frees them after one
more: whoever came last has waited for a whole one then. A kernel lets a batch grow for up to 5 s; before 5.6 (2020)
each object had a callback of its own, on the CPU's list of them. Neither is shared by CPUs.

Callbacks are the kworker's; what it frees goes to its own CPU slab (SLAB: past arrays, which it does not have).
"""

from __future__ import annotations

from allocators.caches.slab_common import free_by
from allocators.core.kmem_cache import count_free
from allocators.core.lists import stack_push
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.world import RCU_BATCH_AT, WORLD, world
from allocators.slob.state import OBJECT_MASK
from allocators.slub.rcu_sheaf import kfree_rcu_sheaf
from allocators.slub.rcu_words import RCU_FREE_BATCH, RCU_TAKE_BATCH
from shm.atomics import area_of, cpu_area, load, preempt_disable, preempt_enable, this_cpu, xchg
from shm.compiler import dual, dual_slow
from shm.machine import Machine
from shm.rcu import call_rcu_sched


@dual_slow
def kfree_rcu(m: Machine, obj: int) -> None:
    """Free an object (SLOB: a reference) after a grace period. Never sleeps, never fails."""
    if m.has("F_RCUSHEAF"):
        s = load(m, head_of(m, obj) + PAGE.slab_cache)
        if kfree_rcu_sheaf(m, s, obj):
            if m.has("STATS"):
                count_free(m, s)
            return
    if m.has("PREEMPT"):
        preempt_disable(m)
    if stack_push(m, cpu_area(m) + RCU_BATCH_AT, obj, obj & OBJECT_MASK) == 0:
        # The queue has room for it: of each CPU one waits to be taken, and one to be freed.
        call_rcu_sched(m, world(m, WORLD.rcu_queue), RCU_TAKE_BATCH, this_cpu(m))
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def batch_rcu(m: Machine, func: int, arg: int) -> None:
    """The callbacks of batches: take what has come together, or free what was taken. Kworker only."""
    if func == RCU_TAKE_BATCH:
        call_rcu_sched(m, world(m, WORLD.rcu_queue), RCU_FREE_BATCH, xchg(m, area_of(m, arg) + RCU_BATCH_AT, 0))
    elif func == RCU_FREE_BATCH:
        _free_batch(m, arg)


@dual_slow
def _free_batch(m: Machine, obj: int) -> None:
    while obj:
        after = load(m, obj & OBJECT_MASK)
        free_by(m, obj, True)
        obj = after
