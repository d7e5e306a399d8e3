"""A terminal, set with Rich. In a pipe it has no colours and is as wide as its table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from stress.show.tables import Group

PIPE_WIDTH = 120


class _Console(Console):
    """A console that leaves a closed pipe to its caller; Rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_console(stream: TextIO, pipe_width: int = PIPE_WIDTH) -> Console:
    """A console that takes texts as they are; in a pipe it has the given width, in letters."""
    return _Console(
        file=stream, markup=False, highlight=False, emoji=False, width=None if stream.isatty() else pipe_width
    )


def draw_table(columns: Sequence[str], groups: Sequence[Group]) -> Table:
    """A column per design, groups of rows apart."""
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    drawn.add_column("", no_wrap=True)
    for title in columns:
        drawn.add_column(title, justify="right", overflow="fold")  # a design's name is all of it
    for group in groups:
        drawn.add_row(group.title, style="italic")
        for row in group.rows:
            drawn.add_row(f"  {row.label}", *row.cells)
        drawn.add_section()
    return drawn


def item(console: Console, text: str, style: str | None = None) -> None:
    """One sentence with a hanging dash, wrapped to the console."""
    lines = textwrap.wrap(text, console.width, initial_indent=" - ", subsequent_indent="   ", break_on_hyphens=False)
    console.print("\n".join(lines), style=style, soft_wrap=True)
