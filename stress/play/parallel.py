"""Parallel play: a warm-up and a counted pass of each design by worker processes, then launches.

What is counted is counted in one world, a design after the other. What is timed is timed in launches, in which every
design has a world of its own and all are played by turns (`stress.play.launch`).
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from functools import partial

from shm import preemption
from shm.clock import cycles_per_ns
from shm.machine import MACHINE
from stress.engine import counting_main, cpu_main
from stress.judge.ratio import CONFIDENCE, Ratio, least_pairs
from stress.measure import turns
from stress.measure.evaluation import FREES, headline, rate, sample
from stress.measure.records import Block
from stress.play.arena import Arena, BlockSettings
from stress.play.census import live_objects, signs_of_life, take_block
from stress.play.compiled import STATS, Target, ready
from stress.play.launch import Setup, Storm
from stress.play.launches import NAP_US, TURN_NS, Launched, Launches
from stress.play.options import DEFAULT_MEMORY
from stress.play.stage import Stage
from stress.play.worker import Crew
from stress.process import host
from stress.process.errors import UsageError

log = logging.getLogger(__name__)

HANG_SECONDS = 60.0
SLOWEST = 1e-6  # seconds an operation may take, before a block without other signs of life is called hung


def play_in_parallel(stage: Stage) -> None:
    """Play until the time is spent; blocks and censuses go into the record. Raises UsageError for a bad setting, Lost
    and TimeoutError as `Crew` does."""
    arena = stage.arena
    patience = max(hang_seconds(), SLOWEST * sum(map(len, arena.load.tapes)))  # before anybody waits for a compilation
    counting: list[Target] = [(counting_main, arena.allocator, f | STATS) for f in stage.designs.values()]
    timed: list[Target] = [(cpu_main, arena.allocator, f) for f in stage.designs.values()]
    ready(counting, stage.progress.phase, elsewhere=timed)
    stage.record.watched = preemption.works()
    rate = cycles_per_ns(arena.machine(frozenset(), 0))
    settings = dataclasses.replace(stage.settings, cycles_per_kernel_ns=rate / stage.options.world.pace)
    play = _Play(stage, settings, rate, patience)
    play.count()
    play.measure()


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
class _Play:
    """One parallel run.

    cycles_per_ns: of the clock. patience: seconds without a sign of life. size: operations of a turn. began: of the
    launches; before them nothing of the share is done.
    """

    stage: Stage
    settings: BlockSettings
    cycles_per_ns: float
    patience: float
    size: int = 0
    began: float = float("inf")
    frees_per_second: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def designs(self) -> list[str]:
        return list(self.stage.designs)

    # The passes in one world.

    def count(self) -> None:
        """A warm-up and a counted pass of each design."""
        arena = self.stage.arena
        machines = [
            [
                arena.machine(features | STATS if stats or cpu == arena.kworker_cpu else features, cpu)
                for features in self.stage.designs.values()
                for stats in (False, True)
            ]
            for cpu in range(arena.layout.nr_cpus)
        ]
        with Crew(machines, arena.run, host.placement(arena.load.cpus)[0]) as crew:
            try:
                for i, design in enumerate(self.designs):
                    self.stage.progress.phase(f"warming up {design}")
                    self._warm_up(crew, i)
                for i, design in enumerate(self.designs):
                    self.stage.progress.phase(f"counting {design}")
                    self._pass(crew, i, counted=True)
                    self.stage.keep_census(design, self.cycles_per_ns)
                    self.stage.compare(design)
            finally:
                arena.words[MACHINE.stop] = 1  # all loops of the workers end

    def _warm_up(self, crew: Crew, i: int) -> None:
        arena = self.stage.arena
        wall = self._pass(crew, i, counted=False)
        block = take_block(arena, self.designs[i], -1, warmup=True, wall_ns=wall, cycles_per_ns=self.cycles_per_ns)
        self.stage.record.blocks.append(block)
        longest = max(map(len, arena.load.tapes))
        self.size = self.size or max(1, round(longest * min(1.0, TURN_NS / wall)))
        if self.stage.options.measuring.check_blocks:
            self._check(arena, i, "warm-up")

    def _pass(self, crew: Crew, i: int, *, counted: bool) -> int:
        """The whole tapes under design i; returns the ns it took."""
        design, arena = self.designs[i], self.stage.arena
        settings = (self.stage.counted if counted else self.stage.block)(design, self.settings)
        arena.reset(self.stage.designs[design], settings)
        start = time.monotonic()
        crew.command(2 * i + counted)
        try:
            crew.collect(self.patience, lambda: self._tick(i, arena), lambda: signs_of_life(arena))
        except TimeoutError as error:
            raise TimeoutError(f"a block of {design} hung: {error}") from None
        seconds = time.monotonic() - start
        log.debug("%s block of %s: %.3f s", "counted" if counted else "timed", design, seconds)
        return int(seconds * 1e9)

    # The launches.

    def measure(self) -> None:
        """Launches until the time is spent, or with --until-sure at a planned look all is known."""
        measuring, record = self.stage.options.measuring, self.stage.record
        confidence = CONFIDENCE if record.looks is None else record.looks.confidence
        least = measuring.launches or least_pairs(confidence)
        first = measuring.seconds if record.looks is None else record.looks.moments[0]
        napping = dataclasses.replace(self.settings, nap_us=NAP_US)
        setup = Setup(
            self.stage.designs,
            {design: self.stage.block(design, napping) for design in self.designs},
            self.stage.arena.allocator,
            self.stage.shape,
            self.stage.options.world.memory or DEFAULT_MEMORY,
            self.patience,
            host.placement(record.cpus)[0],
        )
        launches = Launches(setup, self.stage.tapes, self.size, self.cycles_per_ns, record.seed, self._tick)
        self.began = time.monotonic()
        self.stage.progress.phase("playing by turns")
        try:
            launches.try_out()
            while (number := launches.number) < least or (
                not measuring.launches and self._elapsed() < measuring.seconds and not self._sure(confidence)
            ):
                each = measuring.seconds / least if measuring.launches else launches.fitting(first, least)
                self._keep(launches.measure(each, partial(self._look, number)), number)
            if record.looks is not None and not record.looks.sure:
                record.looks.look(self._headlines(confidence), measuring.margin)  # the last one, when all time is spent
        finally:
            record.timed_seconds = time.monotonic() - self.began

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    def _look(self, number: int, storm: Storm) -> None:
        if self.stage.options.measuring.check_blocks:
            for i, arena in enumerate(storm.arenas):
                self._check(arena, i, f"launch {number + 1}")

    def _keep(self, launched: Launched, number: int) -> None:
        """A launch has ended: a block of each design goes into the record."""
        record, n = self.stage.record, len(self.designs)
        table, disturbed = launched.table, launched.disturbed
        waited, stalls = disturbed.kept_waiting()
        record.launches.append(table)
        for i, design in enumerate(self.designs):
            block = Block(
                design=design,
                pair=number,
                warmup=False,
                wall_ns=int(table.took[:, i].sum()),
                sections=turns.sums(table, i),
                involuntary_switches=int(table.switches[:, i].sum()),
                steal_ticks=disturbed.steal_ticks // n,
                waited_ns=None if waited is None else waited // n,
                long_stalls=None if stalls is None else stalls // n,
                failed_allocations=int(launched.failed[i]),
                storms=len(table.took),
                turns=table.took[:, i].size,
                disturbed=int(table.disturbed[:, i].sum()),
            )
            record.blocks.append(block)
            self.frees_per_second[design] = rate(block, FREES) or 0.0

    def _sure(self, confidence: float) -> bool:
        """With --until-sure, at a planned look: is there nothing left to find out?"""
        looks = self.stage.record.looks
        if looks is None or not looks.due(self._elapsed()):
            return False
        return looks.look(self._headlines(confidence), self.stage.options.measuring.margin)

    def _headlines(self, confidence: float) -> list[Ratio]:
        record = self.stage.record
        samples = [sample(block, record.cpus) for block in record.blocks if not block.warmup]
        before, *others = self.designs
        return [headline(samples, before, other, seed=record.seed, confidence=confidence) for other in others]

    # Of both.

    def _tick(self, i: int, arena: Arena) -> None:
        design = self.designs[i]
        share = self._elapsed() / self.stage.options.measuring.seconds
        self.stage.show(share, self.frees_per_second.get(design, 0.0), design, arena)

    def _check(self, arena: Arena, i: int, when: str) -> None:
        """Check the invariants in a world at rest; each violation is kept once per design."""
        from allocators.invariants import check

        name = self.designs[i]
        report = check(arena.machine(self.stage.designs[name], 0), arena.layout, live_objects(arena), stats=False)
        known = {(design, invariant) for design, invariant, _ in self.stage.record.violated}
        for invariant, text in report.violated:
            if (name, invariant) not in known:
                known.add((name, invariant))
                self.stage.record.violated.append((name, invariant, f"after a timed pass ({when}): {text}"))
