"""Nanoseconds per operation in one process: ours, the reference in C, glibc's malloc, no allocator at all.

All play the same tape in the same arena, in short blocks that take turns (ABBA), pinned to one CPU.
A ratio is estimated over the rounds, each round being one block of every program. Time is the thread's
CPU time: nothing here waits for anybody, and who else wanted the CPU does not matter then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median

import msgspec

from scenarios.tape import Workload
from stress.bench import programs
from stress.bench.reference import Play
from stress.bench.watch import Disturbance, watched
from stress.engine import cpu_main
from stress.judge.ratio import Ratio, estimate_ratio
from stress.play import warm

OPERATIONS = 1 << 17  # of one block: under a millisecond, so that few blocks are interrupted
ROUNDS = 100

# What is played: objects in a batch, seed of the free order (None: as allocated), and how to call it.
# Batches of 32 stay in the CPU slab; the long ones free into full and partial slabs all the time.
TAPES: tuple[tuple[str, int, int | None], ...] = (
    ("batches of 32", 32, None),
    ("alloc+free pairs", 1, None),
    ("batches of 4096", 4096, None),
    ("batches of 4096, freed in random order", 4096, 1),
)


class Speed(msgspec.Struct, kw_only=True, frozen=True):
    """One tape. nanoseconds: program -> median per operation; ratios: ours to each other program."""

    tape: str
    operations: int
    nanoseconds: dict[str, float]
    ratios: dict[str, Ratio]


def measure_speed(
    features: frozenset[str], reference: Play | None, progress: Callable[[str], None]
) -> tuple[list[Speed], Disturbance]:
    """Every tape of TAPES on every program that is there."""
    found = []
    home = os.sched_getaffinity(0)
    cpu = max(home)
    os.sched_setaffinity(0, {cpu})
    try:
        with watched("The measurement in one process", [os.getpid()], [cpu]) as disturbed:
            for name, batch, shuffle in TAPES:
                progress(f"allocating and freeing in one process: {name}")
                load = warm.batches(batch, OPERATIONS, shuffle=shuffle)
                found.append(_measure(name, load, features, reference))
    finally:
        os.sched_setaffinity(0, home)
    return found, disturbed


def _measure(name: str, load: Workload, features: frozenset[str], reference: Play | None) -> Speed:
    arena = warm.warm_arena(load, features)
    try:
        m = arena.machine(features, 0)
        plays: dict[str, Callable[[], int]] = {"ours": lambda: cpu_main(m, arena.run)}
        if reference is not None:
            in_c = reference
            plays["C"] = lambda: in_c(arena.segment.address, 0, arena.run)
        plays["malloc"] = lambda: programs.malloc_main(m, arena.run)
        plays["nothing"] = lambda: programs.idle_main(m, arena.run)
        blocks = take_turns(plays, ROUNDS, lambda: warm.rewind(arena))
    finally:
        arena.close()
    return Speed(
        tape=name,
        operations=load.operations(),
        nanoseconds={program: median(times) for program, times in blocks.items()},
        ratios={
            other: estimate_ratio([a / b for a, b in zip(blocks["ours"], blocks[other])])
            for other in blocks
            if other not in ("ours", "nothing")
        },
    )


def take_turns(
    plays: dict[str, Callable[[], int]], rounds: int, prepare: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """Nanoseconds per operation of each play, in `rounds` rounds after two that do not count.

    plays: each plays one block and returns its number of operations. Every second round runs the
    other way round. prepare: is called before each block, and takes no time of it.
    """
    blocks: dict[str, list[float]] = {name: [] for name in plays}
    for turn in range(-2, rounds):
        for name in list(plays)[:: 1 if turn % 2 else -1]:
            prepare()
            began = time.thread_time_ns()
            operations = plays[name]()
            took = time.thread_time_ns() - began
            if turn >= 0:
                blocks[name].append(took / operations)
    return blocks


def differing_words(
    batch: int, operations: int, features: frozenset[str], reference: Play, *, shuffle: int | None = None
) -> int:
    """Words of memory that differ after ours and the reference have played the same tape from the same boot."""
    load = warm.batches(batch, operations, shuffle=shuffle)
    ours, theirs = (warm.warm_arena(load, features) for _ in range(2))
    try:
        cpu_main(ours.machine(features, 0), ours.run)
        reference(theirs.segment.address, 0, theirs.run)
        return int((ours.words != theirs.words).sum())
    finally:
        ours.close()
        theirs.close()
