"""What the benchmark found, as data; `--format json` prints it as it is."""

from __future__ import annotations

from typing import Any

import msgspec

from stress.bench.goal import Goal, one_goal
from stress.bench.peers.result import Peers
from stress.bench.scaling import Scaling
from stress.bench.speed import Speed
from stress.bench.watch import Disturbance
from stress.judge.ratio import CONFIDENCE, Ratio
from stress.measure.trust import WIDE_INTERVAL
from stress.result.data import Finding, Trust

SCHEMA_VERSION = "1"
ONE_CPU = "there are not two CPUs to pin to"


class Bench(msgspec.Struct, kw_only=True, frozen=True):
    """Everything of one benchmark.

    no_reference: why there are no figures of the reference in C; None when there are.
    differing_words: of memory, after the reference played the same tape as ours; 0 is as it should be.
    """

    schema_version: str = SCHEMA_VERSION
    machine: dict[str, Any]
    design: str
    no_reference: str | None
    differing_words: int | None
    goals: list[Goal]
    speed: list[Speed]
    scaling: Scaling | None
    peers: Peers | None
    disturbances: list[Disturbance]
    trust: Trust


def goals(speed: list[Speed], no_reference: str | None, scaling: Scaling | None, help_seconds: float) -> list[Goal]:
    """The promises and what was measured of them. The first tape is the one that is promised something."""
    first = speed[0]
    two = Ratio() if scaling is None else scaling.throughput
    return [
        one_goal(f"ours / C: {first.tape}", "ratio", "at most", 1.3, first.ratios.get("C", Ratio()), no_reference),
        one_goal(
            "the engine without an allocator, per operation",
            "seconds",
            "at most",
            3e-9,
            first.nanoseconds["nothing"] * 1e-9,
        ),
        one_goal("two CPUs on disjoint cgroups / one", "ratio", "at least", 1.8, two, ONE_CPU),
        one_goal(
            "workers ready", "seconds", "at most", 0.05, None if scaling is None else scaling.ready_seconds, ONE_CPU
        ),
        one_goal("`python -m stress --help`", "seconds", "at most", 0.15, help_seconds),
    ]


def judge(speed: list[Speed], scaling: Scaling | None, disturbances: list[Disturbance]) -> Trust:
    """How far the figures can be trusted, the worst first."""
    levels = {"poor": "serious", "fair": "warning"}
    findings = [
        Finding(level=levels[d.grade], text=f"{d.part} was disturbed: {'; '.join(d.reasons)}.")
        for d in disturbances
        if d.grade != "good"
    ]
    ratios = {f"ours / {other}, {s.tape}": ratio for s in speed for other, ratio in s.ratios.items()}
    if scaling is not None:
        ratios["two CPUs / one"] = scaling.throughput
    for name, ratio in ratios.items():
        if ratio.low and ratio.high and ratio.high / ratio.low - 1 > WIDE_INTERVAL:
            span = f"{ratio.high / ratio.low - 1:.0%} at {CONFIDENCE:.0%} confidence"
            findings.append(
                Finding(
                    level="warning", text=f"The interval of {name} spans {span}; repeat when the machine is quieter."
                )
            )
    findings.sort(key=lambda finding: ("serious", "warning").index(finding.level))
    worst = findings[0].level if findings else "note"
    return Trust(grade={"note": "good", "warning": "fair", "serious": "poor"}[worst], findings=findings)
