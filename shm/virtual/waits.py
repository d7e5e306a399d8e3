"""Where one CPU waits for another in virtual time. Each machine has its own answer, as for an access of memory.

Played an operation at a time, compiled or not, nobody is ever found in the middle of anything: locks have calendars
(`shm.virtual.calendar`), calls are played where they are made (`shm.virtual.calls`). Played an access at a time
(`shm.virtual.turns`) CPUs really wait.
"""

from __future__ import annotations

from typing import Any

from shm.machine import Machine


def lock_in_time(m: Any, lock: int, kind: int) -> bool:
    """Wait for the lock in word `lock` and have it from now on; was it held? kind: its class."""
    return m.lock_in_time(lock, kind)


def try_in_time(m: Any, lock: int, kind: int) -> bool:
    """Have the lock in word `lock` if nobody holds it now."""
    return m.try_in_time(lock, kind)


def unlock_in_time(m: Any, lock: int) -> None:
    """Give the lock in word `lock` up."""
    m.unlock_in_time(lock)


def begin_call(m: Any, there: Machine, work: bool) -> int:
    """This CPU interrupts another, or queues work for it; what follows is done there. Returns what `end_call` wants."""
    return m.begin_call(there, work)


def end_call(m: Any, there: Machine, where: int) -> None:
    """The other CPU has done it."""
    m.end_call(there, where)


def callbacks_due(m: Any, waiting: int) -> int:
    """How many of the callbacks that wait may run now? They wait for a grace period, but nobody waits for them."""
    return m.callbacks_due(waiting)


def grace_period(m: Any) -> None:
    """Wait until every CPU has passed a quiescent state: its operation is over, and the kernel has noticed."""
    m.grace_period()
