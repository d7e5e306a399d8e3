"""A report for a terminal, set with Rich: on one screen (`stress.report.short`), or with everything."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from stress.report import sentences, short, table, trace
from stress.result.data import Result
from stress.show.terminal import draw_table, item, make_console

LEVEL_STYLE = {"serious": "bold red", "warning": "yellow", "note": "dim"}


def print_short(
    result: Result, stream: TextIO, path: Path | None = None, page: Path | None = None, again: str = ""
) -> None:
    """Write what fits on one screen. again: how a command names this run."""
    console = make_console(stream, short.WIDTH)
    for text, style in short.lines(result, path, page, again, console.width):
        console.print(text, style=style or None, soft_wrap=True)


def print_details(result: Result, stream: TextIO, path: Path | None = None, page: Path | None = None) -> None:
    """Write the whole report: heading, table, replay, sentences, trust, and where the result and its page are.

    In a pipe it has no colours and is as wide as its table.
    """
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
