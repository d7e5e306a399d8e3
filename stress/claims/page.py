"""Tested claims as one HTML page that loads nothing, with forest plots of every part's timed ratios, by object size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from stress.claims.claim import Figure, Outcome, PartOutcome, Verdict
from stress.claims.report import Report, closing, heading
from stress.claims.speed import MARGIN
from stress.judge.ratio import CONFIDENCE
from stress.show import charts, units
from stress.show.html import document, el, grid

PAGE_NAME = "claims.html"
GRADE = {Verdict.HOLDS: "good", Verdict.FAILS: "poor", Verdict.UNKNOWN: "quiet"}
# "64 B pairs, v1" and "64 B, dead frees/s"
_NAME = re.compile(r"(?P<size>\d+ B)[ ,]+(?P<what>[^,]+)(?:, (?P<design>.+))?")


def render(report: Report) -> bytes:
    """The whole page."""
    said = [
        el("p", text, class_="verdict violated" if text.startswith("INVARIANT") else "quiet")
        for text in closing(report)
    ]
    table = [
        el("li", _verdict(c.verdict), " ", el("a", f"{c.id}. {c.claim}", href=f"#claim{c.id}")) for c in report.claims
    ]
    machine = [("seed", str(report.seed)), *((k.replace("_", " "), str(v)) for k, v in report.machine.items())]
    body = el(
        "body",
        el("header", el("h1", "What the series claimed, tested"), el("p", heading(report), class_="quiet"), *said),
        el(
            "main",
            el("ul", *table, class_="notes"),
            *map(_claim, report.claims),
            el(
                "section",
                el("h2", "Machine, seed, and how to repeat it"),
                el("pre", report.command),
                grid(("", "value"), machine, "words"),
            ),
        ),
        el(
            "footer",
            f"Tested {report.created} in {units.seconds(report.took)}. All of it as data: ",
            el("a", "claims.json", href="claims.json"),
            ".",
        ),
    )
    return document("Claims", body)


def _verdict(verdict: Verdict) -> Element:
    return el("strong", verdict.value, class_=f"grade {GRADE[verdict]}")


def _claim(claim: Outcome) -> Element:
    return el(
        "section",
        el("h2", f"{claim.id}. {claim.claim}", id=f"claim{claim.id}"),
        el("p", _verdict(claim.verdict), f" {claim.reason}."),
        el("p", f"Published: {claim.published} ({claim.source})", class_="quiet"),
        *(part for tested in claim.parts for part in _part(tested)),
    )


def _part(part: PartOutcome) -> Iterator[Element]:
    yield el("h3", f"{part.name}: {part.what}")
    yield el("p", _verdict(part.verdict), f" {part.reason}.")
    drawings = list(forests(part))
    if drawings:
        caption = (
            f"Throughput against the design before, with {CONFIDENCE:.0%} intervals. Grey: ±{MARGIN:.0%}, a change "
            "that nobody would notice. Of many intervals some miss the truth by chance."
        )
        yield el(
            "figure",
            el("div", *(el("div", el("h4", title), drawing) for title, drawing in drawings), class_="columns"),
            el("figcaption", caption),
            el("details", el("summary", "Numbers"), grid(("", "ratio", "low", "high"), list(_ratios(part)))),
            data_name=f"claim {part.name}",
        )
    yield el(
        "details", el("summary", "Figures"), grid(("", "measured"), [(f.name, f.text) for f in part.figures], "words")
    )
    if part.commands:
        yield el("details", el("summary", "Commands that repeat the runs"), el("pre", "\n".join(part.commands)))


def forests(part: PartOutcome) -> Iterator[tuple[str, Element]]:
    """A forest plot for each thing that was timed, a row per object size and design."""
    groups: dict[str, list[charts.Interval]] = {}
    designs: dict[str, int] = {}
    for figure in part.figures:
        if _is_ratio(figure):
            name = _NAME.fullmatch(figure.name)
            what, row = (
                (name["what"], ", ".join(filter(None, (name["size"], name["design"]))))
                if name
                else (part.what, figure.name)
            )
            # Measured again, a design is still the same.
            design = ((name and name["design"]) or "").removesuffix(", again")
            number = designs.setdefault(design, len(designs) + 1)
            value = figure.value
            text = f"{value['estimate']:.3f}" + (
                f" [{value['low']:.3f}, {value['high']:.3f}]" if value["low"] is not None else ""
            )
            groups.setdefault(what, []).append(
                charts.Interval(row, number, value["estimate"], value["low"], value["high"], text)
            )
    for what, intervals in groups.items():
        yield what, charts.forest(intervals, MARGIN, f"{part.name}: {what}, ratios of throughput")


def _ratios(part: PartOutcome) -> Iterator[tuple[str, ...]]:
    """What the forest plots draw, as rows of a table."""
    for figure in filter(_is_ratio, part.figures):
        bounds = (figure.value[key] for key in ("estimate", "low", "high"))
        yield figure.name, *(units.UNKNOWN if bound is None else f"{bound:.3f}" for bound in bounds)


def _is_ratio(figure: Figure) -> bool:
    return (
        isinstance(figure.value, dict) and {"low", "high"} <= figure.value.keys() and bool(figure.value.get("estimate"))
    )
