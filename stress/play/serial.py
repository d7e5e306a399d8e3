"""Serial play: one process steps all CPUs through the same code; counts repeat exactly for a seed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from allocators.designs import Design
from stress.engine import FINISHED, PLAYING, counting_main, serial_ordered, serial_seeded
from stress.measure.records import RunRecord
from stress.play.arena import Arena
from stress.play.census import pinned_now, take_census
from stress.play.compiled import STATS, ready
from stress.play.options import RunOptions
from stress.process import ending
from stress.show.progress import Progress

log = logging.getLogger(__name__)

BURSTS = 20_000  # between two looks at the world (and at Ctrl-C)
STEPS = 50_000


def play_serially(
    arena: Arena,
    designs: list[Design],
    options: RunOptions,
    record: RunRecord,
    progress: Progress,
    counted: Callable[[str], None] = lambda design: None,
) -> None:
    """Play every design once and append its census; says in `record.damage` where a tape got stuck.

    counted: called with a design's name while the arena still holds what its pass left.
    """
    kernel = options.allocator
    ordered = arena.load.order is not None
    plain = {d.name: d.features(kernel) | STATS for d in designs}
    ready([(counting_main, kernel, features) for features in plain.values()], progress.phase)
    for design in designs:
        features = plain[design.name]
        progress.phase(f"playing {design.name}")
        arena.reset(features, seed=options.seed, settle_ns=int(options.settle * 1e9), curve=True)
        m = arena.machine(features, arena.kworker_cpu)

        def tick(share: float) -> None:
            ending.check()
            dead, pages = pinned_now(arena)
            progress.update(share, dead, pages, 0.0, design.name)

        problem = _ordered(arena, m, tick) if ordered else _seeded(arena, m, tick)
        record.censuses.append(take_census(arena, design.name, features))
        if problem:
            record.damage = f"{design.name}: {problem}; the run ended there"
            log.error("%s", record.damage)
            return
        log.info("played %s: %d operations", design.name, int(arena.plays()["operations"].sum()))
        counted(design.name)


def _seeded(arena: Arena, m, tick) -> str:
    total = sum(map(len, arena.load.tapes))
    while (state := serial_seeded(m, arena.run, BURSTS)) == PLAYING:
        tick(int(arena.plays()["operations"].sum()) / total)
    return "" if state == FINISHED else "no CPU can move any more: a tape waits for something that never comes"


def _ordered(arena: Arena, m, tick) -> str:
    base = arena.plan["order"]
    total = len(arena.load.order)
    for start in range(0, total, STEPS):
        count = min(STEPS, total - start)
        stuck = serial_ordered(m, arena.run, base + start, count, start)
        if stuck >= 0:
            return f"operation {start + stuck} of {total} in the recorded order cannot be played: it waits"
        tick(start / total)
    return ""
