"""The coordinator: prepares a run, has its blocks played, and gathers what they measured.

    options -> workload -> arena -> compiled code -> workers
        warm-up block of each design
        counted block of each design   (statistics on)      -> Census
        timed blocks in pairs, ABBA    (statistics off)     -> Block
    -> RunRecord

All designs are played by the same workers, from the same tapes, in the same memory, each block from
a fresh boot. Whatever ends a run early (Ctrl-C, a killed worker, a hang) is said in the record, which
then holds everything gathered until that moment.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Callable, Iterator

import numpy as np

from allocators.designs import Design, parse_design
from scenarios.settings import ParameterError
from scenarios.tape import Workload
from shm.machine import MACHINE
from stress import host
from stress.arena import DEFAULT_MEMORY, Arena
from stress.census import pinned_now, take_block, take_census
from stress.compiled import Target, ready
from stress.engine import cpu_main, kworker_main
from stress.errors import UsageError
from stress.options import RunOptions
from stress.progress import Progress
from stress.samples import RunRecord
from stress.worker import Crew, Lost

log = logging.getLogger(__name__)

STATS = frozenset({"STATS"})
HANG_SECONDS = 60.0  # a block that takes longer, and 20 times longer than the one before, has hung
MIN_PAIRS = 5


def run(options: RunOptions, progress: Progress) -> RunRecord:
    """Do one run. Raises UsageError for input that cannot be run; see the module's text otherwise."""
    began = time.monotonic()
    designs = [parse_design(name) for name in (options.before, *options.after)]
    available = host.available_cpus()
    cpus = options.cpus or len(available)
    record = RunRecord(
        scenario=options.scenario,
        parameters={},
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
        machine=host.describe_machine(),
        oversubscribed=not options.serial and cpus > len(available),
    )
    if options.trace is not None:
        from stress.replay import Replay

        replay = Replay(options, progress)
        load = replay.load
        record.cpus = load.cpus
        record.oversubscribed = not options.serial and load.cpus > len(available)
        record.trace = replay.summary
    else:
        load, record.parameters = _build(options, cpus)
        replay = None
    record.parameters |= {"time_scale": options.time_scale}
    arena = Arena(
        load,
        nodes=options.nodes,
        memory=options.memory or DEFAULT_MEMORY,
        serial=options.serial,
        outcomes=replay is not None and options.serial,
    )

    def counted(design: str) -> None:
        if replay is not None:
            replay.compare(arena, design)

    try:
        if options.serial:
            from stress.serial import play_serially

            play_serially(arena, designs, options, record, progress, counted)
        else:
            _play_in_parallel(arena, designs, options, record, progress, counted)
    except KeyboardInterrupt:
        record.interrupted = True
    finally:
        arena.close()
    record.seconds = time.monotonic() - began
    return record


def _build(options: RunOptions, cpus: int) -> tuple[Workload, dict[str, object]]:
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

    kernel = options.allocator
    plain = {d.name: features_of(d, options) for d in designs}
    targets: list[Target] = []
    for features in plain.values():
        targets += [(cpu_main, kernel, features | STATS), (kworker_main, kernel, features | STATS), (cpu_main, kernel, features)]
    ready(targets, progress.phase)
    # A machine for every command: design i timed at 2i, counted at 2i + 1. The kworker always counts:
    # its own statistics cost the CPUs nothing.
    machines = []
    for cpu in range(arena.layout.nr_cpus):
        kworker = cpu == arena.kworker_cpu
        machines.append(
            [
                arena.machine(f | STATS if stats or kworker else f, cpu, kernel)
                for f in plain.values()
                for stats in (False, True)
            ]
        )
    placement, _ = host.placement(record.cpus)
    rate = cycles_per_ns(arena.machine(frozenset(), 0, kernel))
    with Crew(machines, arena.run, placement) as crew:
        stage = _Stage(arena, crew, designs, plain, options, record, progress, rate, counted)
        with _breakdowns(record, arena):
            stage.play_all()


