"""What compiled code does on a machine with VTIME where a turn may come, or where CPUs wait for each other.

That goes by how it is played: an operation at a time (calendars, calls at once) or an access at a time
(`shm.virtual.turns`).
"""

from __future__ import annotations

from shm.compiler import dual_slow
from shm.machine import Machine
from shm.virtual.calendar import lock_by_calendar, try_by_calendar, unlock_by_calendar
from shm.virtual.calls import call_at_once, call_is_over, callbacks_by_now, grace_at_once
from shm.virtual.lines import charge_barrier, charge_locked, charge_read, charge_this_cpu, charge_write
from shm.virtual.queues import lock_in_turn, try_in_turn, unlock_in_turn
from shm.virtual.stops import call_done, call_in_turn, callbacks_in_turn, grace_in_turn
from shm.virtual.turns import (
    take_turn,
    take_turn_locked,
)
from shm.virtual.words import VTIME, vtime


@dual_slow
def read_in_turn(m: Machine, a: int) -> None:
    """This CPU loads word `a`, when it is its turn."""
    take_turn(m)
    charge_read(m, a)


@dual_slow
def write_in_turn(m: Machine, a: int) -> None:
    """This CPU stores to word `a`, when it is its turn."""
    take_turn(m)
    charge_write(m, a)


@dual_slow
def locked_in_turn(m: Machine, a: int) -> None:
    """This CPU changes word `a` by a locked instruction, when it is its turn."""
    take_turn_locked(m)
    charge_locked(m, a)


@dual_slow
def this_cpu_in_turn(m: Machine, a: int) -> None:
    """This CPU changes word `a` by an unlocked compare-and-swap, when it is its turn."""
    take_turn(m)
    charge_this_cpu(m, a)


@dual_slow
def barrier_in_turn(m: Machine) -> None:
    """A full fence, when it is this CPU's turn."""
    take_turn(m)
    charge_barrier(m)


@dual_slow
def lock_by_step(m: Machine, lock: int, kind: int) -> bool:
    """See `waits.lock_in_time`."""
    if vtime(m, VTIME.by_access):
        return lock_in_turn(m, lock, kind)
    return lock_by_calendar(m, lock, kind)


@dual_slow
def try_by_step(m: Machine, lock: int, kind: int) -> bool:
    """See `waits.try_in_time`."""
    if vtime(m, VTIME.by_access):
        return try_in_turn(m, lock, kind)
    return try_by_calendar(m, lock, kind)


@dual_slow
def unlock_by_step(m: Machine, lock: int) -> None:
    """See `waits.unlock_in_time`."""
    if vtime(m, VTIME.by_access):
        unlock_in_turn(m, lock)
    else:
        unlock_by_calendar(m, lock)


@dual_slow
def begin_call_by_step(m: Machine, there: Machine, work: bool) -> int:
    """See `waits.begin_call`."""
    if vtime(m, VTIME.by_access):
        return call_in_turn(m, there, work)
    return call_at_once(m, there, work)


@dual_slow
def end_call_by_step(m: Machine, there: Machine, where: int) -> None:
    """See `waits.end_call`."""
    if vtime(m, VTIME.by_access):
        call_done(m, there, where)
    else:
        call_is_over(m, there, where)


@dual_slow
def callbacks_by_step(m: Machine, waiting: int) -> int:
    """See `waits.callbacks_due`."""
    if vtime(m, VTIME.by_access):
        return callbacks_in_turn(m, waiting)
    return callbacks_by_now(m, waiting)


@dual_slow
def grace_by_step(m: Machine) -> None:
    """See `waits.grace_period`."""
    if vtime(m, VTIME.by_access):
        grace_in_turn(m)
    else:
        grace_at_once(m)
