"""Comparisons of a design with itself, measured as `run` measures: in launches of two worlds side by side.

Both programs are compiled with feature SPIN (`stress.engine.play.slow_down`); the second one also with TWIN,
which no code asks for: the same instructions at another place in memory. Frees of the second side may be slowed down.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import numpy as np

from allocators.designs import parse_design
from scenarios.tape import SECTION_DEAD_FREE, SECTION_LIVE_FREE, SECTION_MIXED, SECTIONS, Workload
from shm.clock import cycles_per_ns
from shm.machine import MACHINE, Machine
from stress.calibrate.neighbour import neighbour
from stress.calibrate.options import CalibrateOptions
from stress.engine import counting_main, cpu_main
from stress.judge.ratio import concurrent_rate, least_pairs
from stress.measure import turns
from stress.play.arena import NEVER, BlockSettings
from stress.play.compiled import STATS, ready
from stress.play.launch import Setup
from stress.play.launches import NAP_US, Launched, Launches
from stress.play.options import MAX_PROCESSES, World
from stress.play.parallel import hang_seconds
from stress.play.turns import sections_of
from stress.play.workload import build_workload
from stress.process import host
from stress.show.progress import Progress

SPIN, TWIN = frozenset({"SPIN"}), frozenset({"TWIN"})
ONE, TWO = "one", "two"  # the sides
SIZE = 10_000  # operations of the first turns; later ones as they fit


@dataclasses.dataclass(frozen=True, slots=True)
class Slowness:
    """Of `every` frees of a CPU in sections of a kind (SECTION_*) the last one spins for `cycles`."""

    every: int = NEVER
    cycles: int = 0
    kind: int = SECTION_LIVE_FREE


FULL_SPEED = Slowness()


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """What one launch showed of a kind of section. ratio: second side / first. cycles: an operation of the first side
    took, on a CPU. operations: in such sections, each side. spins, spun: frees of the second side that spun, and their
    share of its time."""

    ratio: float
    cycles: float
    operations: int
    spins: int
    spun_cycles: int
    spun: float


class Stage:
    """See the module's text. kinds: of sections that hold frees, of which ratios are judged. parameters: of the
    scenario, with their defaults. Raises UsageError for a bad setting."""

    def __init__(self, options: CalibrateOptions, features: frozenset[str], progress: Progress) -> None:
        self.options, self.features = options, features
        self.cpus = options.cpus or min(len(host.available_cpus()), MAX_PROCESSES)
        load, self.parameters = self._build(options.seed)
        present = set(np.concatenate([sections_of(tape).kind for tape in load.tapes]).tolist())
        frees = [kind for kind in (SECTION_LIVE_FREE, SECTION_DEAD_FREE) if kind in present]
        self.kinds = frees or [SECTION_MIXED]
        self.patience = hang_seconds()
        self.cycles_per_ns = cycles_per_ns(Machine([0] * MACHINE.SIZE, 0, (), options.allocator))

    def _build(self, seed: int) -> tuple[Workload, dict[str, object]]:
        return build_workload(self.options.scenario, self.options.settings, self.cpus, seed)

    def launches(self, same: bool, slowness: Slowness, seed: int) -> Launches:
        """Launches of the two sides; same: of one program, else of two."""
        options = self.options
        plain = BlockSettings(seed=1, cycles_per_kernel_ns=self.cycles_per_ns, nap_us=NAP_US)
        slow = dataclasses.replace(
            plain, spin_every=slowness.every, spin_cycles=slowness.cycles, spin_kinds=(slowness.kind,)
        )
        setup = Setup(
            {ONE: self.features | SPIN, TWO: self.features | SPIN | (frozenset() if same else TWIN)},
            {ONE: plain, TWO: slow},
            options.allocator,
            World().shape | {"sheaves": parse_design(options.design).sheaves()},
            options.memory,
            self.patience,
            host.placement(self.cpus)[0],
        )
        return Launches(setup, lambda number: self._build(seed + number)[0], SIZE, self.cycles_per_ns, seed)

    def compare(self, same: bool, slowness: Slowness, seconds: float, seed: int) -> list[Launched]:
        """A comparison as `run` makes it, for so many seconds. Raises Lost and TimeoutError as `Crew` does."""
        launches = self.launches(same, slowness, seed)
        least = least_pairs()
        began = time.monotonic()
        launches.try_out()
        found: list[Launched] = []
        while len(found) < least or time.monotonic() - began < seconds:
            found.append(launches.measure(launches.fitting(seconds, least)))
        return found

    def compared(self, launched: Launched, kind: int) -> Compared:
        """What a launch showed of one kind."""
        sides = [turns.sums(launched.table, side)[SECTIONS[kind]] for side in (0, 1)]
        rates = [concurrent_rate([s.operations for s in side], [s.nanoseconds for s in side]) for side in sides]
        cycles = [sum(s.nanoseconds for s in side) * self.cycles_per_ns for side in sides]
        operations = sum(s.operations for s in sides[0])
        spun = int(launched.spun[1])
        counted = operations / max(1.0, float(launched.operations[kind]))  # spins of all, cycles of these
        return Compared(
            ratio=rates[1] / rates[0] if rates[0] and rates[1] else 1.0,
            cycles=cycles[0] / max(1, operations),
            operations=operations,
            spins=int(launched.spins[1]),
            spun_cycles=spun,
            spun=spun * counted / cycles[1] if cycles[1] else 0.0,
        )


@contextlib.contextmanager
def staged(options: CalibrateOptions, progress: Progress) -> Iterator[Stage]:
    """Compile both programs, and let the neighbour in. Raises UsageError for what cannot be played."""
    features = parse_design(options.design).features(options.allocator)
    stage = Stage(options, features, progress)
    counting = [(counting_main, options.allocator, features | STATS)]
    timed = [(cpu_main, options.allocator, features | extra) for extra in (SPIN, SPIN | TWIN)]
    ready(counting, progress.phase, elsewhere=timed)
    with neighbour(options.neighbour):
        yield stage
