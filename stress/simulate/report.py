"""A simulation as text for a terminal (on one screen, or all of it), as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from stress.result.files import encode
from stress.show import markdown
from stress.show.terminal import draw_table, item, make_console
from stress.simulate import tables
from stress.simulate.result import Simulation
from stress.simulate.sentences import ALARMS

GAP = 2  # between columns
LINES = 40  # of the text without details, where the curve leaves room for the rest
FEW = 4  # lines of sentences that there are even if the curve leaves none


def write(found: Simulation, format: str, stream: TextIO, page: Path | None = None, *, details: bool = False) -> None:
    """Print as `text` (details: all of it), `markdown` or `json`. page: where one was written."""
    if format == "json":
        stream.write(encode(found).decode())
    elif format == "markdown":
        stream.write(render_markdown(found))
    else:
        _print_text(found, stream, page, details)


def _print_text(found: Simulation, stream: TextIO, page: Path | None, details: bool) -> None:
    console = make_console(stream)
    points = tables.largest(found)
    groups = tables.point_groups(points) if details else tables.telling_groups(points)
    drawn: list[Table | str] = [*_curve(console, found), f"On {tables.where(points)}"]
    drawn.append(draw_table(tables.columns(points), groups))
    console.print(tables.heading(found), style="bold")
    if found.partial:
        console.print("Incomplete: these are the points that were done.", style="bold red")
    said = found.sentences
    if not details:
        others = sum(len(console.render_lines(one)) for one in drawn) + len(found.notes) + 3
        said = _telling(said, max(FEW, LINES - others), console.width)
    for sentence in said:
        item(console, sentence, "bold red" if sentence.startswith(ALARMS) else None)
    for one in drawn:
        console.print(one, style="bold" if isinstance(one, str) else None)
    for note in found.notes:
        item(console, note, "dim")
    if not details:
        less = len(found.sentences) - len(said)
        item(console, f"All there is to say{f', {less} more sentences' if less else ''}: --details", "dim")
    if page is not None:
        console.print(f"Page: {page}", soft_wrap=True)


def _telling(sentences: Sequence[str], lines: int, width: int) -> list[str]:
    """Those that fit, in their order: alarms whatever the room, then from the last one, as they compare designs."""
    kept = [sentence.startswith(ALARMS) for sentence in sentences]
    for number in reversed(range(len(sentences))):
        lines -= -(-len(sentences[number]) // (width - GAP - 1))
        kept[number] |= lines >= 0
    return [sentence for sentence, keep in zip(sentences, kept, strict=True) if keep]


def _curve(console: Console, found: Simulation) -> list[Table]:
    """Without what takes most time where there is no room for it; several tables where one has no room."""
    table = tables.curve_table(found)
    if sum(max(map(len, column)) + GAP for column in zip(*table, strict=True)) - GAP > console.width:
        table = tables.curve_table(found, spent=False)
    every = []
    for columns in _fitting(list(zip(*table, strict=True)), console.width):
        drawn = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, padding=(0, GAP // 2)
        )
        for title, *_ in columns:
            drawn.add_column(title, justify="right", overflow="fold")
        for row in zip(*(cells for _, *cells in columns), strict=True):
            drawn.add_row(*row)
        every.append(drawn)
    return every


def _fitting(columns: list[tuple[str, ...]], width: int) -> list[list[tuple[str, ...]]]:
    """The columns of as many designs as fit, the first column before each lot; a design's begin with its rate."""
    first, *rest = columns
    starts = [at for at, column in enumerate(rest) if _is_rate(column)] + [len(rest)]
    lots: list[list[tuple[str, ...]]] = []
    for begin, end in zip(starts, starts[1:]):
        mine = rest[begin:end]
        if not lots or _least(lots[-1] + mine) > width:
            lots.append([first])
        lots[-1] += mine
    return lots


def _is_rate(column: tuple[str, ...]) -> bool:
    """Is it a design's first one? Its title is the design's name and what is counted."""
    return column[0].endswith("/s")


def _least(columns: list[tuple[str, ...]]) -> int:
    """Letters that a table needs if of titles only those of rates are broken, between words: Rich makes the widest
    columns equally narrow."""
    rates = [title for title, *_ in columns if title.endswith("/s")]
    word = max(len(word) for title in rates for word in title.split())
    others = [max(map(len, column)) for column in columns if not _is_rate(column)]
    return sum(others) + len(rates) * word + GAP * (len(columns) - 1)


def render_markdown(found: Simulation) -> str:
    """Heading, sentences, the curve, the largest points, notes."""
    points = tables.largest(found)
    lines = ["# Simulation", "", markdown.escape(tables.heading(found)), ""]
    if found.partial:
        lines += ["**Incomplete**: these are the points that were done.", ""]
    lines += [f"- {markdown.escape(sentence)}" for sentence in found.sentences]
    lines += ["", "## " + markdown.escape(tables.span(found)), ""]
    header, *rows = [[markdown.escape(cell) for cell in row] for row in tables.curve_table(found)]
    lines += markdown.grid(header, rows)
    lines += ["", f"## On {tables.where(points)}", ""]
    lines += markdown.groups_grid(tables.columns(points), tables.point_groups(points))
    if found.notes:
        lines += ["", *(f"- {markdown.escape(note)}" for note in found.notes)]
    lines += ["", f"Repeat it: `{found.command}`"]
    return "\n".join(lines) + "\n"
