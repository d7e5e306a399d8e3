"""Parallel play: blocks in pairs by worker processes."""

from __future__ import annotations

import dataclasses
import logging
import os
import time

import numpy as np

from shm.clock import cycles_per_ns
from shm.machine import MACHINE
from stress.engine import RUN, counting_main, cpu_main
from stress.judge.looks import EACH
from stress.judge.ratio import CONFIDENCE, Ratio, least_pairs
from stress.measure.evaluation import headline, sample
from stress.play.arena import BlockSettings
from stress.play.census import live_objects, pinned_now, reaper_passes, take_block
from stress.play.compiled import STATS, Target, ready
from stress.play.stage import Stage
from stress.play.worker import Crew
from stress.process import host
from stress.process.errors import UsageError

log = logging.getLogger(__name__)

HANG_SECONDS = 60.0
SLOWEST = 1e-6  # seconds an operation may take, before a block without other signs of life is called hung


def play_in_parallel(stage: Stage) -> None:
    """Play blocks until the time is spent; they and the censuses go into the record. Raises Lost and TimeoutError as
    `Crew` does."""
    arena = stage.arena
    patience = max(hang_seconds(), SLOWEST * sum(map(len, arena.load.tapes)))
    targets: list[Target] = []
    for features in stage.designs.values():
        targets += [(counting_main, arena.allocator, features | STATS), (cpu_main, arena.allocator, features)]
    ready(targets, stage.progress.phase)
    # A machine for every command: design i timed at 2i, counted at 2i + 1. The kworker always counts:
    # its own statistics cost the CPUs nothing.
    machines = [
        [
            arena.machine(features | STATS if stats or cpu == arena.kworker_cpu else features, cpu)
            for features in stage.designs.values()
            for stats in (False, True)
        ]
        for cpu in range(arena.layout.nr_cpus)
    ]
    placement, _ = host.placement(arena.load.cpus)
    rate = cycles_per_ns(arena.machine(frozenset(), 0))
    settings = dataclasses.replace(stage.settings, cycles_per_kernel_ns=rate / stage.options.world.pace)
    with Crew(machines, arena.run, placement) as crew:
        try:
            _Blocks(stage, crew, settings, rate, patience).play_all()
        finally:
            arena.words[MACHINE.stop] = 1  # all loops of the workers end


