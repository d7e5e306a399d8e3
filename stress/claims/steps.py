"""Claim 4, exactly: what allocations and frees of live caches do to memory, operation by operation.

Times are noisy, numbers of operations are not. The interpreted engine plays the tapes and counts each
load, store, atomic and full fence of the worker CPUs that the compiled code of a timed block would do.
Read and write barriers, such as v3's before the dead mark, are no instructions on x86 and not counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from allocators.core.world import WORLD, WORLD_AT
from allocators.designs import parse_design
from scenarios.registry import build
from scenarios.tape import OP_FREE
from shm.machine import Machine
from stress.claims.claim import Figure, Finding, Verdict, figure
from stress.claims.lab import Lab
from stress.engine import FINISHED
from stress.engine.serial import play_seeded
from stress.play.arena import Arena, BlockSettings
from stress.show import units

SERIES = ("v1", "v2", "v3")
KINDS = ("loads", "stores", "atomics", "fences")
MARGIN = 0.02
MEMORY = 16 << 20
CPUS = 2
BURSTS = 1 << 20  # more than any of these tapes takes
_ENGINE = ("run", "plays", "schedule", "slot_table", "marks", "tape")


class CountingMachine(Machine):
    """A machine whose CPUs count what they do to memory; `quiet` CPU and address ranges are not counted."""

    __slots__ = ("counts", "quiet", "ranges")

    def __init__(self, *args: Any, counts: Counter, quiet: int, ranges: list[tuple[int, int]]) -> None:
        super().__init__(*args)
        self.counts, self.quiet, self.ranges = counts, quiet, ranges

    def at(self, cpu: int) -> CountingMachine:
        return CountingMachine(
            self.mem,
            cpu,
            self.features,
            self.kernel,
            self.address,
            counts=self.counts,
            quiet=self.quiet,
            ranges=self.ranges,
        )

    def _count(self, kind: str, a: int) -> None:
        if self.cpu != self.quiet and not any(low <= a < high for low, high in self.ranges):
            self.counts[kind] += 1

    def load(self, a: int) -> int:
        self._count("loads", a)
        return super().load(a)

    def store(self, a: int, v: int) -> None:
        self._count("stores", a)
        super().store(a, v)

    def cmpxchg(self, a: int, old: int, new: int) -> int:
        self._count("atomics", a)
        return super().cmpxchg(a, old, new)

    def xchg(self, a: int, new: int) -> int:
        self._count("atomics", a)
        return super().xchg(a, new)

    def fetch_add(self, a: int, delta: int) -> int:
        self._count("atomics", a)
        return super().fetch_add(a, delta)

    def fetch_or(self, a: int, bits: int) -> int:
        self._count("atomics", a)
        return super().fetch_or(a, bits)

    def fetch_and(self, a: int, bits: int) -> int:
        self._count("atomics", a)
        return super().fetch_and(a, bits)

    def fence(self) -> None:
        self._count("fences", -1)
        super().fence()


def count_steps(scenario: str, settings: dict[str, int], allocator: str, design: str, seed: int) -> dict[str, float]:
    """Memory operations per allocated and freed object, by kind; the engine's own are left out."""
    load, _ = build(scenario, [f"{key}={value}" for key, value in settings.items()], CPUS, seed)
    parsed = parse_design(design)
    arena = Arena(load, allocator, sheaves=parsed.sheaves(), memory=MEMORY, serial=True)
    try:
        features = parsed.features(allocator)
        arena.reset(features, BlockSettings(seed=seed))
        regions = [r for name, r in arena.plan.regions.items() if name.rstrip("0123456789") in _ENGINE]
        ranges = [(base, base + words) for base, words in regions] + [(WORLD_AT + WORLD.now, WORLD_AT + WORLD.now + 1)]
        plain = arena.machine(features, arena.kworker_cpu)
        counts: Counter[str] = Counter()
        m = CountingMachine(
            plain.mem,
            plain.cpu,
            plain.features,
            plain.kernel,
            plain.address,
            counts=counts,
            quiet=plain.cpu,
            ranges=ranges,
        )
        state = play_seeded(m, arena.run, BURSTS)
        assert state == FINISHED
        objects = sum(int((tape & 15 == OP_FREE).sum()) for tape in load.tapes)
        return {kind: counts[kind] / objects for kind in KINDS}
    finally:
        arena.close()


def same_steps(lab: Lab, allocator: str) -> Finding:
    """pairs and free-burst by object size: what an object's allocation and free do, before and after."""
    lab.need(allocator, SERIES)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for size in (64,) if lab.quick else (64, 1024, 8192):
        for scenario, settings in (
            ("pairs", {"operations": lab.size(2000, 200)}),
            ("free-burst", {"objects": lab.size(1000, 100), "bursts": 2}),
        ):
            rows[f"{size} B {scenario}"] = {
                design: count_steps(scenario, {"object_size": size} | settings, allocator, design, lab.seed)
                for design in ("linux-3.16", *SERIES)
            }
    return judge_steps(rows)


def judge_steps(rows: dict[str, dict[str, dict[str, float]]]) -> Finding:
    """Holds if no design does more atomics, or more operations in all, beyond the margin; else fails."""
    figures: list[Figure] = []
    dear, most = [], 0.0
    if not rows or any(len(designs) < 2 or not sum(designs["linux-3.16"].values()) for designs in rows.values()):
        return Finding(Verdict.UNKNOWN, "nothing was counted", figures)
    for name, designs in rows.items():
        before = designs["linux-3.16"]
        for design, after in designs.items():
            text = ", ".join(f"{units.per_unit(after[kind])} {kind}" for kind in KINDS if after[kind] or before[kind])
            figures.append(figure(f"{name}, {design}, per object", after, text))
            more = (
                max(
                    sum(after.values()) / sum(before.values()),
                    after["atomics"] / before["atomics"] if before["atomics"] else 1.0,
                )
                - 1
            )
            most = max(most, more)
            if more > MARGIN:
                dear.append(f"{name}, {design}: {more:.1%} more")
    if dear:
        return Finding(Verdict.FAILS, "; ".join(dear), figures)
    return Finding(
        Verdict.HOLDS, f"at most {most:.2%} more operations on memory for an object of a live cache", figures
    )
