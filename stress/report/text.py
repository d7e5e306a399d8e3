"""A report for a terminal, set with Rich. In a pipe it has no colours and is as wide as its table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from stress.report import sentences, table, trace
from stress.result.data import Result

PIPE_WIDTH = 120
LEVEL_STYLE = {"serious": "bold red", "warning": "yellow", "note": "dim"}


class _Console(Console):
    """A console that leaves a closed pipe to its caller; Rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_console(stream: TextIO, pipe_width: int = PIPE_WIDTH) -> Console:
    """A console that takes texts as they are; in a pipe it has the given width, in letters."""
    return _Console(file=stream, markup=False, highlight=False, emoji=False, width=None if stream.isatty() else pipe_width)


def print_report(result: Result, stream: TextIO, path: Path | None = None, page: Path | None = None) -> None:
    """Write the whole report: heading, table, replay, sentences, trust, and where the result and its page are."""
    console = make_console(stream)
    console.print(table.heading(result), style="bold")
    for line in (table.machine_line(result), result.command):
        if line:
            console.print(line, style="dim")
    console.print(draw_table(table.columns(result), table.groups(result)))
    if result.trace is not None:
        _print_trace(console, result)
    console.print("What the figures say", style="bold")
    for sentence in sentences.sentences(result):
        item(console, sentence, "bold red" if sentence.startswith("INVARIANT") else None)
    if result.trust.findings:
        console.print(f"How far to trust them: {result.trust.grade}", style="bold")
        for finding in result.trust.findings:
            item(console, finding.text, LEVEL_STYLE[finding.level])
    if path is not None:
        console.print(f"Result: {path}", soft_wrap=True)
    if page is not None:
        console.print(f"Page: {page}", soft_wrap=True)


def draw_table(columns: Sequence[str], groups: Sequence[table.Group]) -> Table:
    """A column per design, groups of rows apart."""
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    drawn.add_column("", no_wrap=True)
    for title in columns:
        drawn.add_column(title, justify="right")
    for group in groups:
        drawn.add_row(group.title, style="italic")
        for row in group.rows:
            drawn.add_row(f"  {row.label}", *row.cells)
        drawn.add_section()
    return drawn


def _print_trace(console: Console, result: Result) -> None:
    assert result.trace is not None
    console.print("Replay of a recorded trace", style="bold")
    for name, value in trace.figures(result.trace):
        item(console, f"{name}: {value}")
    for small in trace.tables(result.trace):
        drawn = Table(title=small.title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for index, column in enumerate(small.columns):
            drawn.add_column(column, justify="right" if index else "left")
        for row in small.rows:
            drawn.add_row(*row)
        console.print(drawn)


def item(console: Console, text: str, style: str | None = None) -> None:
    """One sentence with a hanging dash, wrapped to the console."""
    lines = textwrap.wrap(text, console.width, initial_indent=" - ", subsequent_indent="   ", break_on_hyphens=False)
    console.print("\n".join(lines), style=style, soft_wrap=True)
