"""What the kernel does: interrupts of other CPUs and grace periods, by membarrier(2); the tick; its locks.

MEMBARRIER_CMD_PRIVATE_EXPEDITED interrupts every CPU that runs a thread of this process and waits for their answers:
the nearest to an interrupt of another CPU that a process can cause. MEMBARRIER_CMD_GLOBAL waits for a grace period.
"""

from __future__ import annotations

import ctypes
import platform
import re
import time
from statistics import median

from stress.machine import probes
from stress.machine.memory import Buffer
from stress.machine.pairs import partner
from stress.machine.probes import LINE, probe
from stress.machine.result import Measured
from stress.machine.singles import pinned
from stress.machine.timing import Clock, Times
from stress.profiles.profile import HZ

_QUERY, _GLOBAL, _EXPEDITED, _REGISTER = 0, 1, 8, 16
_NUMBERS = {"x86_64": 324, "aarch64": 283, "riscv64": 283}
_MONOTONIC_COARSE = 6  # its resolution is the tick
MOST_CALLS = 20_000
LEAST_CALLS = 20  # in which the other CPU did run our thread, so that it was interrupted


def _membarrier(command: int) -> int:
    number = _NUMBERS.get(platform.machine())
    return -1 if number is None else ctypes.CDLL(None).syscall(number, command, 0, 0)


def measure_interrupts(
    cpu: int, other: int, seconds: float, clock: Clock = time.perf_counter_ns
) -> tuple[Measured, Measured] | None:
    """What membarrier takes to interrupt one other CPU and hear from it, and how long that one was away.

    A call that finds the other CPU busy with somebody else interrupts nobody: only those count that take more than
    twice as long as a call that does nothing. None where the system call is missing, or too few did.
    """
    commands = _membarrier(_QUERY)
    if commands < 0 or not commands & _EXPEDITED or _membarrier(_REGISTER):
        return None
    libc, number = ctypes.CDLL(None), _NUMBERS[platform.machine()]

    def calls(command: int, seconds: float) -> list[float]:
        times: list[float] = []
        until = time.monotonic() + seconds
        while len(times) < LEAST_CALLS or (time.monotonic() < until and len(times) < MOST_CALLS):
            began = clock()
            libc.syscall(number, command, 0, 0)
            times.append(clock() - began)
        return times

    with pinned(cpu), Buffer(1 << 20) as buffer:
        m = buffer.machine()
        stop, out = buffer.base, buffer.base + 16 * LINE
        rate = _cycles_per_ns(buffer)
        away = 0

        def watch() -> None:
            nonlocal away
            # Nothing but an interrupt keeps a loop of three instructions for 100 ns.
            away = probe(m, probes.GAPS, stop, out, MOST_CALLS, int(100 * rate), 0)

        bare = Times(tuple(calls(_QUERY, seconds / 10))).measured("call of membarrier", "")
        with partner(other, watch, lambda: buffer.array[stop + LINE] != 0):
            try:
                rounds = calls(_EXPEDITED, seconds)
            finally:
                buffer.array[stop] = 1
        absences = [cycles / rate for cycles in buffer.array[out : out + away].tolist()]
    heard = [ns - bare.ns for ns in rounds if ns > 2 * bare.ns]
    if len(heard) < LEAST_CALLS or len(absences) < LEAST_CALLS:
        return None
    return (
        Times(tuple(heard)).measured(
            "interrupt of another CPU and its answer",
            f"membarrier(2) on CPU {cpu} while CPU {other} runs a thread, less {bare.ns:.0f} ns of a call without",
        ),
        Times(tuple(absences)).measured("interrupt", f"how long a loop on CPU {other} is away meanwhile"),
    )


def _cycles_per_ns(buffer: Buffer) -> float:
    """Rate of the cycle counter over 20 ms."""
    m = buffer.machine()
    began, first = time.perf_counter_ns(), probe(m, probes.CYCLES, 0, 0, 0, 0, 0)
    time.sleep(0.02)
    last, ended = probe(m, probes.CYCLES, 0, 0, 0, 0, 0), time.perf_counter_ns()
    return (last - first) / (ended - began)


def measure_grace_period(seconds: float, clock: Clock = time.perf_counter_ns) -> Measured | None:
    """How long one grace period takes on the machine as it is; None where membarrier cannot tell."""
    commands = _membarrier(_QUERY)
    if commands < 0 or not commands & _GLOBAL or _membarrier(_GLOBAL):
        return None
    times: list[float] = []
    until = time.monotonic() + seconds
    while len(times) < 3 or (time.monotonic() < until and len(times) < 100):
        began = clock()
        _membarrier(_GLOBAL)
        times.append(clock() - began)
    if median(times) < 100_000:  # no grace period, but some short cut of a machine with one CPU or expedited ones
        return None
    return Times(tuple(times)).measured("grace period", "membarrier(2), MEMBARRIER_CMD_GLOBAL")


def tick_hz() -> int | None:
    """Ticks a second of this kernel, by the resolution of its coarse clock; None if that is none that it may have."""
    try:
        hz = round(1 / time.clock_getres(_MONOTONIC_COARSE))
    except (OSError, ZeroDivisionError):
        return None
    return hz if hz in HZ else None


def spin_locks(release: str | None = None) -> str:
    """Spinlocks of this kernel: queued on x86-64 since Linux 4.2 and on arm64 since 4.19, ticket locks before."""
    match = re.match(r"(\d+)\.(\d+)", platform.release() if release is None else release)
    since = (4, 19) if platform.machine() == "aarch64" else (4, 2)
    return "queued" if match is None or (int(match[1]), int(match[2])) >= since else "ticket"
