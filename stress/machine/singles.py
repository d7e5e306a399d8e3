"""What one CPU can measure alone: hits, atomics and fences, a chase through a cache and through memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from shm.machine import Machine
from stress.machine import probes
from stress.machine.memory import Buffer, available_bytes
from stress.machine.probes import ACCESSES, LINE, OBJECT, probe
from stress.machine.result import Measured
from stress.machine.timing import Clock, Times, repeated
from stress.machine.topology import Topology

RING = 32  # objects: 4 KiB, in any first-level cache
TURNS = 20_000
CHASE_TURNS = 2_000
MOST_CHASE_TURNS = 1 << 17
LEAST_MEMORY, MOST_MEMORY = 64 << 20, 2 << 30
BYTES_A_SECOND = 128 << 20  # of a buffer, for each second that the whole measurement may take: it must be filled first

# name -> (probe, how a turn stores what it has loaded)
STEPS = {
    "this_cpu": (probes.THIS_CPU, "by an unlocked compare-and-swap"),
    "locked": (probes.LOCKED, "by a locked compare-and-swap"),
    "locked add": (probes.ADDED, "by a locked add"),
    "barrier": (probes.FENCED, "and passes a full fence"),
}


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Within it the calling thread runs on this CPU."""
    home = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, home)


def link(m: Machine, base: int, lines: int, stride: int = LINE) -> int:
    """A ring through `lines` places (a power of two) from word `base` on; returns where it begins."""
    step = int(lines * 0.618) & ~7 | 5
    return probe(m, probes.BUILD, base, lines, stride, step, (lines // 3) | 1)


def measure_hits(cpu: int, seconds: float, clock: Clock = time.perf_counter_ns) -> dict[str, Measured]:
    """An access that hits; and what atomics and a fence add to a load and a store of a word that the CPU has."""
    with pinned(cpu), Buffer(1 << 20) as buffer:
        m, base = buffer.machine(), buffer.base
        link(m, base, RING, OBJECT)
        share = seconds / (len(STEPS) + 2)
        walk = repeated(_turns(m, probes.WALK, base), share, clock)
        plain = repeated(_turns(m, probes.STORED, base + 1), share, clock).measured("load and store", "")
        steps = {name: repeated(_turns(m, kind, base + 1), share, clock) for name, (kind, _) in STEPS.items()}
    how = f"{ACCESSES} accesses a turn along a ring of {RING} objects, compiled as the allocators are"
    found = {"access": Times(tuple(ns / ACCESSES for ns in walk.ns)).measured("access", how)}
    for name, times in steps.items():
        whole = times.measured(name, "")
        found[name] = msgspec.structs.replace(
            whole,
            ns=round(max(0.0, whole.ns - plain.ns), 3),
            how=f"a turn that loads a word and stores it {STEPS[name][1]}, {whole.ns:.2f} ns, "
            f"less one with a plain store, {plain.ns:.2f} ns",
        )
    return found


def _turns(m: Machine, kind: int, at: int) -> Callable[[], int]:
    def block() -> int:
        probe(m, kind, at, TURNS, 0, 0, 0)
        return TURNS

    return block


def measure_llc(cpu: int, found: Topology, seconds: float, clock: Clock = time.perf_counter_ns) -> Measured:
    """A line in the last-level cache: a chase through a ring that the core's own caches cannot hold, and no larger than
    that, as others may use the cache too.
    """
    private, llc = found.private_kib << 10, found.llc_kib << 10
    wanted = min(3 * private // 2, (private + llc) // 2)
    size = 1 << (max(wanted, 1 << 16) - 1).bit_length()
    how = f"a ring of {size >> 10} KiB, chased round and round past the core's own {private >> 10} KiB"
    return _ring(cpu, size, seconds, clock).measured("llc", how)


def measure_wide_llc(
    cpu: int,
    found: Topology,
    cache_ns: float,
    memory_ns: float,
    seconds: float,
    clock: Clock = time.perf_counter_ns,
) -> tuple[Measured, int] | None:
    """As measure_llc, but through a quarter of the last-level cache; None where that is hardly more, or too much.

    And the KiB of it that this CPU has: all that is told, or if the ring is nearer to memory than to the cache the
    half, quarter … of it that is not.
    """
    size = 1 << ((found.llc_kib << 10) // 4).bit_length() - 1
    if size < 8 * found.private_kib << 10 or size > seconds * 10 * BYTES_A_SECOND:
        return None
    how = f"a ring of {size >> 20} MiB of the {found.llc_kib >> 10} MiB that are told"
    wide = _ring(cpu, size, seconds / 2, clock).measured("a quarter of the llc", how)
    had, ns = found.llc_kib, wide.ns
    while ns > (cache_ns + memory_ns) / 2 and size > 4 * found.private_kib << 10:
        size //= 2
        had, ns = size >> 10, _ring(cpu, size, seconds / 4, clock).measured("a part of the llc", "").ns
    return wide, had


def _ring(cpu: int, size: int, seconds: float, clock: Clock) -> Times:
    with pinned(cpu), Buffer(size) as buffer:
        return _chase(buffer, size, seconds, clock)


def memory_size(found: Topology, seconds: float) -> int:
    """Bytes of the buffer for memory: beyond the last-level cache, if memory and time allow."""
    most = min(available_bytes() // 4, MOST_MEMORY, int(seconds * BYTES_A_SECOND))
    wanted = max(LEAST_MEMORY, 8 * found.llc_kib << 10)
    return 1 << (max(min(wanted, most), 16 << 20).bit_length() - 1)


def measure_memory(
    name: str, cpu: int, home: int, size: int, seconds: float, clock: Clock = time.perf_counter_ns
) -> tuple[Measured, bool]:
    """A line in memory that CPU `home` touched first, and so lies in its node; are there huge pages?"""
    with Buffer(size) as buffer:
        with pinned(home):
            link(buffer.machine(), buffer.base, _lines(size))
        with pinned(cpu):
            times = _chase(buffer, size, seconds, clock, linked=True)
        pages = "huge" if buffer.huge else "small"
        how = f"a chase through {size >> 20} MiB in {pages} pages, touched first by CPU {home} and read by CPU {cpu}"
        return times.measured(name, how), buffer.huge


def _lines(size: int) -> int:
    """Lines of a ring in a buffer of `size` bytes, a power of two."""
    return size // (LINE * 8)


def _chase(buffer: Buffer, size: int, seconds: float, clock: Clock, linked: bool = False) -> Times:
    """A ring that fits a cache is chased all round in each block, as parts of it may be nearer than others."""
    m = buffer.machine()
    at, turns = buffer.base, CHASE_TURNS
    if not linked:
        turns = min(_lines(size), MOST_CHASE_TURNS)
        link(m, buffer.base, _lines(size))
        at = probe(m, probes.CHASE, at, _lines(size), 0, 0, 0)

    def block() -> int:
        nonlocal at
        at = probe(m, probes.CHASE, at, turns, 0, 0, 0)
        return turns

    return repeated(block, seconds, clock)
