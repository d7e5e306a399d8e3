"""The comparison as one HTML page that loads nothing: times, ratios and memory by object size, a line per program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

from stress.bench.peers.result import Cell, Peers
from stress.bench.peers.tables import Table, tables, title_of
from stress.bench.peers.tapes import ABOUT
from stress.bench.report import goal_rows
from stress.bench.result import Bench
from stress.process.errors import UsageError
from stress.process.files import write_atomically
from stress.show.figure import Figure, designs_legend, picture
from stress.show.html import add, document, el, grid
from stress.show.line_chart import LineChart
from stress.show.shapes import colour, line


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """The figures of one program by object size. number: of its colour and mark."""

    name: str
    number: int
    values: Mapping[int, float]


def write_page(found: Bench, path: Path) -> None:
    """Write the page, whole or not at all. Raises UsageError when it cannot be written."""
    try:
        write_atomically(path, render(found))
    except OSError as error:
        raise UsageError(f"--page {path}: {error.strerror}") from None


def render(found: Bench) -> bytes:
    """The whole page of a benchmark that has the comparison."""
    peers = found.peers
    if peers is None:
        raise ValueError("a benchmark without the comparison has no page")
    shown = tables(peers)
    drawn = [p.name for p in peers.players if p.missing is None and p.name not in ("nothing", "slub in C")]
    groups: dict[str, list[Cell]] = {}
    for cell in peers.cells:
        groups.setdefault(title_of(cell), []).append(cell)
    figures = [_speed(title, cells, drawn, table) for (title, cells), table in zip(groups.items(), shown)]
    if peers.memory:
        figures.append(_memory(peers, drawn, shown[len(groups)]))
    machine = ", ".join(str(found.machine[key]) for key in ("cpu", "kernel", "python") if found.machine.get(key))
    body = el(
        "body",
        el("header", el("h1", "Our allocators beside others"), el("p", machine, class_="quiet")),
        el(
            "main",
            el("section", el("h2", "What was promised"), _goals(found)),
            el("section", el("h2", "Pictures"), el("div", *figures, class_="pictures")),
            el("section", el("h2", "Who played"), grid(shown[-1].header, shown[-1].rows, "words")),
            _trust(found),
        ),
    )
    return document("Our allocators beside others", body, drawn)


def _goals(found: Bench) -> Element:
    grades = {"met": "good", "MISSED": "poor"}
    rows = goal_rows(found)
    said = (
        el("li", el("strong", met, class_=f"grade {grades.get(met, '')}"), f" {name}: {value}, {limit}")
        for name, value, limit, met in rows
    )
    return el("ul", *said, class_="notes")


def _trust(found: Bench) -> Element:
    notes = [
        el("li", el("strong", finding.level, class_=f"grade {finding.level}"), " ", finding.text)
        for finding in found.trust.findings
    ]
    return el("section", el("h2", f"How far to trust it: {found.trust.grade}"), el("ul", *notes, class_="notes"))


def _speed(title: str, cells: Sequence[Cell], names: Sequence[str], table: Table) -> Element:
    about = ABOUT[cells[0].workload]
    times = [Line(name, i, {cell.size: cell.nanoseconds[name] for cell in cells}) for i, name in enumerate(names)]
    ratios = [
        Line(
            name,
            i,
            {
                cell.size: found.estimate
                for cell in cells
                if (found := next(iter(cell.ratios[name].values()), None)) and found.estimate
            },
        )
        for i, name in enumerate(names)
    ]
    drawings = [
        (
            "nanoseconds of a CPU per operation",
            lines(times, f"{title}: nanoseconds per operation by object size", lambda v: f"{v:g} ns"),
        ),
        (
            f"time over that of {names[0]}; below 1 is faster",
            lines(
                [one for one in ratios if one.values],
                f"{title}: ratio to {names[0]} by object size",
                lambda v: f"×{v:g}",
                1.0,
            ),
        ),
    ]
    return _figure(title, names, drawings, f"{about[0].upper()}{about[1:]}.", table)


def _memory(found: Peers, names: Sequence[str], table: Table) -> Element:
    held = [
        Line(name, i, {h.size: h.full[name] / h.asked for h in found.memory if name in h.full})
        for i, name in enumerate(names)
    ]
    caption = (
        "All slots of random replacement are filled. Ours hold the pages that they took from the page allocator; a "
        "malloc holds what its "
        "process grew by in anonymous memory, with every object written to."
    )
    drawn = lines(
        [one for one in held if one.values],
        "memory held over memory asked for, by object size",
        lambda v: f"×{v:g}",
        1.0,
    )
    return _figure("Memory held over memory asked for", names, [("", drawn)], caption, table)


def _figure(
    title: str, names: Sequence[str], drawings: Sequence[tuple[str, Element]], caption: str, table: Table
) -> Element:
    return picture(Figure(title, caption, drawings, designs_legend(names), table.header, table.rows))


def lines(series: Sequence[Line], label: str, show: Callable[[float], str], level: float | None = None) -> Element:
    """A line per program over object sizes, both axes by ratios. level: a value that gets a line of its own."""
    values = [value for one in series for value in one.values.values()] + ([level] if level else [])
    sizes = sorted({size for one in series for size in one.values})
    low, high = min(values) / 1.15, max(values) * 1.15
    chart = LineChart(
        label, 230.0, (sizes[0] / 1.3, sizes[-1] * 1.3), (low, high), top=10.0, bottom=36.0, log=True, gap=4.0,
        says="times" if level else "ns", keep=(level,) if level else (),
    )  # fmt: skip
    for value in steps(low, high):
        chart.level(value, show(value), "axis" if value == level else "grid")
    for size in sizes:
        chart.below(chart.x(size), f"{size}")
    chart.title("object size in bytes")
    for one in series:
        points = [(chart.x(size), chart.y(value)) for size, value in sorted(one.values.items())]
        for (x1, y1), (x2, y2) in pairwise(points):
            add(chart.drawn, line(x1, y1, x2, y2, f"interval {colour(one.number)}"))
    for one in series:
        for size, value in sorted(one.values.items()):
            chart.mark(one.number, size, value, 3.6, f"{one.name}, {size} B: {value:.3g}")
    return chart.drawn


def steps(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within low…high; powers of ten only, where that is more than a few."""
    found = [
        factor * 10.0**power for power in range(-4, 9) for factor in (1, 2, 5) if low <= factor * 10.0**power <= high
    ]
    return (
        found if len(found) <= 8 else found[::2] if len(found) <= 14 else [v for v in found if f"{v:e}".startswith("1")]
    )
