"""How a simulated CPU waits for another: it spins, then gives the real CPU away.

The other one may be preempted by the real scheduler, or may share the real CPU with the one that waits.
Not by sched_yield: what that does differs between Linux versions, and it counts as an involuntary
switch, by which blocks are graded.
"""

from __future__ import annotations

from shm.atomics import cpu_relax, os_sleep
from shm.compiler import dual
from shm.machine import Machine

PATIENCE = 1024  # turns of a wait before the real CPU is given away
PROMPT = 100  # turns of a wait for an answer: some microseconds
NAP = 20  # microseconds it is given away for, at least


@dual
def await_answer(m: Machine, turns: int) -> None:
    """One turn of a wait for a CPU that answers between two operations: if it has not by now, it has no real CPU, and
    perhaps the one that it waits for is ours."""
    if turns < PROMPT:
        cpu_relax(m)
    else:
        os_sleep(m, NAP)


@dual
def pause(m: Machine, turns: int) -> None:
    """One turn of a wait, the `turns`-th."""
    if turns < PATIENCE:
        cpu_relax(m)
    else:
        os_sleep(m, NAP)
