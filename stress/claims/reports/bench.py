"""Plays what reports ask for, each point once: in virtual time by as many processes as there are CPUs here, and
natively through the laboratory of the other claims."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from allocators.designs import DesignError, parse_design
from scenarios.tape import OP_MASK, OP_SECTION_BEGIN, OP_SECTION_END, Workload
from stress.claims.lab import Damaged, Lab, NotBuilt
from stress.claims.reports.report import Measure, Pair, Setting, Side
from stress.engine import virtual_main
from stress.play.compiled import ready
from stress.play.options import DEFAULT_MEMORY
from stress.play.virtual import features_of
from stress.play.workload import build_workload
from stress.process import host
from stress.profiles.load import load
from stress.result.data import Violation
from stress.show.progress import Progress
from stress.simulate import spending
from stress.simulate.point import Job
from stress.simulate.result import Point
from stress.simulate.sentences import lock_title, sound, title
from stress.simulate.sizes import sized
from stress.simulate.study import play_all

ALLOCATOR = "slub"
SEEDS = 3
PACINGS, NEAR = 5, 0.01  # plays at most, and how near to the reported time they come
QUICK_OPERATIONS = 20_000
LEAST_BUSY, LEAST_STALLED = 0.2, 0.05  # of the time: below, a lock or line is no mechanism


class Bench:
    """seeds: of everything random, the first of them `seed`. quick: few operations and one seed, for tests."""

    def __init__(
        self, *, seed: int = 1, seeds: int = SEEDS, quick: bool = False, seconds: float = 3.0, progress: Progress
    ) -> None:
        self.quick, self.seeds = quick, tuple(range(seed, seed + (1 if quick else seeds)))
        self.progress = progress
        self.lab = Lab(seconds=seconds, seed=seed, quick=quick, progress=progress)
        self.violated: list[Violation] = []
        self.commands: list[str] = []
        self._points: dict[tuple[Setting, str, int], Point | None] = {}

    def begin(self) -> None:
        """A new report begins: its commands and violated invariants start anew."""
        self.commands, self.violated = [], []
        self.lab.begin("counting")

    def seeds_for(self, ways: int) -> tuple[int, ...]:
        """All seeds for what is played in one way; one where the ways make the spread."""
        return self.seeds if ways == 1 else self.seeds[:1]

    def play(self, sides: Iterable[Side], seeds: Iterable[int]) -> None:
        """Play what has not been played yet. Raises NotBuilt, Damaged, UsageError and KeyboardInterrupt."""
        sides, seeds = list(dict.fromkeys(sides)), list(seeds)
        for side in sides:
            try:
                parse_design(side.design)
            except DesignError as error:
                raise NotBuilt(str(error)) from None
        ready([(virtual_main, ALLOCATOR, features_of(side.design, ALLOCATOR)) for side in sides], self.progress.phase)
        by_setting: dict[Setting, list[str]] = {}
        for side in sides:
            by_setting.setdefault(side.setting, []).append(side.design)
        for setting, designs in by_setting.items():
            self.commands += filter(None, [setting.command(*designs)])
            for seed in seeds:
                self._play(setting, [d for d in designs if (setting, d, seed) not in self._points], seed)

    def _play(self, setting: Setting, designs: list[str], seed: int) -> None:
        if not designs:
            return
        given = dict(setting.settings)
        operations = QUICK_OPERATIONS if self.quick else setting.operations
        if setting.tapes is not None:
            tapes = setting.tapes(setting.cpus, seed)
        else:
            sizes = sized(setting.scenario, setting.cpus, given, operations)
            tapes, _ = build_workload(setting.scenario, sizes, setting.cpus, seed)
        tapes = without_first(tapes, setting.untimed)
        profile = load(setting.machine)
        profile = dataclasses.replace(profile, ps=dataclasses.replace(profile.ps, call=setting.think_ns * 1000))
        jobs = [
            Job(
                design, ALLOCATOR, setting.cpus, setting.nodes, profile, DEFAULT_MEMORY, seed, 0.0, tapes,
                memoryless=setting.memoryless,
            )
            for design in designs
        ]  # fmt: skip
        points, troubles, interrupted = play_all(jobs, len(host.available_cpus()), self.progress)
        for point in points:
            self._points[setting, point.design, seed] = point
            self.violated += point.violations
        if interrupted:
            raise KeyboardInterrupt
        if troubles:
            raise Damaged("; ".join(troubles))

    def paced(self, pair: Pair) -> Pair:
        """The pair with as much other work as makes `before` as slow as reported; the same pair if nothing was."""
        target, seed = pair.before.setting.paced_ns, self.seeds[0]
        if not target:
            return pair
        setting = dataclasses.replace(pair.before.setting, paced_ns=0.0)
        parts = 1 if setting.measure is Measure.FLOW else 2  # think_ns is of an allocation or a free
        each = setting.cpus // 2 if setting.measure is Measure.FLOW else 1
        for _ in range(PACINGS):
            side = Side(pair.before.design, setting)
            self.play((side,), (seed,))
            off = (target - 1e9 * each / self.rate(side, seed)) / parts
            setting = dataclasses.replace(setting, think_ns=max(0, round(setting.think_ns + off)))
            if abs(off) < NEAR * target:
                break
        after = dataclasses.replace(pair.after.setting, paced_ns=0.0, think_ns=setting.think_ns)
        return Pair(Side(pair.before.design, setting), Side(pair.after.design, after), pair.text)

    def point(self, side: Side, seed: int) -> Point:
        """A point that was played. Raises Damaged for one that got stuck or ran out of memory."""
        point = self._points[side.setting, side.design, seed]
        assert point is not None
        if not sound(point):
            raise Damaged(f"{side.design} in {side.setting.text}: {point.stuck or 'out of memory'}")
        return point

    def rate(self, side: Side, seed: int) -> float:
        """What is compared of the point, see `Measure`."""
        return rate_of(self.point(side, seed), side.setting.measure)


def without_first(load_: Workload, sections: int) -> Workload:
    """The same tapes, in which the first sections of each CPU are not timed."""
    if not sections:
        return load_
    tapes = []
    for words in load_.tapes:
        marks = np.flatnonzero(np.isin(words & OP_MASK, (OP_SECTION_BEGIN, OP_SECTION_END)))
        tapes.append(np.delete(words, marks[: 2 * sections]))
    return dataclasses.replace(load_, tapes=tuple(tapes))


def rate_of(point: Point, measure: Measure) -> float:
    """Objects a second, of all CPUs (FLOW) or of one (LIFE). Raises Damaged if nothing was timed."""
    if measure is Measure.FLOW:
        rates = [point.rates[kind] for kind in ("alloc", "frees") if kind in point.rates]
        if len(rates) == 2:
            return min(rates)
    else:
        if "mixed" in point.ns:
            return 1e9 / (2 * point.ns["mixed"])
        each = [point.ns[kind] for kind in ("alloc", "frees") if kind in point.ns]
        if len(each) == 2:
            return 1e9 / sum(each)
    raise Damaged(f"{point.design} on {point.cpus} CPUs: nothing was timed")


def mechanism(point: Point) -> str:
    """What the CPUs' time goes to beside their own work, the lock that is held most and the line that is waited for
    most, by name."""
    said = []
    awake = {what: ns for what, ns in spending.grouped(point).items() if what != spending.IDLE}
    most = max((what for what in awake if what != spending.OWN), key=lambda what: awake[what], default=None)
    if most is not None:
        said.append(f"{most} {awake[most] / sum(awake.values()):.0%} of the time awake")
    lock = max(point.locks, key=lambda lock: lock.busy, default=None)
    if lock is not None and lock.busy >= LEAST_BUSY:
        name = "barn_lock of a barn" if lock.kind == "barn_lock" else lock_title(lock)
        said.append(f"{name} held {lock.busy:.0%}")
    lines = [line for line in point.lines if not line.name.startswith("run[")]
    line = max(lines, key=lambda line: line.stalled, default=None)
    if line is not None and line.stalled >= LEAST_STALLED:
        said.append(f"{title(line.name)} waited for {line.stalled:.0%}")
    return ", ".join(said)
