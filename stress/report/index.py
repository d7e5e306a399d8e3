"""A page of a results folder: all runs in a table, how designs went from run to run, and any two side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from xml.etree.ElementTree import Element

from stress.judge.ratio import Ratio
from stress.process.errors import UsageError
from stress.process.files import write_atomically
from stress.report import table
from stress.report.page import PAGE_NAME
from stress.result.data import Result
from stress.result.files import FILE_NAME, read_result
from stress.result.folder import Run
from stress.show import charts, units
from stress.show.figure import Figure, designs_legend, picture
from stress.show.html import document, el, grid

INDEX_NAME = "index.html"
COLUMNS = ("run", "ended", "scenario", "allocator", "CPUs", "designs", "live frees", "dead frees", "sources", "trust")
KINDS = (("live", "live frees"), ("dead", "dead frees"))


def write_index(runs: Sequence[Run], out: Path) -> Path:
    """Write the page into the folder, whole or not at all; its path. Raises OSError when it cannot be written."""
    path = out / INDEX_NAME
    write_atomically(path, render(runs, out))
    return path


def render(runs: Sequence[Run], out: Path) -> bytes:
    """The page. A run whose result cannot be read is named at the end, with the reason."""
    read: list[tuple[Run, Result]] = []
    damaged: list[tuple[str, str]] = []
    for run in runs:
        try:
            read.append((run, read_result(run.folder)))
        except UsageError as error:
            damaged.append((run.id, str(error)))
    body = el(
        "body",
        el(
            "header",
            el("h1", f"Runs in {out}"),
            el("p", f"{units.plural(len(read), 'run')}, the newest first.", class_="quiet"),
        ),
        el(
            "main",
            el(
                "section",
                el("h2", "Runs"),
                grid(COLUMNS, [_row(run, result) for run, result in reversed(read)], "words runs"),
                el(
                    "p", "Two side by side: choose them above, or ", el("code", "python -m stress compare RUN RUN"), "."
                ),
            ),
            el("section", el("h2", "From run to run"), el("div", *map(picture, _trends(read)), class_="pictures")),
            *([el("section", el("h2", "Not readable"), grid(("run", "why"), damaged, "words"))] if damaged else []),
        ),
    )
    body.set("data-runs", json.dumps({run.id: _figures(result) for run, result in read}))
    return document(f"Runs in {out}", body, _designs(read))


def _designs(read: Sequence[tuple[Run, Result]]) -> list[str]:
    """All designs, each with one colour on the whole page: first what others were compared with."""
    return list(
        dict.fromkeys([*(result.baseline for _, result in read), *(d for _, r in read for d in table.order(r))])
    )


def _row(run: Run, result: Result) -> tuple[Element | str, ...]:
    target = PAGE_NAME if (run.folder / PAGE_NAME).exists() else FILE_NAME
    return (
        el("a", run.id, href=f"{run.id}/{target}"),
        f"{run.created:%Y-%m-%d %H:%M}",
        result.scenario,
        result.allocator,
        str(result.cpus),
        _listed(table.order(result)),
        *(_ratios(result, kind) for kind, _ in KINDS),
        _sources(result),
        result.trust.grade + (", partial" if result.partial else ""),
    )


def _sources(result: Result) -> str:
    return str(result.machine.get("sources", ""))[:8]


def _listed(texts: Sequence[str]) -> Element | str:
    """Texts of which none is broken."""
    if not texts:
        return units.UNKNOWN
    parts = [part for text in texts for part in (" ", el("span", text))]
    return el("span", *parts[1:], class_="list")


def _ratios(result: Result, kind: str) -> Element | str:
    """Of every design compared, in the order of the designs."""
    found = [(name, value) for name in table.order(result) if (value := _ratio(result, name, kind)) is not None]
    return _listed([f"{name} {value.estimate:.3f}" for name, value in found])


def _ratio(result: Result, name: str, kind: str) -> Ratio | None:
    """A design's ratio to the first one; None where it was not measured."""
    value = getattr(result.ratios[name], kind) if name in result.ratios else None
    return value if value is not None and value.estimate is not None else None


def _figures(result: Result) -> list[list[str]]:
    """What stands side by side: name, text."""
    rows = [
        ["scenario", result.scenario],
        ["parameters", ", ".join(f"{name}={value}" for name, value in result.parameters.items())],
        ["allocator", result.allocator],
        ["CPUs, nodes", f"{result.cpus}, {result.nodes}"],
        ["before", result.baseline],
        ["seed", str(result.seed)],
        ["sources", _sources(result)],
        ["trust", result.trust.grade],
    ]
    for name in table.order(result):
        design = result.designs[name]
        left, offlined = design.dead_caches.left, design.dead_caches.offlined
        if left is not None:
            rows.append([f"{name}: dead caches left", f"{left:,} of {offlined:,}"])
        for kind, what in KINDS:
            rate = getattr(design.frees_per_second, kind)
            if rate is not None:
                rows.append([f"{name}: {what}/s", units.rate(rate)])
            if (ratio := _ratio(result, name, kind)) is not None:
                rows.append([f"{name}: {what} against before", units.ratio(ratio)])
    return rows


def _revisions(done: Sequence[tuple[int, Run, Result]]) -> Iterator[tuple[float, str]]:
    """Where the sources are others than before: between which runs, and what they are."""
    for (_, _, before), (number, _, result) in pairwise(done):
        if _sources(result) != _sources(before):
            yield number - 0.5, _sources(result)


def _trends(read: Sequence[tuple[Run, Result]]) -> Iterator[Figure]:
    """Ratios of each design from run to run, for each kind of work that was done more than once."""
    every = _designs(read)
    works: dict[tuple[str, str, int, str], list[tuple[int, Run, Result]]] = {}
    for number, (run, result) in enumerate(read, 1):
        works.setdefault((result.scenario, result.allocator, result.cpus, result.baseline), []).append(
            (number, run, result)
        )
    for (scenario, allocator, cpus, baseline), done in works.items():
        drawings, rows = [], []
        names = [name for name in every if any(name in result.ratios for _, _, result in done)]
        for kind, what in KINDS:
            scatters = []
            for name in names:
                points = []
                for number, run, result in done:
                    value = _ratio(result, name, kind)
                    if value is not None and value.estimate is not None:
                        text = units.ratio(value)
                        about = f"{name}, {run.id}, sources {_sources(result) or 'unknown'}: {text}"
                        points.append((float(number), value.estimate, about))
                        rows.append((run.id, f"{run.created:%Y-%m-%d %H:%M}", _sources(result), name, what, text))
                if len(points) > 1:
                    middle = median(ratio for _, ratio, _ in points)
                    about = f"{name}: median of {len(points)} runs {middle:.3f}"
                    scatters.append(charts.Scatter(every.index(name), points, middle, None, None, about))
            if scatters:
                margin = done[-1][2].margin
                label = f"{what} against {baseline}, run by run"
                title = f"run, from {done[0][1].created:%Y-%m-%d} to {done[-1][1].created:%Y-%m-%d}"
                drawn = charts.scatter(scatters, margin, title, label, list(_revisions(done)))
                drawings.append((f"{what} against {baseline}", drawn))
        if drawings:
            yield Figure(
                f"{scenario} on {allocator}, {units.plural(cpus, 'CPU')}",
                "A mark is the ratio of one run, at the right their median. Grey: what counts as equivalent. Upright "
                "lines: from there on other sources.",
                drawings,
                [entry for entry in designs_legend(every) if entry[1] in names],
                ("run", "ended", "sources", "design", "", "ratio"),
                rows,
            )
