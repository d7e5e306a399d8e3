"""False alarms and power of the comparisons, with Clopper-Pearson intervals, and whether the goals are met."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from scenarios.tape import SECTIONS
from stress.calibrate.samples import SHARES, Comparison, Samples, Setting
from stress.judge.ratio import CONFIDENCE, Ratio, estimate_ratio
from stress.judge.verdict import judge
from stress.measure.trust import STEAL_FAIR, WAITED_FAIR
from stress.result.data import Trust
from stress.result.grading import finding, trust_of

SCHEMA_VERSION = "2"
NO_ALARM = 0.95  # goal: share of comparisons of like with like that are called equivalent or cannot tell
POWER, FOUND = 0.80, 0.02  # goal: this share of comparisons slowed by so much is called slower
JOINED = (2, 4)  # comparisons of a kind, one after another, that are also judged as one: what longer ones would find
DIRECTIONS = 100  # runs in which none may be called faster that is slower


class Share(msgspec.Struct, kw_only=True, frozen=True):
    """count of runs; low and high bound the share in all runs there could be, at 95 % (Clopper-Pearson)."""

    count: int
    runs: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.runs


class Row(msgspec.Struct, kw_only=True, frozen=True):
    """All comparisons of one kind of section, slowed down alike.

    kind: live, dead or mixed. slowdown: asked for; None: one program against itself. measured: the ratio over all
    launches of all of them. spun: share of the time that was spent spinning, by the clock (median). faster to
    cannot_tell: calls.
    found: of like and like false alarms, called faster or slower; of what was slowed down, called slower.
    found_after: the same when comparisons last `times` as long; None where there are too few to join.
    half_width: of the interval, as a fraction (median). pairs: launches of one comparison (median).
    """

    kind: str
    slowdown: float | None
    measured: Ratio
    spun: float
    pairs: int
    half_width: float | None
    faster: Share
    equivalent: Share
    slower: Share
    cannot_tell: Share
    found: Share
    found_after: list[Share | None]


class Goal(msgspec.Struct, kw_only=True, frozen=True):
    """One promise and what became of it; met is None when there are not the runs to say."""

    name: str
    measured: str
    met: bool | None


class Calibration(msgspec.Struct, kw_only=True, frozen=True):
    """Everything of a calibration. times: see `Row.found_after`. seconds: of all comparisons together."""

    schema_version: str = SCHEMA_VERSION
    setting: Setting
    margin: float
    confidence: float = CONFIDENCE
    times: tuple[float, ...] = (*SHARES, *JOINED)
    commands: list[str]
    seconds: float
    rows: list[Row]
    goals: list[Goal]
    trust: Trust


def calibration(samples: Samples, margin: float) -> Calibration:
    """The table of all comparisons of the samples, judged by this margin."""
    groups: dict[tuple[int, float], list[Comparison]] = {}
    for comparison in samples.comparisons:
        slowdown = -1.0 if comparison.slowdown is None else comparison.slowdown
        groups.setdefault((SECTIONS.index(comparison.kind), slowdown), []).append(comparison)
    rows = [_row(groups[key], margin) for key in sorted(groups)]
    return Calibration(
        setting=samples.setting,
        margin=margin,
        commands=samples.commands,
        seconds=round(sum(c.seconds for c in samples.comparisons), 1),
        rows=rows,
        goals=_goals(rows),
        trust=_trust(samples.comparisons),
    )


def share_of(count: int, runs: int) -> Share:
    """count of runs with its Clopper-Pearson interval."""
    from scipy.stats import binomtest

    interval = binomtest(count, runs).proportion_ci(CONFIDENCE, method="exact")
    return Share(count=count, runs=runs, low=float(interval.low), high=float(interval.high))


def _row(comparisons: Sequence[Comparison], margin: float) -> Row:
    runs, slowdown = len(comparisons), comparisons[0].slowdown
    calls = [[_call(ratio, margin) for ratio in comparison.judged] for comparison in comparisons]
    last = [of[-1] for of in calls]

    def found(said: Sequence[str]) -> Share:
        return share_of(said.count("slower") + (0 if slowdown else said.count("faster")), len(said))

    halves = [(r.high / r.low - 1) / 2 for c in comparisons if (r := c.judged[-1]).low and r.high]
    return Row(
        kind=comparisons[0].kind,
        slowdown=slowdown,
        measured=estimate_ratio([ratio for comparison in comparisons for ratio in comparison.ratios]),
        spun=median(c.spun for c in comparisons),
        pairs=round(median(len(c.ratios) for c in comparisons)),
        half_width=median(halves) if halves else None,
        **{
            name.replace(" ", "_"): share_of(last.count(name), runs)
            for name in ("faster", "equivalent", "slower", "cannot tell")
        },
        found=found(last),
        found_after=[
            *(found([of[i] for of in calls]) for i in range(len(SHARES))),
            *(found(said) if (said := _joined(comparisons, n, margin)) else None for n in JOINED),
        ],
    )


def _joined(comparisons: Sequence[Comparison], number: int, margin: float) -> list[str]:
    """Calls of so many comparisons at a time, their pairs taken together; what is left over is left out."""
    groups = (comparisons[at : at + number] for at in range(0, len(comparisons) - number + 1, number))
    return [
        _call(estimate_ratio([ratio for comparison in group for ratio in comparison.ratios]), margin)
        for group in groups
    ]


def _call(ratio: Ratio, margin: float) -> str:
    verdict = judge(ratio, margin)
    return "cannot tell" if verdict is None else verdict.call


def _goals(rows: Sequence[Row]) -> list[Goal]:
    like = [row for row in rows if not row.slowdown]
    goals = []
    for row in like:
        quiet = share_of(row.found.runs - row.found.count, row.found.runs)
        what = "one program against itself" if row.slowdown is None else "two programs of the same code"
        what += f", {row.kind}"
        goals.append(
            Goal(
                name=f"{what}: equivalent or cannot tell, at least {NO_ALARM:.0%}",
                measured=in_words(quiet),
                met=quiet.value >= NO_ALARM,
            )
        )
    slowed = [row for row in rows if row.slowdown]
    runs, wrong = sum(row.faster.runs for row in slowed), sum(row.faster.count for row in slowed)
    if runs:
        met = False if wrong else True if runs >= DIRECTIONS else None
        goals.append(
            Goal(
                name=f"slowed down, never called faster in {DIRECTIONS} runs",
                measured=in_words(share_of(wrong, runs)),
                met=met,
            )
        )
    for row in slowed:
        if row.slowdown == FOUND:
            goals.append(
                Goal(
                    name=f"{row.kind}: {FOUND:.0%} slower is called slower, at least {POWER:.0%}",
                    measured=in_words(row.slower),
                    met=row.slower.value >= POWER,
                )
            )
    return goals


def in_words(share: Share) -> str:
    """97 of 100, 97 % [91 %, 99 %]."""
    return f"{share.count} of {share.runs}, {share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _trust(comparisons: Sequence[Comparison]) -> Trust:
    """What disturbed the comparisons. All of them are counted."""
    findings = []
    for what, limit, values in (
        ("the workers waited for a CPU", WAITED_FAIR, [c.waited for c in comparisons if c.waited is not None]),
        ("the hypervisor took a CPU", STEAL_FAIR, [c.steal for c in comparisons]),
    ):
        many = [value for value in values if value > limit]
        if many:
            often = f"{len(many)} of {len(values)} comparisons"
            half, most = f"half of these for more than {median(many):.1%}", f"one for {max(many):.1%}"
            long = f"{what} for more than {limit:.0%} of the time"
            text = f"In {often} {long}, {half}, {most}; they are counted all the same."
            findings.append(finding("warning", text))
    return trust_of(findings)
