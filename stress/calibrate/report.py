"""A calibration as text for a terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from stress.calibrate.table import Calibration, Row, Share
from stress.result.files import encode
from stress.show import units


def write(found: Calibration, format: str, stream: TextIO) -> None:
    """Write it as text, markdown or json; json is the data and nothing else."""
    if format == "json":
        stream.write(encode(found).decode())
    elif format == "markdown":
        stream.write(_markdown(found))
    else:
        _text(found, stream)


def titles(found: Calibration) -> list[str]:
    """Of the columns of calls."""
    return [
        "sections",
        "slowed by",
        "measured",
        "spun",
        "runs",
        "launches",
        "interval",
        "faster",
        "equivalent",
        "slower",
        "cannot tell",
        "found",
        "[95 %]",
    ]


def cells(row: Row) -> list[str]:
    """Of one kind of comparison."""
    share = row.found
    return [
        row.kind,
        name_of(row),
        units.ratio(row.measured),
        f"{row.spun:.2%}",
        str(share.runs),
        f"{row.pairs:,}",
        units.UNKNOWN if row.half_width is None else f"±{row.half_width:.2%}",
        *(str(of.count) for of in (row.faster, row.equivalent, row.slower, row.cannot_tell)),
        f"{share.value:.0%}",
        f"[{share.low:.0%}, {share.high:.0%}]",
    ]


def name_of(row: Row) -> str:
    """What was compared: the same program, 0 %, 3 %."""
    return "same program" if row.slowdown is None else units.percent(row.slowdown)


def sooner_titles(found: Calibration) -> list[str]:
    """Of the columns of the second table."""
    return [
        "sections",
        "slowed by",
        *(f"after {units.seconds(times * found.setting.seconds)}" for times in found.times),
    ]


def sooner_cells(row: Row) -> list[str]:
    """What was found in shorter and longer comparisons."""
    return [row.kind, name_of(row), *map(_short, row.found_after)]


def _short(share: Share | None) -> str:
    return units.UNKNOWN if share is None else f"{share.count} of {share.runs} [{share.low:.0%}, {share.high:.0%}]"


def heading(found: Calibration) -> list[str]:
    """What was compared, how and where; a line each."""
    s = found.setting
    settings = ", ".join(f"{name}={value}" for name, value in s.parameters.items())
    how = (
        f"{units.plural(s.cpus, 'CPU')}, {units.seconds(s.seconds)} a comparison, margin ±{units.percent(found.margin)}"
    )
    beside = f"; a neighbour burnt one CPU for {s.neighbour:.0%} of the time" if s.neighbour else ""
    number = units.plural(sum(row.found.runs for row in found.rows), "comparison")
    return [
        f"{s.design} against itself: {s.scenario} on {s.allocator}, {how}",
        f"{settings}; memory {s.memory >> 20} MiB; sources {s.sources}{beside}",
        f"{s.machine}; {number} in {units.seconds(found.seconds)}",
    ]


NOTE = (
    "Same program: one program against itself. 0 %: the same code compiled twice, in two places of memory; all others "
    "are these two with frees of the second slowed down, in sections of this kind. Spun: share of the time of these "
    "sections that they spun, by the clock. Interval: half of it. Found: of what was slowed down the share that was "
    "called slower; of like with like the share of false alarms, called faster or slower."
)


def _goal_rows(found: Calibration) -> list[tuple[str, str, str]]:
    return [
        (goal.name, goal.measured, {True: "met", False: "MISSED", None: "too few runs"}[goal.met])
        for goal in found.goals
    ]


GOAL_TITLES = ("goal", "measured", "")
SOONER = (
    "Found when only the first launches of each comparison are judged, and when comparisons of a kind are joined to "
    "longer ones"
)


def _text(found: Calibration, stream: TextIO) -> None:
    from rich import box
    from rich.table import Table

    from stress.show.terminal import item, make_console

    console = make_console(stream, 150)
    first, *rest = heading(found)
    console.print(first, style="bold")
    for line in rest:
        console.print(line, style="dim")

    def draw(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for index, title in enumerate(head):
            drawn.add_column(title, justify="right" if index > 1 else "left")
        for row in rows:
            drawn.add_row(*row, style="yellow" if "MISSED" in row else None)
        console.print(drawn)

    draw(titles(found), [cells(row) for row in found.rows])
    item(console, NOTE)
    console.print(SOONER, style="bold")
    draw(sooner_titles(found), [sooner_cells(row) for row in found.rows])
    draw(GOAL_TITLES, _goal_rows(found))
    for finding in found.trust.findings:
        item(console, finding.text, "yellow")


def _markdown(found: Calibration) -> str:
    from stress.show.markdown import escape, grid

    first, *rest = heading(found)
    lines = [f"## {escape(first)}", "", *(escape(line) + "  " for line in rest), ""]
    lines += grid(titles(found), [[escape(cell) for cell in cells(row)] for row in found.rows])
    lines += [
        "",
        escape(NOTE),
        "",
        f"{SOONER}:",
        "",
        *grid(sooner_titles(found), [sooner_cells(row) for row in found.rows]),
    ]
    lines += ["", *grid(GOAL_TITLES, _goal_rows(found)), ""]
    lines += [f"- {escape(finding.text)}" for finding in found.trust.findings]
    lines += ["", "Made by:", "", *(f"    {command}" for command in dict.fromkeys(found.commands))]
    return "\n".join(lines) + "\n"
