"""How long each allocation and each free takes, in counted passes of parallel play.

Around each call the CPU reads the cycle counter; by what the call did to the CPU's counters (`OPS`) it is
counted in the histogram of one path:

    alloc_fast, alloc_slow     the allocator's fast path, or not (OPS.slow)
    free_fast, free_slow       the same for frees into caches of cgroups that are online
    free_remote                a free_slow of an object that another CPU allocated
    free_dead                  any free into a cache of a cgroup that is offline (OPS.dead_free)

What is fast is the allocator's to say: SLUB, this CPU's slab; SLAB, this CPU's array has room (a copy's
that is of another node's slab never is); SLOB, no page is taken from or given to the page allocator.
The statistics' own work is in the time, so a latency is an upper bound; the counter's own is taken off.
Some counters advance in steps of tens of cycles, so a fast path may seem to take nothing, or one step.
In serial play time is the model's, and nothing is recorded; in virtual time it is the CPU's, in ps, and exact.
Where the pass is to be looked at, each operation is noted too (`notes`), in serial play as well.
"""

from __future__ import annotations

from allocators.core.world import OPS, OPS_AT
from shm.atomics import cpu_area, cycles, load, read_book, store, this_cpu, write_book
from shm.compiler import dual
from shm.histogram import HISTOGRAM, record
from shm.layout import struct
from shm.machine import MACHINE, Machine
from stress.engine.notes import note, noted, time_of
from stress.engine.words import RUN, c_of

PATHS = ("alloc_fast", "alloc_slow", "free_fast", "free_slow", "free_remote", "free_dead")
_ALLOC_FAST, _ALLOC_SLOW, _FREE_FAST, _FREE_SLOW, _FREE_REMOTE, _FREE_DEAD = range(len(PATHS))
_READINGS, _ROUNDS = 100, 20

LATENCY = struct(
    "LATENCY",
    "clock",  # cycles that reading the counter takes
    "began",
    "b_slow",
    "b_dead_free",
    ("pad", 4),
    ("path", HISTOGRAM.SIZE * len(PATHS)),  # HISTOGRAM[PATHS], cycles
)


@dual
def _own(m: Machine, run: int) -> int:
    return read_book(m, run + RUN.latencies) + this_cpu(m) * LATENCY.SIZE


@dual
def _timed(m: Machine) -> bool:
    """Does time mean anything here?"""
    if m.has("VTIME"):
        return True
    return load(m, MACHINE.serial) == 0


@dual
def measure_clock(m: Machine, run: int) -> None:
    """Find out what reading the counter costs this CPU: the mean over some readings, in the quickest of some rounds."""
    clock = 1 << 30
    for _ in range(_ROUNDS):
        began = cycles(m)
        now = began
        for _ in range(_READINGS):
            now = cycles(m)
        clock = min(clock, (now - began) // _READINGS)
    store(m, _own(m, run) + LATENCY.clock, clock)


@dual
def begin_operation(m: Machine, run: int) -> None:
    """An allocation or a free begins."""
    if _timed(m) or noted(m, run):
        a = _own(m, run)
        ops = cpu_area(m) + OPS_AT
        write_book(m, a + LATENCY.b_slow, read_book(m, ops + OPS.slow))
        write_book(m, a + LATENCY.b_dead_free, read_book(m, ops + OPS.dead_free))
        write_book(m, a + LATENCY.began, time_of(m))


@dual
def end_alloc(m: Machine, run: int, op: int) -> None:
    """The allocation of this tape's word has ended; to be called before others can see the object."""
    if _timed(m) or noted(m, run):
        now = time_of(m)
        a = _own(m, run)
        slow = read_book(m, cpu_area(m) + OPS_AT + OPS.slow) != read_book(m, a + LATENCY.b_slow)
        _record(m, run, a, now, _ALLOC_SLOW if slow else _ALLOC_FAST, op)
        write_book(m, read_book(m, run + RUN.makers) + c_of(op), this_cpu(m))


@dual
def maker_of(m: Machine, run: int, slot: int) -> int:
    """The CPU that allocated the object in a slot; to be asked before the slot is emptied."""
    return read_book(m, read_book(m, run + RUN.makers) + slot)


@dual
def end_free(m: Machine, run: int, maker: int, op: int) -> None:
    """The free, by this tape's word, of an object that CPU `maker` allocated has ended."""
    if _timed(m) or noted(m, run):
        now = time_of(m)
        a = _own(m, run)
        ops = cpu_area(m) + OPS_AT
        path = _FREE_FAST
        if read_book(m, ops + OPS.dead_free) != read_book(m, a + LATENCY.b_dead_free):
            path = _FREE_DEAD
        elif read_book(m, ops + OPS.slow) != read_book(m, a + LATENCY.b_slow):
            path = _FREE_SLOW if maker == this_cpu(m) else _FREE_REMOTE
        _record(m, run, a, now, path, op)


@dual
def _record(m: Machine, run: int, a: int, now: int, path: int, op: int) -> None:
    if _timed(m):
        took = now - read_book(m, a + LATENCY.began) - read_book(m, a + LATENCY.clock)
        # Counters of two CPUs may differ by a little, and a thread that is not pinned may change its CPU.
        if took < 0:
            took = 0
        record(m, a + LATENCY.path + path * HISTOGRAM.SIZE, took)
    if noted(m, run):
        note(m, run, read_book(m, a + LATENCY.began), now, path, op)
