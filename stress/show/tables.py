"""A table as data: groups of rows, set by whoever shows it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A label and one text per design, in the order of the columns."""

    label: str
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together, under a title."""

    title: str
    rows: tuple[Row, ...]
