"""A campaign as one HTML page that loads nothing and runs nothing: small multiples, filters by axis, and for each cell
the command that repeats it. The filters are CSS alone (`:has`); classes are numbers, so no text of a study gets in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from stress.campaign import differ, report
from stress.campaign.grid import Cell, Grid, Panel, axis_label, label
from stress.campaign.status import CampaignStatus
from stress.campaign.study import Study, Value
from stress.show.html import document, el
from stress.show.html import grid as html_grid

SHADES = 9
MOST_COMMANDS = 5000
_STYLE = """
.multiples { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.multiples figure { margin: 0; }
.heat td { text-align: right; min-width: 3.2rem; border: 1px solid var(--ground); }
.heat a { color: inherit; text-decoration: none; display: block; }
.heat a:hover, .heat a:focus { text-decoration: underline; }
.filters fieldset { display: inline-block; border: 1px solid var(--line); margin: 0 0.5rem 0.5rem 0; }
.filters label { margin-right: 0.7rem; white-space: nowrap; }
:target { outline: 2px solid var(--d1); }
.none { color: var(--quiet); }
"""


def render(study: Study, found: CampaignStatus, made: Grid) -> bytes:
    """The whole page."""
    numbers = {id(cell): number for number, cell in enumerate(made.cells)}
    axes = [axis for axis in (*made.facets, made.row_axis, made.column_axis) if axis]
    said = report.heading(study, found, made)
    alarms = [text for text in said if text.startswith(("INVARIANT", "Incomplete"))]
    body = el(
        "body",
        el("style", _STYLE + _shades() + _filter_rules(study, axes)),
        el(
            "header",
            el("h1", f"Campaign {study.name}"),
            *(el("p", text, class_="verdict violated") for text in alarms),
            *(el("p", text) for text in said if text not in alarms),
        ),
        el("main", *_filters(study, axes), *_multiples(study, made, numbers), *_odd(study, made, numbers),
           *_wrong(made, found), *_commands(study, made)),
        el("footer", f"{study.kind} jobs. Colours go from the least to the greatest of a figure in the whole study, by "
           "ratios where it spans more than ten times; a cell is the median over seeds. The study is in study.toml "
           "beside this page, the figures in data/."),
    )  # fmt: skip
    return document(f"Campaign {study.name}", body)


def _shades() -> str:
    """From the page's ground to the colour of its second design, in steps; text stays readable on both."""
    return "".join(
        f".h{n} {{ background: color-mix(in oklab, var(--d1) {round(55 * n / (SHADES - 1))}%, var(--ground)); }}\n"
        for n in range(SHADES)
    )


def _filter_rules(study: Study, axes: list[str]) -> str:
    rules = []
    for number, axis in enumerate(axes):
        for at in range(len(study.values(axis))):
            rules.append(f"body:has(#f{number}-{at}:not(:checked)) .a{number}-{at} {{ display: none; }}")
    return "\n".join(rules) + "\n"


def _filters(study: Study, axes: list[str]) -> Iterator[Element]:
    if not axes:
        return
    sets = []
    for number, axis in enumerate(axes):
        boxes = [
            el("label", el("input", type="checkbox", id=f"f{number}-{at}", checked="checked"), f" {value}")
            for at, value in enumerate(study.values(axis))
        ]
        sets.append(el("fieldset", el("legend", axis_label(study, axis)), *boxes))
    yield el("section", el("h2", "Show"), el("form", *sets, class_="filters"))


def _classes(study: Study, axes: list[str], point: dict[str, Value]) -> str:
    """By which filters hide it."""
    return " ".join(
        f"a{number}-{study.values(axis).index(point[axis])}"
        for number, axis in enumerate(axes)
        if axis in point and point[axis] in study.values(axis)
    )


def _multiples(study: Study, made: Grid, numbers: dict[int, int]) -> Iterator[Element]:
    axes = [axis for axis in (*made.facets, made.row_axis, made.column_axis) if axis]
    for metric in made.metrics:
        panels = [panel for panel in made.panels if panel.metric == metric]
        yield el(
            "section",
            el("h2", label(metric)[0].upper() + label(metric)[1:]),
            el("div", *(_heat(study, made, axes, panel, numbers) for panel in panels), class_="multiples"),
        )


def _heat(study: Study, made: Grid, axes: list[str], panel: Panel, numbers: dict[int, int]) -> Element:
    head = el("tr", el("th", report.corner(study, made)))
    for value in panel.columns:
        head.append(el("th", str(value), scope="col", class_=_classes(study, axes, {made.column_axis: value})))
    rows = []
    for name, cells in zip(panel.rows, panel.cells):
        row = el("tr", el("th", str(name), scope="row"), class_=_classes(study, axes, {made.row_axis: name}))
        for column, cell in zip(panel.columns, cells):
            row.append(_heat_cell(study, made, axes, panel.metric, cell, numbers, {made.column_axis: column}))
        rows.append(row)
    caption = report.facet(study, panel.facet).removeprefix(": ")
    table = el("div", el("table", el("thead", head), el("tbody", *rows)), class_="table heat", tabindex=0)
    return el(
        "figure", *([el("h3", caption)] if caption else []), table, class_=_classes(study, axes, panel.facet) or None
    )


def _heat_cell(
    study: Study, made: Grid, axes: list[str], metric: str, cell: Cell | None, numbers: dict[int, int],
    column: dict[str, Value],
) -> Element:  # fmt: skip
    hidden = _classes(study, axes, column)
    if cell is None:
        return el("td", "", class_=f"none {hidden}")
    value = cell.values.get(metric)
    shade = f"h{shade_of(float(value), *made.bounds[metric])}" if isinstance(value, (int, float)) else "none"
    return el(
        "td",
        el("a", report.shown(cell, metric), href=f"#c{numbers[id(cell)]}", title=cell.command),
        class_=f"{shade} {hidden}",
    )


def shade_of(value: float, least: float, most: float) -> int:
    """0 to SHADES - 1; by ratios where all are above 0 and the most is over ten times the least."""
    if most <= least:
        return 0
    if least > 0 and most > 10 * least:
        share = math.log(value / least) / math.log(most / least)
    else:
        share = (value - least) / (most - least)
    return min(SHADES - 1, max(0, round(share * (SHADES - 1))))


def _odd(study: Study, made: Grid, numbers: dict[int, int]) -> Iterator[Element]:
    odd = differ.find(made)
    if not odd:
        return
    items = [
        el(
            "li",
            el("a", report.odd_sentence(study, one), href=f"#c{numbers[id(one.cell)]}"),
            el("pre", one.cell.command),
        )
        for one in odd
    ]
    yield el("section", el("h2", "Cells that differ from the rest"), el("ul", *items))


def _wrong(made: Grid, found: CampaignStatus) -> Iterator[Element]:
    items = [el("li", f"Invariant violated: {place}", el("pre", command)) for place, command in report.violations(made)]
    items += [el("li", f"{one.status}: {one.text.strip()}", el("pre", one.command)) for one in found.failures]
    if items:
        yield el("section", el("h2", "Violated and failed"), el("ul", *items))


def _commands(study: Study, made: Grid) -> Iterator[Element]:
    axes = list(made.cells[0].point) if made.cells else []
    cells = made.cells[:MOST_COMMANDS]
    rows: list[list[Element | str]] = [
        [el("span", str(number), id=f"c{number}"), *(str(cell.point[axis]) for axis in axes), el("code", cell.command)]
        for number, cell in enumerate(cells)
    ]
    more = (
        [el("p", f"{len(made.cells) - len(cells):,} more are in the data set.")] if len(made.cells) > len(cells) else []
    )
    yield el(
        "section",
        el("h2", "Every cell, and the command that repeats it"),
        html_grid(["", *(axis_label(study, axis) for axis in axes), "command"], rows, "words"),
        *more,
    )
