"""A campaign as text and Markdown: the grid as tables, the cells that differ, what failed, what is left to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from stress.campaign import differ
from stress.campaign.differ import Odd
from stress.campaign.figures import Figure
from stress.campaign.grid import Cell, Grid, Panel, axis_label, label
from stress.campaign.status import CampaignStatus
from stress.campaign.study import Study, Value
from stress.show import markdown, units

MOST_PANELS = 24  # small tables of a text; the page has all


def figure(value: Figure) -> str:
    """As people read it."""
    if value is None:
        return units.UNKNOWN
    if isinstance(value, str):
        return value or "nothing"
    return (
        units.count(value) if isinstance(value, int) else units.rate(value) if value >= 1e5 else units.per_unit(value)
    )


def shown(cell: Cell | None, metric: str) -> str:
    """A cell's figure, of a ratio with its interval and grade; marked with ! where an invariant was violated."""
    if cell is None:
        return ""
    violated = "!" if any(row.status == "violated" for row in cell.rows) else ""
    low, high = cell.values.get(f"{metric}_low"), cell.values.get(f"{metric}_high")
    between = f" [{figure(low)}, {figure(high)}]" if low is not None and high is not None else ""
    grade = f" {cell.values['grade']}" if metric.startswith("ratio_") else ""
    return figure(cell.values.get(metric)) + between + grade + violated


def heading(study: Study, found: CampaignStatus, grid: Grid) -> list[str]:
    """A few sentences: what it is, how much of it is there."""
    done = sum(found.counts.get(name, 0) for name in ("done", "violated"))
    said = [f"{study.about}"] if study.about else []
    seeds = f", of {units.plural(len(study.values('seed')), 'seed')} each" if "seed" in study.axes else ""
    said.append(
        f"{done:,} of {units.plural(found.counts['all'], f'{study.kind} job')}: "
        f"{units.plural(len(grid.cells), 'cell')}{seeds}."
    )
    if found.needless:
        said.append(f"{units.plural(found.needless, 'job')} needless after an early stop.")
    if found.counts.get("violated"):
        said.append(f"INVARIANT VIOLATED in {units.plural(found.counts['violated'], 'job')}; marked with !.")
    if found.left:
        said.append(f"Incomplete: {units.plural(found.left, 'job')} to do.")
    for number, host in sorted(found.hosts.items()) if study.kind == "timed" else ():
        said.append(f"Host {number}: {host['name']}, {host['cpu']}, {host['cpus_available']} CPUs, {host['kernel']}.")
    for why, points in found.skipped.items():
        said.append(f"{units.plural(points, 'point')} left out, which cannot be played: {why}")
    return said


def title(study: Study, panel: Panel) -> str:
    """ "dead caches left: design v1, nodes 2"."""
    return label(panel.metric) + facet(study, panel.facet)


def facet(study: Study, of: dict[str, Value]) -> str:
    return f": {', '.join(f'{axis_label(study, axis)} {value}' for axis, value in of.items())}" if of else ""


def corner(study: Study, grid: Grid) -> str:
    return " \\ ".join(axis_label(study, axis) for axis in (grid.row_axis, grid.column_axis) if axis)


def odd_sentence(study: Study, odd: Odd) -> str:
    """One cell that differs: its place, its figure beside what its axes say, and what else is unusual there."""
    place = ", ".join(f"{axis_label(study, axis)} {value}" for axis, value in odd.cell.point.items())
    said = f"{place}: {label(odd.metric)} {figure(odd.value)}, where its axes say {figure(odd.expected)}"
    why = [f"{label(name)} {figure(value)} for {figure(expected)}" for name, value, expected in odd.why]
    return said + (f"; unusual there too: {', '.join(why)}" if why else "")


def violations(grid: Grid) -> Iterator[tuple[str, str]]:
    """(place, command) of the jobs that violated an invariant."""
    for cell in grid.cells:
        for row in cell.rows:
            if row.status == "violated":
                yield ", ".join(f"{axis} {value}" for axis, value in row.point.items()), row.job.command()


def write_text(study: Study, found: CampaignStatus, grid: Grid, stream: TextIO) -> None:
    """For a terminal or a pipe."""
    print(f"{study.name}", file=stream)
    for said in heading(study, found, grid):
        print(said, file=stream)
    for panel in grid.panels[:MOST_PANELS]:
        print(f"\n{title(study, panel)}", file=stream)
        _print_table([corner(study, grid), *map(str, panel.columns)], _body(panel), stream)
    if len(grid.panels) > MOST_PANELS:
        print(f"\nand {len(grid.panels) - MOST_PANELS} more small tables: --format html has them all", file=stream)
    for line in _endings(study, found, grid):
        print(line, file=stream)


def _body(panel: Panel) -> list[list[str]]:
    return [[str(name), *(shown(cell, panel.metric) for cell in cells)] for name, cells in zip(panel.rows, panel.cells)]


def _print_table(header: Sequence[str], rows: list[list[str]], stream: TextIO) -> None:
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    print(
        "  ".join(text.ljust(w) if not at else text.rjust(w) for at, (text, w) in enumerate(zip(header, widths))),
        file=stream,
    )
    print("─" * (sum(widths) + 2 * (len(widths) - 1)), file=stream)
    for row in rows:
        print(
            "  ".join(text.ljust(w) if not at else text.rjust(w) for at, (text, w) in enumerate(zip(row, widths))),
            file=stream,
        )


def _endings(study: Study, found: CampaignStatus, grid: Grid) -> Iterator[str]:
    odd = differ.find(grid)
    if odd:
        yield "\nCells that differ from the rest:"
        for one in odd:
            yield f" - {odd_sentence(study, one)}"
            yield f"   {one.cell.command}"
    for place, command in violations(grid):
        yield f"\nInvariant violated: {place}\n   {command}"
    for failed in found.failures[:MOST_PANELS]:
        yield f"\n{failed.status}: {failed.text.strip()}\n   {failed.command}"


def write_markdown(study: Study, found: CampaignStatus, grid: Grid, stream: TextIO) -> None:
    """As Markdown, to paste into a mail or an issue."""
    lines = [
        f"# {markdown.escape(study.name)}",
        "",
        *(f"{markdown.escape(said)}  " for said in heading(study, found, grid)),
    ]
    for panel in grid.panels:
        lines += ["", f"### {markdown.escape(title(study, panel))}", ""]
        header = [markdown.escape(corner(study, grid)), *(markdown.escape(str(column)) for column in panel.columns)]
        lines += markdown.grid(header, [[markdown.escape(text) for text in row] for row in _body(panel)])
    odd = differ.find(grid)
    if odd:
        lines += ["", "### Cells that differ from the rest", ""]
        for one in odd:
            lines += [f"- {markdown.escape(odd_sentence(study, one))}", f"  `{one.cell.command}`"]
    wrong = [(f"Invariant violated: {place}", command) for place, command in violations(grid)]
    wrong += [(f"{one.status}: {one.text.strip()}", one.command) for one in found.failures]
    if wrong:
        lines += ["", "### Violated and failed", ""]
        for said, command in wrong:
            lines += [f"- {markdown.escape(said)}", f"  `{command}`"]
    stream.write("\n".join(lines) + "\n")
