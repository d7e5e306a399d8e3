"""The coordinator: prepares a run, has its blocks played, and gathers what they measured.

    options -> workload -> arena -> compiled code -> workers
        warm-up block of each design
        counted block of each design   (statistics on)      -> Census
        timed blocks in pairs, ABBA    (statistics off)     -> Block
    -> RunRecord

All designs are played by the same workers, from the same tapes, in the same memory, each block from
a fresh boot. Whatever ends a run early (Ctrl-C, a killed worker, a hang) is said in the record, which
then holds everything gathered until that moment.

SLAB_STRESS_HANG_SECONDS: after so many seconds in which nothing moves a block has hung, and the run
ends (default 60).
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Callable, Iterator

import numpy as np

from allocators.designs import Design, parse_design
from scenarios.settings import ParameterError
from scenarios.tape import Workload
from shm.compiler import source_hash
from shm.machine import MACHINE
from stress.process import host
from stress.play.arena import DEFAULT_MEMORY, STEP_NS, Arena
from stress.play.census import live_objects, pinned_now, reaper_passes, take_block, take_census
from stress.play.compiled import Target, ready
from stress.engine import RUN, counting_main, cpu_main
from stress.process.errors import UsageError
from stress.judge.looks import EACH, Plan
from stress.measure.evaluation import headline, sample
from stress.play.options import RunOptions, within
from stress.show.progress import Progress
from stress.measure.records import RunRecord
from stress.judge.ratio import CONFIDENCE, Ratio, least_pairs
from stress.play.worker import Crew, Lost

if TYPE_CHECKING:
    from stress.calibrate.options import CalibrateOptions

log = logging.getLogger(__name__)

STATS = frozenset({"STATS"})
HANG_SECONDS = 60.0
SLOWEST = 1e-6  # seconds an operation may take, before a block without other signs of life is called hung
SERIAL_CPUS = 4  # serial play depends on no machine, so it has a number of its own


def run(options: RunOptions, progress: Progress) -> RunRecord:
    """Do one run. Raises UsageError for input that cannot be run; see the module's text otherwise."""
    began = time.monotonic()
    designs = [parse_design(name) for name in (options.before, *options.after)]
    available = len(host.available_cpus())
    cpus = options.cpus or (SERIAL_CPUS if options.serial else available)
    record = RunRecord(
        scenario=options.scenario,
        parameters={"time_scale": options.time_scale},
        allocator=options.allocator,
        seed=options.seed,
        cpus=cpus,
        nodes=options.nodes,
        serial=options.serial,
        baseline=options.before,
        switches={d.name: d.ordered_switches() for d in designs},
        blocks=[],
        censuses=[],
        command=options.command,
        machine=host.describe_machine() | {"sources": source_hash()},
        margin=options.margin,
        looks=Plan(options.seconds) if options.until_sure else None,
    )
    with _breakdowns(record):
        if options.trace is not None:
            from stress.play.replay import Replay

            replay = Replay(options, progress)
            load, record.trace = replay.load, replay.summary
        else:
            replay = None
            load, parameters = build_workload(options, cpus)
            record.parameters = parameters | record.parameters
        record.cpus = load.cpus
        record.oversubscribed = not options.serial and load.cpus > available
        within("--nodes", options.nodes, 1, load.cpus, "a node needs a CPU (--cpus)")
        arena = Arena(
            load,
            options.allocator,
            nodes=options.nodes,
            memory=options.memory or DEFAULT_MEMORY,
            serial=options.serial,
            outcomes=replay is not None and options.serial,
            step_ns=max(1, round(STEP_NS * options.time_scale)),
            owners=any("F_OBJCG" in d.features(options.allocator) for d in designs),
            sheaves=any("F_SHEAF" in d.features(options.allocator) for d in designs),
        )
        arena.fail_shrink_alloc, arena.fail_page_alloc = options.fail_shrink_alloc, options.fail_page_alloc
        record.parameters |= options.failures()
        log.info(
            "%s: %d operations on %d CPUs, seed %d; an arena of %d MiB",
            options.scenario, load.operations(), load.cpus, options.seed, arena.segment.bytes >> 20,
        )  # fmt: skip

        def counted(design: str) -> None:
            if replay is not None:
                replay.compare(arena, design)

        play: Callable[..., None] = _play_in_parallel
        if options.serial:
            from stress.play.serial import play_serially as play
        with contextlib.closing(arena):
            play(arena, designs, options, record, progress, counted)
    record.seconds = time.monotonic() - began
    log.info("%d blocks and %d censuses in %.1f s", len(record.blocks), len(record.censuses), record.seconds)
    return record


@contextlib.contextmanager
def _breakdowns(record: RunRecord) -> Iterator[None]:
    """Turn what breaks the run into a sentence of the record."""
    try:
        yield
    except KeyboardInterrupt as signal:
        record.interrupted = True
        log.info("ended by %s", signal.args[0] if signal.args else "SIGINT")
    except (Lost, TimeoutError) as error:
        record.damage = f"{error}; the run ended there"
        log.error("%s", record.damage)


def build_workload(options: RunOptions | CalibrateOptions, cpus: int) -> tuple[Workload, dict[str, object]]:
    """The tapes of the scenario that was asked for, and its parameters. Raises UsageError when they do not fit."""
    from scenarios.registry import build

    try:
        return build(options.scenario, options.settings, cpus, options.seed)
    except ParameterError as error:
        raise UsageError(f"--set: {error}") from None
    except ValueError as error:
        raise UsageError(f"--scenario {options.scenario}: {error}") from None


def features_of(design: Design, options: RunOptions) -> frozenset[str]:
    """The features that compiled code of this design carries, without STATS."""
    return design.features(options.allocator)


def _play_in_parallel(
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
    plain = {d.name: features_of(d, options) for d in designs}
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
        raise UsageError(f"SLAB_STRESS_HANG_SECONDS={text}: must be a number of seconds above 0, such as {HANG_SECONDS:g}")
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