@contextlib.contextmanager
def _breakdowns(record: RunRecord, arena: Arena) -> Iterator[None]:
    """Turn what breaks the run into a sentence of the record; tell all loops to stop."""
    try:
        yield
    except KeyboardInterrupt:
        record.interrupted = True
    except (Lost, TimeoutError) as error:
        record.damage = f"{error}; the run ended there"
        log.error("%s", record.damage)
    finally:
        arena.words[MACHINE.stop] = 1


class _Stage:
    """One parallel run: plays blocks and keeps their records."""

    def __init__(self, arena, crew, designs, plain, options, record, progress, rate, counted) -> None:
        self.arena: Arena = arena
        self.counted = counted
        self.crew: Crew = crew
        self.designs: list[Design] = designs
        self.plain: dict[str, frozenset[str]] = plain
        self.options: RunOptions = options
        self.record: RunRecord = record
        self.progress: Progress = progress
        self.rate = rate
        self.longest = 0.0
        self.began = time.monotonic()
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
        rng = np.random.Generator(np.random.PCG64(self.options.seed))
        order = rng.permutation(len(self.designs))
        pair = 0
        while pair < MIN_PAIRS or time.monotonic() - self.began < self.options.seconds:
            # ABBA: every second pair runs the other way round, so that drift cancels.
            for i in order if pair % 2 == 0 else order[::-1]:
                self._timed(int(i), pair=pair, warmup=False)
            pair += 1
            if pair % 2 == 0:
                order = rng.permutation(len(self.designs))

    def _play(self, i: int, counted: bool) -> int:
        design = self.designs[i]
        self.arena.reset(self.plain[design.name], seed=self.options.seed)
        start = time.monotonic()
        self.crew.command(2 * i + counted)
        try:
            self.crew.collect(max(HANG_SECONDS, 20 * self.longest), lambda: self._tick(design.name))
        except TimeoutError as error:
            done = int(self.arena.words[self.arena.run])
            raise TimeoutError(f"a block of {design.name} hung ({error}; {done} CPUs had started)") from None
        seconds = time.monotonic() - start
        self.longest = max(self.longest, seconds)
        if self.options.check_blocks and not counted:
            self._check(design)
        return int(seconds * 1e9)

    def _tick(self, design: str) -> None:
        dead, pages = pinned_now(self.arena)
        share = (time.monotonic() - self.began) / self.options.seconds
        self.progress.update(share, dead, pages, self.frees_per_second[design], design)

    def _timed(self, i: int, *, pair: int, warmup: bool) -> None:
        name = self.designs[i].name
        cpus = [w.pinned for w in self.crew.members if w.pinned is not None]
        before = host.read_counters(self.crew.pids, cpus)
        wall = self._play(i, counted=False)
        disturbed = host.read_counters(self.crew.pids, cpus).since(before)
        block = take_block(self.arena, name, pair, warmup=warmup, wall_ns=wall, cycles_per_ns=self.rate)
        block.involuntary_switches = disturbed.involuntary_switches
        block.steal_ticks = disturbed.steal_ticks
        frees = [s for kind in ("live", "dead") for s in block.sections[kind]]
        busy = sum(s.nanoseconds for s in frees) / max(1, self.record.cpus)
        self.frees_per_second[name] = sum(s.operations for s in frees) / busy * 1e9 if busy else 0.0
        self.record.blocks.append(block)
        self._tick(name)

    def _counted(self, i: int) -> None:
        name = self.designs[i].name
        self._play(i, counted=True)
        self.record.censuses.append(take_census(self.arena, name, self.plain[name] | STATS, self.rate))
        self.counted(name)

    def _check(self, design: Design) -> None:
        from allocators.invariants import check
        from stress.census import live_objects

        report = check(self.arena.machine(self.plain[design.name], 0), self.arena.layout, live_objects(self.arena), stats=False)
        if report.violated:
            for census in self.record.censuses:
                if census.design == design.name:
                    census.violated += report.violated
