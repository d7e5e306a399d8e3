"""Markdown: tables, and text that stays text."""

from __future__ import annotations

import re
from collections.abc import Sequence


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose first column is text and whose others are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def escape(text: str) -> str:
    """Keep Markdown from reading the text as anything but text."""
    return re.sub(r"([\\`*|<>])", r"\\\1", text).replace("\n", " ")
