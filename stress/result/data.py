"""The result of a run as data: what `result.json` holds.

A field that could not be measured is null, never NaN and never a made-up 0. `SCHEMA_VERSION` changes
when a field changes its meaning or goes; a field that is added leaves it as it is, and readers skip
what they do not know.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stress.judge.margin import DEFAULT_MARGIN
from stress.judge.ratio import CONFIDENCE, Ratio

SCHEMA_VERSION = "1"
TAIL_STEPS = 8  # of `Latency.tail` for each power of ten


class FreesPerSecond(msgspec.Struct, kw_only=True, frozen=True):
    """Frees per second of all CPUs together, inside the timed sections of the launches.

    A launch's rate is the sum over CPUs of (frees of the CPU / time that CPU spent in the sections);
    the figure is the median over launches. live: into caches of cgroups that are online; dead: into
    caches of offline cgroups; all: both kinds of section together.
    """

    live: float | None = None
    dead: float | None = None
    all: float | None = None


class OperationsPerSecond(msgspec.Struct, kw_only=True, frozen=True):
    """As `FreesPerSecond`, for sections of allocations and of mixed allocations and frees."""

    alloc: float | None = None
    mixed: float | None = None


class DeadCaches(msgspec.Struct, kw_only=True, frozen=True):
    """Caches of cgroups that were taken offline: how many, destroyed so far, left at the end."""

    offlined: int | None = None
    destroyed: int | None = None
    left: int | None = None


class Lifetime(msgspec.Struct, kw_only=True, frozen=True):
    """Kernel seconds from a dead cache's last free to its destruction, over the destroyed ones only."""

    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class PerFree(msgspec.Struct, kw_only=True, frozen=True):
    """Operations per free over the whole counted pass, those of allocations included. list_lock: on SLOB, slob_lock."""

    list_lock: float | None = None
    list_lock_contended: float | None = None
    page_cas: float | None = None
    page_cas_failed: float | None = None


class Latency(msgspec.Struct, kw_only=True, frozen=True):
    """How long the operations of one path took in counted passes, ns. The statistics' own work is in it, the clock's is not.

    Quantiles are read from a histogram, to 3 %; max is exact. tail[k]: all but one in 10^(k/8) operations
    took no longer, so tail[0] is the shortest and tail[16] the 99th percentile.
    """  # noqa: E501

    operations: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    tail: list[float]


class OverTime(msgspec.Struct, kw_only=True, frozen=True):
    """Dead caches and what they pin in a counted pass, at moments of kernel time in seconds from its start."""

    seconds: list[float]
    dead_caches: list[int]
    pages_pinned: list[int]
    cgroups_pinned: list[int]


class Design(msgspec.Struct, kw_only=True, frozen=True):
    """One column of the table. Rates come from timed passes; all else is exact, from counted passes.

    settings: numbers that it sets by its name, such as sheaf_capacity.
    stats: raw counts by the kernel's names. operations: raw counts of every other thing counted
    (locks, CAS, IPIs…). counted_passes: counts are sums over so many passes.
    per_free: inside the sections that hold nothing but frees, where a scenario has such; otherwise
    all operations by all frees. per_live_free, per_dead_free: the same for one kind of section.
    latency_ns: by path (alloc_fast, alloc_slow, free_fast, free_slow, free_remote, free_dead); empty in serial
    play. clock_ns: what reading the clock costs, taken off each; two latencies that differ by less do not differ. over_time: of the first counted pass.
    """  # noqa: E501

    switches: list[str]
    frees_per_second: FreesPerSecond
    operations_per_second: OperationsPerSecond
    dead_caches: DeadCaches
    lifetime_seconds: Lifetime
    empty_slabs: dict[str, int]
    slabs_left: int | None
    pages_left: int | None
    cgroups_pinned: int | None
    frees: int | None
    dead_frees: int | None
    allocations: int | None
    failed_allocations: int | None
    stats: dict[str, int | None]
    per_free: PerFree
    per_live_free: PerFree | None = None
    per_dead_free: PerFree | None = None
    operations: dict[str, int]
    counted_passes: int
    measured_blocks: int
    latency_ns: dict[str, Latency] = {}
    clock_ns: float | None = None
    over_time: OverTime | None = None
    settings: dict[str, int] = {}


