"""Cycles to nanoseconds: the TSC's rate, measured once against the system's monotonic clock."""

from __future__ import annotations

import time

from shm.atomics import cycles
from shm.entry import entry
from shm.machine import Machine


@entry
def _now(m: Machine):
    return cycles(m)


def cycles_per_ns(m: Machine, seconds: float = 0.03) -> float:
    """Cycles of `shm.atomics.cycles` per nanosecond, over an interval of `seconds`."""
    _now(m)
    t0, c0 = time.monotonic_ns(), _now(m)
    time.sleep(seconds)
    t1, c1 = time.monotonic_ns(), _now(m)
    return (c1 - c0) / (t1 - t0)
