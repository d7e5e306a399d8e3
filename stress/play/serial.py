"""Serial play: one process steps all CPUs through the same code; counts repeat exactly for a seed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from shm.machine import Machine
from stress.engine import FINISHED, PLAYING, counting_main, serial_ordered, serial_seeded
from stress.play.arena import Arena
from stress.play.compiled import STATS, ready
from stress.play.stage import Stage
from stress.process import ending

log = logging.getLogger(__name__)

BURSTS = 20_000  # between two looks at the world (and at Ctrl-C)
STEPS = 50_000


def play_serially(stage: Stage) -> None:
    """Play every design once and keep its census; says in `record.damage` where a tape got stuck."""
    arena = stage.arena
    counting = {name: features | STATS for name, features in stage.designs.items()}
    ready([(counting_main, arena.allocator, features) for features in counting.values()], stage.progress.phase)
    for design, features in counting.items():
        stage.progress.phase(f"playing {design}")
        arena.reset(features, stage.counted(design, stage.settings))
        m = arena.machine(features, arena.kworker_cpu)

        def tick(share: float, design: str = design) -> None:
            ending.check()
            stage.show(share, 0.0, design, arena)

        order = arena.load.order
        problem = _seeded(arena, m, tick) if order is None else _ordered(arena, m, order, tick)
        stage.keep_census(design)
        if problem:
            stage.record.damage = f"{design}: {problem}; the run ended there"
            log.error("%s", stage.record.damage)
            return
        log.info("played %s: %d operations", design, int(arena.plays()["operations"].sum()))
        stage.compare(design)


def _seeded(arena: Arena, m: Machine, tick: Callable[[float], None]) -> str:
    total = sum(map(len, arena.load.tapes))
    while (state := serial_seeded(m, arena.run, BURSTS)) == PLAYING:
        tick(int(arena.plays()["operations"].sum()) / total)
    return "" if state == FINISHED else "no CPU can move any more: a tape waits for something that never comes"


def _ordered(arena: Arena, m: Machine, order: np.ndarray, tick: Callable[[float], None]) -> str:
    base = arena.plan["order"]
    total = len(order)
    for start in range(0, total, STEPS):
        count = min(STEPS, total - start)
        stuck = serial_ordered(m, arena.run, base + start, count, start)
        if stuck >= 0:
            return f"operation {start + stuck} of {total} in the recorded order cannot be played: it waits"
        tick(start / total)
    return ""
