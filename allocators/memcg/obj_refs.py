"""References to an obj_cgroup: per CPU until its memcg goes offline, then in one word, as of caches (`cache_ref`).

A kernel takes and drops them inside RCU read sections; no interrupt handler here does, so it is preemption that is kept
off (feature PREEMPT).
"""

from __future__ import annotations

from allocators.core.world import OBJCG, OPS, WORLD, count, world
from allocators.memcg.cache_ref import BIAS
from allocators.memcg.memcontrol import WORK_OBJCG_FREE, queue_work
from shm.atomics import fetch_add, load, preempt_disable, preempt_enable, read_once, store, this_cpu
from shm.compiler import dual
from shm.machine import MACHINE, Machine


@dual
def _part(m: Machine, o: int, cpu: int) -> int:
    """The word that holds a CPU's part of the references."""
    number = (o - world(m, WORLD.objcgs)) // OBJCG.SIZE
    return world(m, WORLD.objcg_refs) + cpu * world(m, WORLD.max_objcgs) + number


@dual
def objcg_get(m: Machine, o: int) -> None:
    """Take a reference."""
    count(m, OPS.objcg_ref)
    if m.has("PREEMPT"):
        preempt_disable(m)
    if read_once(m, o + OBJCG.ref_atomic):
        fetch_add(m, o + OBJCG.refcnt, 1)
    else:
        a = _part(m, o, this_cpu(m))
        store(m, a, load(m, a) + 1)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def objcg_put(m: Machine, o: int) -> None:
    """Drop a reference; the last one has the descriptor freed by a work item."""
    count(m, OPS.objcg_ref)
    if m.has("PREEMPT"):
        preempt_disable(m)
    if read_once(m, o + OBJCG.ref_atomic):
        if fetch_add(m, o + OBJCG.refcnt, -1) == 1:
            queue_work(m, WORK_OBJCG_FREE, o, 0)
    else:
        a = _part(m, o, this_cpu(m))
        store(m, a, load(m, a) - 1)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def end_kill(m: Machine, o: int) -> None:
    """The references that CPUs counted are added up, and the memcg's own one goes. After a grace period."""
    total = -1 - BIAS
    for cpu in range(load(m, MACHINE.nr_cpus)):
        a = _part(m, o, cpu)
        total += load(m, a)
        store(m, a, 0)
    if fetch_add(m, o + OBJCG.refcnt, total) == -total:
        queue_work(m, WORK_OBJCG_FREE, o, 0)
