"""Markdown: tables, and text that stays text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stress.show.tables import Group


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose first column is text and whose others are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def groups_grid(columns: Sequence[str], groups: Sequence[Group]) -> list[str]:
    """A table with a column per design, and groups of rows under titles."""
    rows: list[tuple[str, ...]] = []
    for group in groups:
        rows.append((f"**{escape(group.title)}**", *[""] * len(columns)))
        rows += [(escape(row.label), *map(escape, row.cells)) for row in group.rows]
    return grid(["", *map(escape, columns)], rows)


def escape(text: str) -> str:
    """Keep Markdown from reading the text as anything but text."""
    return re.sub(r"([\\`*|<>])", r"\\\1", text).replace("\n", " ")
