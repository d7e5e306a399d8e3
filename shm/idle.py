"""A CPU that has nothing to do sleeps, and what it is asked for wakes it.

What others ask of a CPU are bits of its `service` word, on which it sleeps: what comes between its last look and its
sleep is not lost, as it sleeps only while the word is 0.
"""

from __future__ import annotations

from shm.atomics import area_of, cpu_area, fetch_or, os_wait, os_wake
from shm.compiler import dual
from shm.machine import CPU, Machine


@dual
def idle(m: Machine, microseconds: int) -> None:
    """Between two operations: sleep until something is asked of this CPU, for so long at most."""
    a = cpu_area(m)
    os_wait(m, a + CPU.asleep, a + CPU.service, 0, microseconds)


@dual
def ask(m: Machine, cpu: int, service: int) -> None:
    """Ask something of a CPU: SERVICE_* bits."""
    a = area_of(m, cpu)
    fetch_or(m, a + CPU.service, service)
    os_wake(m, a + CPU.asleep, a + CPU.service)