def hang_seconds() -> float:
    """Seconds without any sign of life after which a block has hung. Raises UsageError for a bad setting."""
    text = os.environ.get("SLAB_STRESS_HANG_SECONDS", "")
    try:
        seconds = float(text or HANG_SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(
            f"SLAB_STRESS_HANG_SECONDS={text}: must be a number of seconds above 0, such as {HANG_SECONDS:g}"
        )
    return seconds


@dataclasses.dataclass(slots=True)
class _Blocks:
    """Plays the blocks of one parallel run and keeps their records.

    rate: cycles per ns. patience: seconds without a sign of life. began: of the timed blocks; before them nothing of
    the share is done.
    """

    stage: Stage
    crew: Crew
    settings: BlockSettings
    rate: float
    patience: float
    began: float = float("inf")
    frees_per_second: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def designs(self) -> list[str]:
        return list(self.stage.designs)

    def play_all(self) -> None:
        """Warm-up, counted and timed blocks, until the time is spent."""
        for i, design in enumerate(self.designs):
            self.stage.progress.phase(f"warming up {design}")
            self._timed(i, pair=-1, warmup=True)
        for i, design in enumerate(self.designs):
            self.stage.progress.phase(f"counting {design}")
            self._counted(i)
        self.began = time.monotonic()
        try:
            self._timed_pairs()
        finally:
            self.stage.record.timed_seconds = time.monotonic() - self.began

    def _timed_pairs(self) -> None:
        rng = np.random.Generator(np.random.PCG64(self.stage.options.measuring.seed))
        order = rng.permutation(len(self.designs))
        pair = 0
        least = least_pairs(CONFIDENCE if self.stage.record.looks is None else EACH)
        while pair < least or (
            time.monotonic() - self.began < self.stage.options.measuring.seconds and not self._sure()
        ):
            # ABBA: every second pair runs the other way round, so that drift cancels.
            for i in order if pair % 2 == 0 else order[::-1]:
                self._timed(int(i), pair=pair, warmup=False)
            pair += 1
            if pair % 2 == 0:
                order = rng.permutation(len(self.designs))
        if self.stage.record.looks is not None and not self.stage.record.looks.sure:
            self.stage.record.looks.look(
                self._headlines(), self.stage.options.measuring.margin
            )  # the last one, when all time is spent

    def _sure(self) -> bool:
        """With --until-sure, at a planned look: is there nothing left to find out?"""
        looks = self.stage.record.looks
        if looks is None or not looks.due(time.monotonic() - self.began):
            return False
        return looks.look(self._headlines(), self.stage.options.measuring.margin)

    def _headlines(self) -> list[Ratio]:
        samples = [sample(block, self.stage.record.cpus) for block in self.stage.record.blocks if not block.warmup]
        before, *others = self.designs
        return [
            headline(samples, before, other, seed=self.stage.options.measuring.seed, confidence=EACH)
            for other in others
        ]

    def _play(self, i: int, counted: bool) -> int:
        """One block of design i; returns the ns it took. Timed blocks end with their tapes."""
        design, arena = self.designs[i], self.stage.arena
        arena.reset(
            self.stage.designs[design], self.stage.counted_settings(self.settings) if counted else self.settings
        )
        start = time.monotonic()
        self.crew.command(2 * i + counted)
        try:
            self.crew.collect(self.patience, lambda: self._tick(design), self._signs_of_life)
        except TimeoutError as error:
            raise TimeoutError(f"a block of {design} hung: {error}") from None
        seconds = time.monotonic() - start
        log.debug("%s block of %s: %.3f s", "counted" if counted else "timed", design, seconds)
        return int(seconds * 1e9)

    def _signs_of_life(self) -> object:
        """Something that changes as long as the block gets on: rounds, events, CPUs that are done, caches."""
        arena = self.stage.arena
        counts = [int(arena.words[arena.run + at]) for at in (RUN.ready, RUN.events_done, RUN.done)]
        return *counts, reaper_passes(arena), *pinned_now(arena), arena.plays()["round"].tobytes()

    def _tick(self, design: str) -> None:
        share = (time.monotonic() - self.began) / self.stage.options.measuring.seconds
        self.stage.show(share, self.frees_per_second.get(design, 0.0), design)

    def _timed(self, i: int, *, pair: int, warmup: bool) -> None:
        name = self.designs[i]
        cpus = [w.pinned for w in self.crew.members if w.pinned is not None]
        kworker = self.crew.members[-1].pid
        before = host.read_counters(self.crew.pids, cpus, kworker)
        wall = self._play(i, counted=False)
        disturbed = host.read_counters(self.crew.pids, cpus, kworker).since(before)
        block = take_block(self.stage.arena, name, pair, warmup=warmup, wall_ns=wall, cycles_per_ns=self.rate)
        block.involuntary_switches = disturbed.involuntary_switches
        block.steal_ticks = disturbed.steal_ticks
        block.waited_ns, block.long_stalls = disturbed.kept_waiting()
        frees = [s for kind in ("live", "dead") for s in block.sections[kind]]
        busy = sum(s.nanoseconds for s in frees) / max(1, self.stage.record.cpus)
        self.frees_per_second[name] = sum(s.operations for s in frees) / busy * 1e9 if busy else 0.0
        self.stage.record.blocks.append(block)
        if self.stage.options.measuring.check_blocks:
            self._check(i, "warm-up" if warmup else f"pair {pair}")
        self._tick(name)

    def _counted(self, i: int) -> None:
        name = self.designs[i]
        self._play(i, counted=True)
        self.stage.keep_census(name, self.rate)
        self.stage.compare(name)

    def _check(self, i: int, block: str) -> None:
        """Check the invariants after a timed block; each violation is kept once per design."""
        from allocators.invariants import check

        name = self.designs[i]
        arena = self.stage.arena
        m = arena.machine(self.stage.designs[name], 0)
        report = check(m, arena.layout, live_objects(arena), stats=False)
        known = {(design, invariant) for design, invariant, _ in self.stage.record.violated}
        for invariant, text in report.violated:
            if (name, invariant) not in known:
                known.add((name, invariant))
                self.stage.record.violated.append((name, invariant, f"after a timed block ({block}): {text}"))
