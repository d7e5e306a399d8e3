"""What the engine calls of an allocator through a machine's kernel name (`shm.machine.register_vectors`).

    bound_work(m)       between two operations of a CPU: the periodic work of this CPU, if it is due
    timers(m)           the kworker's look at the clock: whose periodic work is due? In serial play it is done at once
    settling(m)         after the last free: kernel time at which a timer may next find a dead cache; 0 when none can
    free_lock(m)        the class of the lock that frees contend for (statistics)

Calls are direct, as the table is known by type: what an allocator does not have costs nothing.
"""

from __future__ import annotations

from allocators.core.world import WORLD, WORLD_AT, kernel_ns
from allocators.slab.reap import reaper_due, run_reapers, wake_reapers
from shm.atomics import load
from shm.compiler import dual
from shm.locks import LIST_LOCK, SLOB_LOCK
from shm.machine import MACHINE, Machine


@dual
def no_bound_work(m: Machine) -> None:
    """No work is bound to CPUs."""


@dual
def no_timers(m: Machine) -> None:
    """Nothing happens by the clock."""


@dual
def never_settling(m: Machine) -> int:
    """Without timers nothing dies later than the deferred work is done."""
    return 0


@dual
def slab_timers(m: Machine) -> None:
    """SLAB: wake the CPUs whose reaper is due; in serial play, where nobody sleeps, let all reap that are due by
    now."""
    if load(m, MACHINE.serial):
        if kernel_ns(m) >= load(m, WORLD_AT + WORLD.reaper_due):
            run_reapers(m)
    else:
        wake_reapers(m)


@dual
def slab_settling(m: Machine) -> int:
    """SLAB: the reaper's next pass, as long as there are dead caches and CPUs that are not idle."""
    if load(m, WORLD_AT + WORLD.awake) or load(m, WORLD_AT + WORLD.offlined) == load(m, WORLD_AT + WORLD.destroyed):
        return 0
    return reaper_due(m)


@dual
def node_list_lock(m: Machine) -> int:
    return LIST_LOCK


@dual
def heap_lock(m: Machine) -> int:
    return SLOB_LOCK
