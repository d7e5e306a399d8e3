"""Parallel play: blocks in pairs by worker processes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

import numpy as np

from allocators.designs import Design
from shm.machine import MACHINE
from stress.engine import RUN, counting_main, cpu_main
from stress.judge.looks import EACH
from stress.judge.ratio import CONFIDENCE, Ratio, least_pairs
from stress.measure.evaluation import headline, sample
from stress.measure.records import RunRecord
from stress.play.arena import Arena
from stress.play.census import live_objects, pinned_now, reaper_passes, take_block, take_census
from stress.play.compiled import STATS, Target, ready
from stress.play.options import RunOptions
from stress.play.worker import Crew
from stress.process import host
from stress.process.errors import UsageError
from stress.show.progress import Progress

log = logging.getLogger(__name__)

HANG_SECONDS = 60.0
SLOWEST = 1e-6  # seconds an operation may take, before a block without other signs of life is called hung


def play_in_parallel(
    arena: Arena,
    designs: list[Design],
    options: RunOptions,
    record: RunRecord,
    progress: Progress,
    counted: Callable[[str], None],
) -> None:
    from shm.clock import cycles_per_ns

    patience = hang_seconds()
    kernel = options.allocator
    plain = {d.name: d.features(options.allocator) for d in designs}
    targets: list[Target] = []
    for features in plain.values():
        targets += [(counting_main, kernel, features | STATS), (cpu_main, kernel, features)]
    ready(targets, progress.phase)
    # A machine for every command: design i timed at 2i, counted at 2i + 1. The kworker always counts:
    # its own statistics cost the CPUs nothing.
    machines = []
    for cpu in range(arena.layout.nr_cpus):
        kworker = cpu == arena.kworker_cpu
        machines.append(
            [
                arena.machine(f | STATS if stats or kworker else f, cpu)
                for f in plain.values()
                for stats in (False, True)
            ]
        )
    placement, _ = host.placement(arena.load.cpus)
    rate = cycles_per_ns(arena.machine(frozenset(), 0))
    arena.cycles_per_kernel_ns = rate / options.time_scale
    with Crew(machines, arena.run, placement) as crew:
        stage = _Stage(arena, crew, designs, plain, options, record, progress, rate, counted, patience)
        try:
            stage.play_all()
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


class _Stage:
    """One parallel run: plays blocks and keeps their records."""

    def __init__(self, arena, crew, designs, plain, options, record, progress, rate, counted, patience) -> None:
        self.arena: Arena = arena
        self.counted = counted
        self.crew: Crew = crew
        self.designs: list[Design] = designs
        self.plain: dict[str, frozenset[str]] = plain
        self.options: RunOptions = options
        self.record: RunRecord = record
        self.progress: Progress = progress
        self.rate = rate
        self.patience = max(patience, SLOWEST * sum(map(len, arena.load.tapes)))
        self.began = float("inf")  # of the timed blocks; before them nothing of the share is done
        self.frees_per_second = dict.fromkeys(plain, 0.0)

    def play_all(self) -> None:
        """Warm-up, counted and timed blocks, until the time is spent."""
        for i, design in enumerate(self.designs):
            self.progress.phase(f"warming up {design.name}")
            self._timed(i, pair=-1, warmup=True)
        for i, design in enumerate(self.designs):
            self.progress.phase(f"counting {design.name}")
            self._counted(i)
        self.began = time.monotonic()
        try:
            self._timed_pairs()
        finally:
            self.record.timed_seconds = time.monotonic() - self.began

    def _timed_pairs(self) -> None:
        rng = np.random.Generator(np.random.PCG64(self.options.seed))
        order = rng.permutation(len(self.designs))
        pair = 0
        least = least_pairs(CONFIDENCE if self.record.looks is None else EACH)
        while pair < least or (time.monotonic() - self.began < self.options.seconds and not self._sure()):
            # ABBA: every second pair runs the other way round, so that drift cancels.
            for i in order if pair % 2 == 0 else order[::-1]:
                self._timed(int(i), pair=pair, warmup=False)
            pair += 1
            if pair % 2 == 0:
                order = rng.permutation(len(self.designs))
        if self.record.looks is not None and not self.record.looks.sure:
            self.record.looks.look(self._headlines(), self.options.margin)  # the last one, when all time is spent

    def _sure(self) -> bool:
        """With --until-sure, at a planned look: is there nothing left to find out?"""
        looks = self.record.looks
        if looks is None or not looks.due(time.monotonic() - self.began):
            return False
        return looks.look(self._headlines(), self.options.margin)

    def _headlines(self) -> list[Ratio]:
        samples = [sample(block, self.record.cpus) for block in self.record.blocks if not block.warmup]
        before, *others = (design.name for design in self.designs)
        return [headline(samples, before, other, seed=self.options.seed, confidence=EACH) for other in others]

    def _play(self, i: int, counted: bool) -> int:
        design = self.designs[i]
        settle = int(self.options.settle * 1e9) if counted else 0  # timed blocks end with their tapes
        self.arena.reset(self.plain[design.name], seed=self.options.seed, settle_ns=settle, curve=counted)
        start = time.monotonic()
        self.crew.command(2 * i + counted)
        try:
            self.crew.collect(self.patience, lambda: self._tick(design.name), self._signs_of_life)
        except TimeoutError as error:
            raise TimeoutError(f"a block of {design.name} hung: {error}") from None
        seconds = time.monotonic() - start
        log.debug("%s block of %s: %.3f s", "counted" if counted else "timed", design.name, seconds)
        return int(seconds * 1e9)

    def _signs_of_life(self) -> object:
        """Something that changes as long as the block gets on: rounds, events, CPUs that are done, caches."""
        words, run = self.arena.words, self.arena.run
        counts = [int(words[run + at]) for at in (RUN.ready, RUN.events_done, RUN.done)]
        return *counts, reaper_passes(self.arena), *pinned_now(self.arena), self.arena.plays()["round"].tobytes()

    def _tick(self, design: str) -> None:
        dead, pages = pinned_now(self.arena)
        share = (time.monotonic() - self.began) / self.options.seconds
        self.progress.update(share, dead, pages, self.frees_per_second[design], design)

    def _timed(self, i: int, *, pair: int, warmup: bool) -> None:
        name = self.designs[i].name
        cpus = [w.pinned for w in self.crew.members if w.pinned is not None]
        kworker = self.crew.members[-1].pid
        before = host.read_counters(self.crew.pids, cpus, kworker)
        wall = self._play(i, counted=False)
        disturbed = host.read_counters(self.crew.pids, cpus, kworker).since(before)
        block = take_block(self.arena, name, pair, warmup=warmup, wall_ns=wall, cycles_per_ns=self.rate)
        block.involuntary_switches = disturbed.involuntary_switches
        block.steal_ticks = disturbed.steal_ticks
        block.waited_ns, block.long_stalls = disturbed.kept_waiting()
        frees = [s for kind in ("live", "dead") for s in block.sections[kind]]
        busy = sum(s.nanoseconds for s in frees) / max(1, self.record.cpus)
        self.frees_per_second[name] = sum(s.operations for s in frees) / busy * 1e9 if busy else 0.0
        self.record.blocks.append(block)
        if self.options.check_blocks:
            self._check(i, "warm-up" if warmup else f"pair {pair}")
        self._tick(name)

    def _counted(self, i: int) -> None:
        name = self.designs[i].name
        self._play(i, counted=True)
        self.record.censuses.append(take_census(self.arena, name, self.plain[name] | STATS, self.rate))
        self.counted(name)

    def _check(self, i: int, block: str) -> None:
        """Check the invariants after a timed block; each violation is kept once per design."""
        from allocators.invariants import check

        name = self.designs[i].name
        m = self.arena.machine(self.plain[name], 0)
        report = check(m, self.arena.layout, live_objects(self.arena), stats=False)
        known = {(design, invariant) for design, invariant, _ in self.record.violated}
        for invariant, text in report.violated:
            if (name, invariant) not in known:
                known.add((name, invariant))
                self.record.violated.append((name, invariant, f"after a timed block ({block}): {text}"))
