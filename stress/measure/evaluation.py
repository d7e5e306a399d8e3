"""From what a run recorded to what it means: `RunRecord` → `Result`.

Times come from the timed passes (blocks), counts from the counted passes (censuses).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import median

from allocators.catalogue import facts, statistics_of
from stress.engine import PATHS
from stress.judge.ratio import CONFIDENCE, Ratio, concurrent_rate, estimate_ratio, pair_ratios, quantiles
from stress.judge.verdict import DEFAULT_MARGIN, judged
from stress.measure import launches, trust
from stress.measure.latency import summarise
from stress.measure.records import FREES, Block, Census, Pinned, RunRecord, SectionSum
from stress.result.data import (
    BlockSample,
    DeadCaches,
    Design,
    FreesPerSecond,
    Invariants,
    Lifetime,
    OperationsPerSecond,
    OverTime,
    PerFree,
    Ratios,
    Result,
    UntilSure,
    Violation,
)


def measure(record: RunRecord) -> Result:
    """Figures, ratios and their trustworthiness from the records of a run."""
    blocks = [sample(block, record.cpus, launches.share_left_out(record, block)) for block in record.blocks]
    summary = launches.summary(record)
    measured = [block for block in blocks if not block.warmup]
    confidence = CONFIDENCE if record.looks is None else record.looks.confidence
    pairs = len({block.pair for block in measured})
    pair_seconds = record.timed_seconds / pairs if pairs and record.timed_seconds else None
    ratios = {
        name: compare(
            measured,
            record.baseline,
            name,
            seed=record.seed,
            margin=record.margin,
            confidence=confidence,
            pair_seconds=pair_seconds,
            within=partial(launches.spread_within, record, name),
        )
        for name in record.switches
        if name != record.baseline
    }
    return Result(
        scenario=record.scenario,
        parameters=dict(record.parameters),
        allocator=record.allocator,
        seed=record.seed,
        cpus=record.cpus,
        nodes=record.nodes,
        serial=record.serial,
        oversubscribed=record.oversubscribed,
        seconds=round(record.seconds, 3),
        command=record.command,
        machine=dict(record.machine),
        baseline=record.baseline,
        designs={
            name: describe(
                switches,
                [block for block in measured if block.design == name],
                [census for census in record.censuses if census.design == name],
                record.allocator,
                record.settings.get(name),
            )
            for name, switches in record.switches.items()
        },
        ratios=ratios,
        invariants=judge(record),
        partial=bool(record.damage) or record.interrupted,
        partial_reason=record.damage or ("interrupted" if record.interrupted else None),
        trust=trust.grade_run(record, blocks, ratios, summary),
        blocks=blocks,
        trace=record.trace,
        margin=record.margin,
        confidence=confidence,
        turns=summary,
        until_sure=None
        if record.looks is None
        else UntilSure(sure=record.looks.sure, shares=record.looks.shares, looked_at=record.looks.looked_at),
    )


def sample(block: Block, cpus: int, left_out: float | None = None) -> BlockSample:
    """One block with its rates in operations per second and its grade; left_out: see `trust.grade_block`."""
    grade, reasons = trust.grade_block(block, cpus, left_out)
    return BlockSample(
        design=block.design,
        pair=block.pair,
        warmup=block.warmup,
        wall_seconds=block.wall_ns / 1e9,
        frees_per_second=FreesPerSecond(
            live=rate(block, ["live"]),
            dead=rate(block, ["dead"]),
            all=rate(block, FREES),
        ),
        operations_per_second=OperationsPerSecond(alloc=rate(block, ["alloc"]), mixed=rate(block, ["mixed"])),
        involuntary_switches=block.involuntary_switches,
        steal_ticks=block.steal_ticks,
        waited_seconds=None if block.waited_ns is None else block.waited_ns / 1e9,
        long_stalls=block.long_stalls,
        storms=block.storms,
        turns=block.turns,
        disturbed_turns=block.disturbed,
        failed_allocations=block.failed_allocations,
        grade=grade,
        reasons=reasons,
    )


def rate(block: Block, kinds: Iterable[str]) -> float | None:
    """Operations per second of all CPUs together in sections of these kinds (see `concurrent_rate`)."""
    by_kind = [block.sections[kind] for kind in kinds if kind in block.sections]
    if not by_kind:
        return None
    cpus = [_joined(sums) for sums in zip(*by_kind, strict=True)]
    return concurrent_rate([cpu.operations for cpu in cpus], [cpu.nanoseconds for cpu in cpus])


def _joined(sums: Sequence[SectionSum]) -> SectionSum:
    return SectionSum(
        sum(s.operations for s in sums), math.fsum(s.nanoseconds for s in sums), sum(s.sections for s in sums)
    )


def compare(
    blocks: Sequence[BlockSample],
    before: str,
    after: str,
    *,
    seed: int,
    margin: float = DEFAULT_MARGIN,
    confidence: float = CONFIDENCE,
    pair_seconds: float | None = None,
    within: Callable[[str], float | None] = lambda kind: None,
) -> Ratios:
    """Ratios after / before over the pairs in which both were measured, with their verdicts.

    within: by kind, the standard deviation of one pair's logarithmic ratio from the inside of its launch.
    """

    def ratio(kind: str) -> Ratio:
        ratios = pair_ratios(_by_pair(blocks, before, kind), _by_pair(blocks, after, kind))
        found = estimate_ratio(ratios, seed=seed, confidence=confidence)
        return judged(
            launches.parted(found, ratios, within(kind)), margin, pair_seconds=pair_seconds, confidence=confidence
        )

    return Ratios(
        free_throughput=ratio("all"), live=ratio("live"), dead=ratio("dead"), alloc=ratio("alloc"), mixed=ratio("mixed")
    )


def headline(blocks: Sequence[BlockSample], before: str, after: str, *, seed: int, confidence: float) -> Ratio:
    """The one ratio that a run is about: of all frees, or of mixed operations where no frees were timed apart."""
    for kind in ("all", "mixed"):
        ratios = pair_ratios(_by_pair(blocks, before, kind), _by_pair(blocks, after, kind))
        if ratios:
            return estimate_ratio(ratios, seed=seed, confidence=confidence)
    return Ratio()


def _by_pair(blocks: Iterable[BlockSample], design: str, kind: str) -> dict[int, float]:
    """Pair → rate of a design; several blocks of one pair are joined by their geometric mean."""
    logs: dict[int, list[float]] = {}
    for block in blocks:
        value = _rate_of(block, kind)
        if block.design == design and value:
            logs.setdefault(block.pair, []).append(math.log(value))
    return {pair: math.exp(math.fsum(values) / len(values)) for pair, values in logs.items()}


def _rate_of(block: BlockSample, kind: str) -> float | None:
    where = block.operations_per_second if kind in ("alloc", "mixed") else block.frees_per_second
    return getattr(where, kind)


def describe(
    switches: Sequence[str],
    blocks: Sequence[BlockSample],
    censuses: Sequence[Census],
    allocator: str,
    settings: Mapping[str, int] | None = None,
) -> Design:
    """One design's figures: medians of its blocks, sums of its counted passes."""

    def typical(kind: str) -> float | None:
        rates = [value for value in (_rate_of(block, kind) for block in blocks) if value is not None]
        return median(rates) if rates else None

    def total(name: str) -> int | None:
        return sum(getattr(census, name) for census in censuses) if censuses else None

    operations = add_counts(census.operations for census in censuses)
    frees = total("frees")
    lifetimes = quantiles([ns for census in censuses for ns in census.lifetimes_ns], (0.5, 0.99, 1.0))
    stats: dict[str, int | None] = dict.fromkeys(statistics_of(allocator, switches))
    counted = add_counts(census.stats for census in censuses)
    stats.update((name, count) for name, count in counted.items() if name in stats)
    return Design(
        switches=list(switches),
        settings=dict(settings or {}),
        frees_per_second=FreesPerSecond(live=typical("live"), dead=typical("dead"), all=typical("all")),
        operations_per_second=OperationsPerSecond(alloc=typical("alloc"), mixed=typical("mixed")),
        dead_caches=DeadCaches(offlined=total("offlined"), destroyed=total("destroyed"), left=total("left")),
        lifetime_seconds=Lifetime(
            **dict(zip(("p50", "p99", "max"), (ns if ns is None else ns / 1e9 for ns in lifetimes)))
        ),
        empty_slabs=add_counts(census.empty_slabs for census in censuses),
        slabs_left=total("slabs_left"),
        pages_left=total("pages_left"),
        cgroups_pinned=total("cgroups_pinned"),
        frees=frees,
        dead_frees=total("dead_frees"),
        allocations=total("allocations"),
        failed_allocations=total("failed_allocations"),
        stats=stats,
        per_free=per_free(censuses, ("live", "dead")) or _per_any_free(operations, frees, allocator),
        per_live_free=per_free(censuses, ("live",)),
        per_dead_free=per_free(censuses, ("dead",)),
        operations=operations,
        counted_passes=len(censuses),
        measured_blocks=len(blocks),
        latency_ns={
            path: summarise([c.latencies[path] for c in censuses if path in c.latencies]) for path in _paths(censuses)
        },
        clock_ns=next((round(census.clock_ns, 2) for census in censuses if census.clock_ns is not None), None),
        over_time=over_time(censuses[0].pinned) if censuses and censuses[0].pinned else None,
    )


