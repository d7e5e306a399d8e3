"""A made-up report of claims, one of them timed by object size."""

from __future__ import annotations

from stress.claims.claim import Figure, Outcome, PartOutcome, Verdict, figure
from stress.claims.report import Report
from stress.claims.speed import ratio_figure
from stress.judge.ratio import Ratio
from stress.result.data import Violation


def part(name: str, verdict: Verdict, figures: list[Figure]) -> PartOutcome:
    return PartOutcome(
        name=name,
        what="pairs and free-burst",
        verdict=verdict,
        reason="so it is",
        figures=figures,
        commands=["python -m stress run"],
        seconds=1.0,
    )


def report(text: str = "Nothing slows down", violated: tuple[Violation, ...] = (), pairs: int = 9) -> Report:
    """Two claims; `text` stands wherever words of others do."""
    timed = [
        ratio_figure(
            f"{size} B {what}, {design}",
            Ratio(estimate=0.97, low=0.95, high=0.99, pairs=pairs) if pairs > 4 else Ratio(estimate=0.97, pairs=pairs),
        )
        for size in (64, 1024)
        for what in ("pairs", "frees")
        for design in ("v1", "v3", "v3, again")
    ]
    outcomes = [
        Outcome(
            id=4,
            claim=text,
            verdict=Verdict.FAILS,
            reason=text,
            published=text,
            source=text,
            violated=list(violated),
            parts=[
                part("counted", Verdict.HOLDS, [figure(text, [1, 2], text)]),
                part("slub, timed", Verdict.FAILS, timed),
            ],
        ),
        Outcome(
            id=8,
            claim="P6 matters little.",
            verdict=Verdict.UNKNOWN,
            reason="x",
            published="–",
            source="mail",
            violated=[],
            parts=[
                part(
                    "slub",
                    Verdict.UNKNOWN,
                    [
                        ratio_figure("frees/s", Ratio()),
                        ratio_figure("allocations/s", Ratio(estimate=1.02, low=1.0, high=1.03, pairs=9)),
                    ],
                )
            ],
        ),
    ]
    return Report(
        created="2026-01-02T03:04:05+00:00",
        command="python -m stress claims 4 8",
        machine={"cpu": text, "real_cpus": 2},
        seed=7,
        seconds=3.0,
        took=12.5,
        quick=False,
        interrupted=False,
        claims=outcomes,
    )
