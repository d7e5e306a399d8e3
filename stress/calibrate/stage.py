"""Workers, launched once, that play blocks of one design under either of two programs, slowed down or not.

Both programs are compiled with feature SPIN (`stress.engine.play.slow_down`); the second one also with TWIN,
which no code asks for: the same instructions at another place in memory. Blocks begin with a boot, as in `run`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from allocators.designs import parse_design
from shm.clock import cycles_per_ns
from shm.machine import MACHINE
from stress.calibrate.options import CalibrateOptions
from stress.engine import counting_main, cpu_main
from stress.measure.evaluation import FREES, rate
from stress.play.arena import NEVER, Arena, BlockSettings
from stress.play.census import take_block
from stress.play.compiled import STATS, ready
from stress.play.parallel import hang_seconds
from stress.play.worker import Crew
from stress.play.workload import build_workload
from stress.process import host
from stress.process.host import Counters
from stress.show.progress import Progress

SPIN, TWIN = frozenset({"SPIN"}), frozenset({"TWIN"})
ONE, TWO = 0, 1  # the programs


@dataclasses.dataclass(frozen=True, slots=True)
class Slowness:
    """Of `every` frees of a CPU the last one spins for `cycles`."""

    every: int = NEVER
    cycles: int = 0


FULL_SPEED = Slowness()


@dataclasses.dataclass(frozen=True, slots=True)
class Played:
    """One block. rate: frees per second, or mixed operations where no frees are timed apart. cycles: of the timed
    sections of all CPUs. operations: in them. spins, spun: frees that spun, and their cycles."""

    rate: float
    cycles: int
    operations: int
    spins: int
    spun: int


class Stage:
    """See the module's text. parameters: of the scenario, with their defaults."""

    def __init__(
        self,
        options: CalibrateOptions,
        arena: Arena,
        crew: Crew,
        parameters: dict[str, object],
        features: frozenset[str],
    ) -> None:
        self.options, self.arena, self.crew, self.parameters, self.features = options, arena, crew, parameters, features
        self.cycles_per_ns = cycles_per_ns(arena.machine(frozenset(), 0))
        self._patience = hang_seconds()

    def play(self, program: int, slowness: Slowness = FULL_SPEED) -> Played:
        """One block from a fresh boot. Raises Lost and TimeoutError as `Crew` does."""
        arena = self.arena
        settings = BlockSettings(
            seed=self.options.seed,
            cycles_per_kernel_ns=self.cycles_per_ns,
            spin_every=slowness.every,
            spin_cycles=slowness.cycles,
        )
        arena.reset(self.features, settings)
        self.crew.command(program)
        self.crew.collect(self._patience)
        block = take_block(arena, self.options.design, 0, warmup=False, wall_ns=0, cycles_per_ns=self.cycles_per_ns)
        kinds = FREES if any(s.operations for kind in FREES for s in block.sections[kind]) else ("mixed",)
        sums = [s for kind in kinds for s in block.sections[kind]]
        plays = arena.plays()
        return Played(
            rate=rate(block, kinds) or 0.0,
            cycles=round(sum(s.nanoseconds for s in sums) * self.cycles_per_ns),
            operations=sum(s.operations for s in sums),
            spins=int(plays["spins"].sum()),
            spun=int(plays["spun"].sum()),
        )

    def counters(self) -> Counters:
        """What disturbed the workers so far."""
        members = self.crew.members
        return host.read_counters(self.crew.pids, [w.pinned for w in members if w.pinned is not None], members[-1].pid)


@contextlib.contextmanager
def launched(options: CalibrateOptions, progress: Progress) -> Iterator[Stage]:
    """Compile both programs, start the workers, end them. Raises UsageError for what cannot be played."""
    cpus = options.cpus or len(host.available_cpus())
    load, parameters = build_workload(options.scenario, options.settings, cpus, options.seed)
    features = parse_design(options.design).features(options.allocator)
    programs = (features | SPIN, features | SPIN | TWIN)
    kernel = options.allocator
    ready(
        [(counting_main, kernel, features | STATS), *((cpu_main, kernel, program) for program in programs)],
        progress.phase,
    )
    arena = Arena(load, kernel, features=features, memory=options.memory)
    with contextlib.closing(arena):
        machines = [
            [arena.machine(features | STATS, cpu)] * 2
            if cpu == arena.kworker_cpu
            else [arena.machine(program, cpu) for program in programs]
            for cpu in range(arena.layout.nr_cpus)
        ]
        with Crew(machines, arena.run, host.placement(cpus)[0]) as crew:
            try:
                yield Stage(options, arena, crew, parameters, features)
            finally:
                arena.words[MACHINE.stop] = 1
