"""A result as one HTML page that loads nothing: for a screen, light or dark, a phone, and paper.

Whatever comes from the result (parameters, paths, names of machines) is put in as text; see `stress.show.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from stress.process.files import write_atomically
from stress.report import correspondence, sentences, table, trace
from stress.report.figures import figures
from stress.report.verdict import verdict
from stress.result.data import Result
from stress.result.files import FILE_NAME
from stress.show.figure import picture
from stress.show.html import Child, document, el, grid
from stress.show.shapes import swatch

PAGE_NAME = "report.html"


def write_page(result: Result, folder: Path) -> Path:
    """Write the page into a run's folder, whole or not at all; its path. Raises OSError when it cannot be written."""
    path = folder / PAGE_NAME
    write_atomically(path, render(result))
    return path


def render(result: Result) -> bytes:
    """The whole page."""
    body = el(
        "body",
        el(
            "header",
            el("h1", f"{result.scenario} on {result.allocator}: {' against '.join(_both(result))}"),
            el("p", table.heading(result), class_="quiet"),
            el("p", verdict(result), class_="verdict violated" if result.invariants.violated else "verdict"),
            _trust_line(result),
        ),
        el(
            "main",
            _section("Comparison", *comparison(result)),
            _section("What the figures say", el("ul", *(el("li", said) for said in sentences.sentences(result)))),
            _section("Pictures", el("div", *map(picture, figures(result)), class_="pictures")),
            *([_replay(result.trace)] if result.trace is not None else []),
            _trust(result),
            _repeat(result),
        ),
        el(
            "footer",
            f"Run {result.run_id}, ended {result.created}. All of it as data: ",
            el("a", FILE_NAME, href=FILE_NAME),
            f" (schema version {result.schema_version}).",
        ),
    )
    title = f"{result.scenario} on {result.allocator}, {result.run_id}"
    return document(title, body, table.order(result))


def _both(result: Result) -> list[str]:
    first, *others = table.order(result)
    return [", ".join(others), first] if others else [first]


def _section(title: str, *children: Element) -> Element:
    return el("section", el("h2", title), *children)


def comparison(result: Result) -> list[Element]:
    """The one table of all reports; its long middle part, the kernel's statistics, is folded away."""
    columns = table.columns(result)
    return grids(table.groups(result), columns, [_titled(number, title) for number, title in enumerate(columns)])


def grids(
    groups: Sequence[table.Group], columns: Sequence[str], titles: Sequence[Child] | None = None
) -> list[Element]:
    """Groups of rows as one table, and folded away below it those of the allocator's own statistics.

    titles: of the table's columns, where they are more than their texts.
    """
    main: list[tuple[str, ...]] = []
    folded = []
    for group in groups:
        rows = [(row.label, *row.cells) for row in group.rows]
        if group.title in (table.STATISTICS, correspondence.TITLE):
            below = grid(["", *columns], rows, "comparison")
            what = "Statistics" if group.title == table.STATISTICS else "Translated:"
            folded.append(el("details", el("summary", f"{what} {group.title}"), below))
        else:
            main += [(group.title,), *rows]
    return [grid(["", *(titles or columns)], main, "comparison"), *folded]


def _titled(number: int, title: str) -> Element:
    return el("span", swatch("", number), title)


def _trust_line(result: Result) -> Element:
    grade = result.trust.grade
    worst = result.trust.findings[0].text if result.trust.findings else "Nothing speaks against these figures."
    return el("p", el("strong", grade, class_=f"grade {grade}"), f" is how far the figures can be trusted. {worst}")


def _trust(result: Result) -> Element:
    invariants = result.invariants
    notes = [
        el("li", el("strong", finding.level, class_=f"grade {finding.level}"), " ", finding.text)
        for finding in result.trust.findings
    ]
    broken = [
        el("li", el("strong", "violated", class_="grade poor"), f" {v.invariant} under {v.design}: {v.description}")
        for v in invariants.violated
    ]
    parts = [el("ul", *broken, *notes, class_="notes")] if broken or notes else []
    if invariants.checked:
        parts.append(el("p", f"Invariants that were checked: {', '.join(invariants.checked)}."))
    return _section(f"How far to trust it: {result.trust.grade}", *parts)


def _repeat(result: Result) -> Element:
    machine = {"seed": result.seed, "model CPUs": result.cpus, "model nodes": result.nodes, **result.machine}
    designs = [(name, " ".join(result.designs[name].switches) or "none") for name in table.order(result)]
    return _section(
        "Machine, seed, and how to repeat it",
        el("pre", result.command) if result.command else el("p", "The command line is not known."),
        el(
            "div",
            el("div", el("h3", "Machine"), _pairs(machine)),
            el("div", el("h3", "Parameters"), _pairs(result.parameters)),
            el("div", el("h3", "Switches of the designs"), grid(("design", "switches"), designs, "words")),
            class_="columns",
        ),
    )


def _pairs(mapping: Mapping[str, Any]) -> Element:
    return grid(
        ("", "value"), [(str(name).replace("_", " "), _plain(value)) for name, value in mapping.items()], "words"
    )


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _replay(recorded: Mapping[str, Any]) -> Element:
    parts = [el("ul", *(el("li", f"{name}: {value}") for name, value in trace.figures(recorded)))]
    for small in trace.tables(recorded):
        parts += [el("h3", small.title), grid(small.columns, small.rows)]
    return _section("Replay of a recorded trace", *parts)
