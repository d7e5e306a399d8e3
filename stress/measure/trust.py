"""How far the figures of a run can be trusted, launch by launch and as a whole, in plain sentences.

No launch is dropped for being bad: a disturbed one counts like the others and is said to be disturbed. In it sections
that were interrupted are in no rate (`stress.measure.turns`), so time that workers spent waiting for a CPU does no harm
where that is seen. What does: that many sections are left out, for what is timed is then a choice of the work, and
what a hypervisor takes, which nobody sees in a section. Where interruptions are not seen, and for what is timed in one
piece as in `bench`, waits and switches are graded.

Levels of a finding: `note` (good to know), `warning` (read the figures with care), `serious` (do not
conclude from them).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from stress.judge.looks import Plan
from stress.judge.ratio import CONFIDENCE, Ratio, least_pairs, spread
from stress.measure.records import Block, RunRecord
from stress.process.host import STALL_NS
from stress.result.data import BlockSample, Finding, Ratios, Trust, TurnsSummary
from stress.result.grading import GRADES, Grade, finding, trust_of
from stress.show import units

# Share of a launch's sections that were interrupted under some design, and count for none.
LEFT_OUT_FAIR, LEFT_OUT_POOR = 0.25, 0.60
# Where a section's interruptions are not seen: share of the workers' time in which they could have run but had no CPU,
# beyond what the kworker ran.
WAITED_FAIR, WAITED_POOR = 0.03, 0.10
# Involuntary switches per second and CPU, where the kernel does not tell the time waited. An otherwise idle
# machine shows a few (timers, kworkers); at 100 something else wants the CPU in every hundredth of a second.
SWITCHES_FAIR, SWITCHES_POOR = 20.0, 100.0
# Share of the CPUs' time that the hypervisor gave to others. One tick is the resolution of the counter.
STEAL_FAIR, STEAL_POOR = 0.01, 0.05
# As above: long stalls per second and CPU, at most (see `host.Counters.kept_waiting`). One block has them, another
# may not; a competitor's usual time slice is a few milliseconds.
STALLS_FAIR, STALLS_POOR = 5.0, 50.0
# Width of a ratio's interval, high / low − 1, from which a difference of a few percent cannot be seen.
WIDE_INTERVAL = 0.10
# (largest − smallest) / median of the baseline's rate in each launch.
UNSTEADY = 0.30


def grade_block(block: Block, cpus: int, left_out: float | None = None) -> tuple[Grade, list[str]]:
    """(its grade, the reasons for anything but good) of one timed block on `cpus` CPUs.

    left_out: share of its sections that count for no design as one was interrupted; None where that is not seen.
    """
    seconds = block.wall_ns / 1e9
    if seconds <= 0 or cpus <= 0:
        return "poor", ["it took no measurable time"]
    reasons: list[str] = []
    worst = 0  # an index of GRADES

    def look(value: float, fair: float, poor: float, reason: str) -> None:
        nonlocal worst
        if value > fair:
            worst = max(worst, 2 if value > poor else 1)
            reasons.append(reason)

    switches = block.involuntary_switches / (seconds * cpus)
    if left_out is not None:
        text = f"in {left_out:.0%} of its sections a worker was interrupted, which are left out under all designs"
        look(left_out, LEFT_OUT_FAIR, LEFT_OUT_POOR, text)
    elif block.waited_ns is not None:
        waited = block.waited_ns / 1e9 / (seconds * cpus)
        text = f"the workers waited {waited:.1%} of their time for a CPU that others had"
        look(waited, WAITED_FAIR, WAITED_POOR, text)
    else:
        text = f"{switches:.0f} involuntary context switches per second and CPU"
        look(switches, SWITCHES_FAIR, SWITCHES_POOR, text)
    # One stall, or one tick of the steal counter, may be an accident of where the block began.
    if left_out is None and block.long_stalls is not None and block.long_stalls > 1:
        stalls = block.long_stalls / (seconds * cpus)
        often = f"{STALL_NS / 1e6:g} ms or longer up to {stalls:.0f} times per second and CPU"
        look(stalls, STALLS_FAIR, STALLS_POOR, f"the workers were taken off their CPU for {often}")
    if block.steal_ticks > 1:
        stolen = block.steal_ticks / os.sysconf("SC_CLK_TCK") / (seconds * cpus)
        look(stolen, STEAL_FAIR, STEAL_POOR, f"the hypervisor took {stolen:.1%} of the CPU time")
    return GRADES[worst], reasons


def grade_run(
    record: RunRecord,
    blocks: Sequence[BlockSample],
    ratios: dict[str, Ratios],
    summary: TurnsSummary | None = None,
) -> Trust:
    """Every finding about a run, the worst first, and the grade that follows from them.

    summary: of its launches.
    """
    findings = [
        *_completeness(record),
        *_disturbances(record, [b for b in blocks if not b.warmup]),
        *(_launches(summary, ratios, len(record.switches), record.watched) if summary else ()),
        *_precision(record, blocks, ratios),
    ]
    return trust_of(findings)


def _serious(text: str) -> Finding:
    return finding("serious", text)


def _warning(text: str) -> Finding:
    return finding("warning", text)


def _note(text: str) -> Finding:
    return finding("note", text)


def _completeness(record: RunRecord) -> list[Finding]:
    found = []
    if record.damage:
        found.append(_serious(f"The run was damaged: {record.damage.rstrip('.')}."))
    if record.interrupted:
        found.append(_serious("The run was interrupted; figures rest on what was done until then."))
    counted = {census.design for census in record.censuses}
    missing = [design for design in record.switches if design not in counted]
    found += [_serious(f"{design} has no counted pass: its counts are unknown.") for design in missing]
    return found


def _disturbances(record: RunRecord, measured: list[BlockSample]) -> list[Finding]:
    found = []
    if record.oversubscribed:
        found.append(
            _serious(
                f"{record.cpus} model CPUs share fewer real ones (oversubscribed): "
                "times show the scheduler as much as the allocator."
            )
        )
    launches = len({block.pair for block in measured})
    poor = {block.pair: block for block in measured if block.grade == "poor"}
    fair = {block.pair: block for block in measured if block.grade == "fair" and block.pair not in poor}
    if poor:
        # A few disturbed launches among many move the typical ratio little.
        few = 4 * len(poor) < launches
        found.append((_warning if few else _serious)(_disturbed(poor, launches, "badly")))
    if fair:
        found.append(_warning(_disturbed(fair, launches, "slightly")))
    failed = sum(block.failed_allocations for block in measured)
    if failed:
        found.append(
            _warning(
                f"{failed:,} allocations failed for want of memory in launches: "
                "not all designs may have done the same work; give more --memory."
            )
        )
    counted = {c.design: f"{c.failed_allocations:,} ({c.design})" for c in record.censuses if c.failed_allocations}
    if counted:
        found.append(
            _warning(
                f"Allocations that failed for want of memory in the counted passes: {', '.join(counted.values())}; "
                "their frees were left out, so counts of different designs come from different work; give more "
                "--memory."
            )
        )
    return found


def _disturbed(some: dict[int, BlockSample], launches: int, how: str) -> str:
    """some: by launch, a block of it that shows the disturbance."""
    example = "; ".join(next(iter(some.values())).reasons)
    return (
        f"{len(some)} of {launches} launches {'was' if len(some) == 1 else 'were'} {how} disturbed "
        f"(such as: {example}); they are counted all the same."
    )


def _launches(summary: TurnsSummary, ratios: dict[str, Ratios], designs: int, watched: bool) -> list[Finding]:
    """What the interval of a ratio is made of."""
    turns = round(summary.turns / max(1, summary.launches * designs))
    length = f"{1e3 * summary.median_seconds:.2g} ms"
    said = [f"{units.plural(summary.launches, 'launch', 'launches')} of {turns:,} turns of {length} under each design"]
    shown = [of.free_throughput if of.free_throughput.pairs else of.mixed for of in ratios.values()]
    known = [(one.between, one.within) for one in shown if one.within is not None and one.between is not None]
    if known:
        luck, noise = max(between for between, _ in known), max(within for _, within in known)
        up_to = "up to " if len(known) > 1 else ""
        said.append(
            "a launch's luck (where code and memory lie, its tapes) moves its ratio by "
            f"{up_to}{_percent(luck)}, its own noise by {up_to}{_percent(noise)}"
        )
    elif shown:
        said.append("too few storms in a launch to tell its luck from its own noise")
    share = min(1.0, summary.sections_left_out / summary.sections) if summary.sections else 0.0
    said.append(
        f"in {_percent(summary.disturbed)} of turns a section was interrupted, "
        f"{_percent(share)} of sections are left out"
    )
    found = [_note("; ".join(said) + ".")]
    if not watched:
        found.append(
            _warning(
                "This system does not tell when a section is interrupted (restartable sequences, glibc 2.35 or newer): "
                "only interruptions that are long beside the section are seen and left out, others are in the rates."
            )
        )
    return found


def _percent(fraction: float) -> str:
    """Two digits: 0.83 %, 1.2 %, 69 %."""
    return f"{round(100 * fraction, 2):.2g} %" if fraction < 0.995 else "100 %"


def _precision(record: RunRecord, blocks: Sequence[BlockSample], ratios: dict[str, Ratios]) -> list[Finding]:
    found = []
    if record.serial:
        found.append(
            _note(
                "One process stepped all CPUs in turn (serial): counts are exact and repeatable, "
                "contention and speed are not shown."
            )
        )
        if not blocks:
            return found
    if record.looks is not None:
        found.append(_note(_looked(record.looks)))
    warmups = sum(block.warmup for block in blocks)
    if warmups:
        found.append(_note(f"{warmups} warm-up passes are listed in the result and not used in any figure."))
    for name, of in ratios.items():
        shown = of.free_throughput if of.free_throughput.pairs else of.mixed
        text = _vague(name, record.baseline, shown)
        if text:
            found.append(_warning(f"{text}: measure longer (--seconds)."))
    measured = [block for block in blocks if block.design == record.baseline and not block.warmup]
    variation = spread([rate for rate in (block.frees_per_second.all for block in measured) if rate])
    if variation is not None and variation > UNSTEADY:
        found.append(
            _note(
                f"{record.baseline}'s own rates differ by {variation:.0%} of their median from launch to launch: the "
                "machine was unsteady; ratios bear it better than the rates do."
            )
        )
    return found


def _looked(looks: Plan) -> str:
    at = ", ".join(map(str, looks.looked_at)) or "none"
    end = "ended when all designs were settled" if looks.sure else "was not sure of all designs when its time was spent"
    taken = f"{len(looks.looked_at)} of {len(looks.shares)} planned looks were taken (launches: {at})"
    return (
        f"--until-sure {end}: {taken}, and so "
        f"that looking more than once does not make false alarms likelier all intervals are of {looks.confidence:.1%}."
    )


def _vague(name: str, baseline: str, ratio: Ratio) -> str:
    """Why a ratio says little, or "" if it is precise enough."""
    confidence = ratio.verdict.confidence if ratio.verdict else CONFIDENCE
    if ratio.pairs < least_pairs(confidence):
        return (
            f"{name} and {baseline} have {units.plural(ratio.pairs, 'launch', 'launches')} in common; "
            f"below {least_pairs(confidence)} no interval is given"
        )
    if ratio.low is not None and ratio.high is not None and ratio.high / ratio.low - 1 > WIDE_INTERVAL:
        span = f"{ratio.high / ratio.low - 1:.0%} at {confidence:.0%} confidence"
        return f"The interval of {name}'s ratio spans {span}: small differences cannot be seen"
    return ""