class Ratios(msgspec.Struct, kw_only=True, frozen=True):
    """Throughput of a design / throughput of the baseline in the same launch.

    free_throughput: all frees. live, dead: frees into live, into dead caches. alloc, mixed: those sections.
    """

    free_throughput: Ratio
    live: Ratio
    dead: Ratio
    alloc: Ratio
    mixed: Ratio


class Violation(msgspec.Struct, kw_only=True, frozen=True):
    """An invariant that did not hold, under which design, and the state that breaks it."""

    invariant: str
    design: str
    description: str


class Invariants(msgspec.Struct, kw_only=True, frozen=True):
    """Names of the invariants that were checked, and what was violated (empty: all held)."""

    checked: list[str]
    violated: list[Violation]


class BlockSample(msgspec.Struct, kw_only=True, frozen=True):
    """One timed block as it was measured: what a launch played under a design. Rates in operations per second,
    `wall_seconds` in real time.

    pair: the number of the launch. storms: passes of the tapes, each cut into `turns`, counted together, in
    `disturbed_turns` of which a timed section was interrupted; such sections are in no rate.
    grade: good, fair or poor; reasons say why it is not good. Poor launches count like all others.
    waited_seconds: of all workers, able to run but without a CPU, beyond what the kworker ran on their CPUs;
    null where the kernel does not tell. long_stalls: of the switches away from
    them at most so many were followed by a wait of a millisecond or longer.
    """

    design: str
    pair: int
    warmup: bool
    wall_seconds: float
    frees_per_second: FreesPerSecond
    operations_per_second: OperationsPerSecond
    involuntary_switches: int
    steal_ticks: int
    waited_seconds: float | None = None
    long_stalls: int | None = None
    failed_allocations: int
    grade: str
    reasons: list[str]
    storms: int = 1
    turns: int = 1
    disturbed_turns: int = 0


class Finding(msgspec.Struct, kw_only=True, frozen=True):
    """One sentence about how far the figures can be trusted; level is note, warning or serious."""

    level: str
    text: str


class Trust(msgspec.Struct, kw_only=True, frozen=True):
    """grade: good (notes at most), fair (warnings) or poor (something serious); and why."""

    grade: str
    findings: list[Finding]


class TurnsSummary(msgspec.Struct, kw_only=True, frozen=True):
    """What the launches of a run consisted of. Turn by turn it is in the sidecar `turns.parquet` or `turns.npz`.

    turns: of all designs together. median_seconds: of one. disturbed: share of turns in which a timed section was
    interrupted. sections: that count, of all designs; sections_left_out: that were interrupted under some design.
    """

    launches: int
    turns: int
    median_seconds: float
    disturbed: float
    sections: int
    sections_left_out: int


class UntilSure(msgspec.Struct, kw_only=True, frozen=True):
    """A run with --until-sure. sure: all frees (or mixed operations) were settled before the time was spent.

    shares: of the time, when looks were planned. looked_at: number of launches at each look that was taken.
    """

    sure: bool
    shares: list[float]
    looked_at: list[int]


class Result(msgspec.Struct, kw_only=True, frozen=True):
    """Everything of one run, as `result.json` holds it.

    created: UTC, ISO 8601. seconds: real time of the whole run. partial: the run did not come to its
    end, `partial_reason` says how. trace: predicted against recorded, for replays of kernel traces.
    margin: a ratio this near to 1, as a fraction, counts as equivalent. confidence: of the ratios' intervals.
    """

    run_id: str = ""
    created: str = ""
    scenario: str
    parameters: dict[str, Any]
    allocator: str
    seed: int
    cpus: int
    nodes: int
    serial: bool
    oversubscribed: bool
    seconds: float
    command: str
    machine: dict[str, Any]
    baseline: str
    designs: dict[str, Design]
    ratios: dict[str, Ratios]
    invariants: Invariants
    partial: bool
    partial_reason: str | None
    trust: Trust
    blocks: list[BlockSample]
    trace: dict[str, Any] | None = None
    margin: float = DEFAULT_MARGIN
    confidence: float = CONFIDENCE
    until_sure: UntilSure | None = None
    turns: TurnsSummary | None = None
    schema_version: str = SCHEMA_VERSION
