"""What a simulation found, as data; `--format json` prints it as it is."""

from __future__ import annotations

import msgspec

from stress.result.data import Latency, Violation

SCHEMA_VERSION = "1"


class LockUse(msgspec.Struct, kw_only=True, frozen=True):
    """One lock. busy: share of the time in which it is held; waited: share of all CPUs' time spent waiting for it.

    longest_ns: the longest wait.
    """

    name: str
    kind: str
    acquired: int
    contended: int
    busy: float
    waited: float
    longest_ns: float


class LineUse(msgspec.Struct, kw_only=True, frozen=True):
    """One cache line. stalled: share of all CPUs' time spent waiting for it; taken: times a CPU took it to write."""

    name: str
    stalled: float
    taken: int


class DeadSample(msgspec.Struct, kw_only=True, frozen=True):
    """A look: dead caches at a moment of virtual time, and the pages that they and other remains of cgroups hold."""

    ms: float
    caches: int
    pages: int


class Dead(msgspec.Struct, kw_only=True, frozen=True):
    """Child caches of cgroups that went offline. left: those that live at the end, settling time included.

    lifetimes_ms: of those that were destroyed, from the later of the offline and the last free on: half, 99 of 100
    and all lived no longer.
    """

    offlined: int
    destroyed: int
    left: int
    lifetime_p50_ms: float | None = None
    lifetime_p99_ms: float | None = None
    lifetime_max_ms: float | None = None
    curve: list[DeadSample] = []


class Point(msgspec.Struct, kw_only=True, frozen=True):
    """One design on one number of CPUs.

    operations: allocations and frees. ms: of virtual time, from the first operation to the last one's end.
    rates: operations a second of all CPUs together, by kind of section (live and dead frees, alloc, mixed), and of
    all frees. ns: of one CPU's time that an operation takes, by kind. spent: ns an operation, on whose behalf (tape,
    alloc, free, page allocator, interrupt, work) and on what; waiting for a lock is named by the lock's class.
    kworker: the same, of the CPU that runs deferred work. counts: what happened how often. seconds: that the
    simulation of this point took.
    """

    design: str
    cpus: int
    nodes: int
    operations: int
    ms: float
    rates: dict[str, float]
    ns: dict[str, float]
    spent: dict[str, dict[str, float]]
    kworker: dict[str, dict[str, float]]
    latencies: dict[str, Latency]
    locks: list[LockUse]
    lines: list[LineUse]
    dead: Dead
    counts: dict[str, int]
    violations: list[Violation] = []
    stuck: str | None = None
    seconds: float


class Simulation(msgspec.Struct, kw_only=True, frozen=True):
    """Everything of one simulation.

    machine: name of the profile; shape: its topology in words; sources: where its prices are from. headline: the
    rate that the curve shows: "frees", "mixed", or what else the scenario times. parameters: of the scenario by number
    of CPUs, as far as they differ from its defaults. step: CPUs took turns an "operation", an "access", or "exact", at
    a time. notes: what a reader should know of the points. partial: it was
    interrupted or a point is missing, and these are the points that were done. model: a hash of what is compiled.
    """

    schema_version: str = SCHEMA_VERSION
    command: str
    scenario: str
    parameters: dict[str, dict[str, str]]
    allocator: str
    machine: str
    shape: str
    sources: list[str]
    seed: int
    step: str
    designs: list[str]
    cpus: list[int]
    headline: str
    points: list[Point]
    sentences: list[str]
    notes: list[str] = []
    partial: bool = False
    model: str
    seconds: float