def _paths(censuses: Sequence[Census]) -> list[str]:
    """Paths that some operation of some pass took, in the order of the engine."""
    return [path for path in PATHS if any(path in census.latencies for census in censuses)]


def over_time(samples: Sequence[Pinned]) -> OverTime:
    """Samples of one counted pass as columns."""
    return OverTime(
        seconds=[sample.at_ns / 1e9 for sample in samples],
        dead_caches=[sample.dead_caches for sample in samples],
        pages_pinned=[sample.pages for sample in samples],
        cgroups_pinned=[sample.cgroups for sample in samples],
    )


def per_free(censuses: Sequence[Census], kinds: Sequence[str]) -> PerFree | None:
    """Operations per free inside the sections that hold nothing but frees; None without such sections."""
    sums = add_counts(
        census.free_sections[kind] for census in censuses for kind in kinds if kind in census.free_sections
    )
    frees = sums.get("frees")
    return PerFree(**{name: per(sums.get(name), frees) for name in PerFree.__struct_fields__}) if frees else None


def _per_any_free(operations: dict[str, int], frees: int | None, allocator: str) -> PerFree:
    """All operations by all frees, for scenarios without sections of nothing but frees."""
    counts = {name: operations.get(name) for name in PerFree.__struct_fields__}
    lock = facts(allocator).lock
    counts |= {"list_lock": operations.get(lock), "list_lock_contended": operations.get(f"{lock}_contended")}
    return PerFree(**{name: per(count, frees) for name, count in counts.items()})


def add_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Sum of dictionaries of counts, names in order of first appearance."""
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + int(count)
    return total


def per(count: int | None, events: int | None) -> float | None:
    """count / events; None when either is unknown or there were no events."""
    return count / events if count is not None and events else None


def judge(record: RunRecord) -> Invariants:
    """All invariants that were checked anywhere, and every violation with its design."""
    checked = dict.fromkeys(name for census in record.censuses for name in census.checked)
    found = [(census.design, *violation) for census in record.censuses for violation in census.violated]
    found += record.violated
    checked |= dict.fromkeys(name for _, name, _ in found)
    violated = [Violation(invariant=name, design=design, description=text) for design, name, text in found]
    return Invariants(checked=list(checked), violated=violated)
