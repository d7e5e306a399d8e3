"""A table as data: groups of rows, set by whoever shows it. What the rows of a report are: `stress.report.table`."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A label and one text per design, in the order of the columns.

    key: tells rows of the same label in one group apart, such as two "… of them contended"; no reader sees it.
    """

    label: str
    cells: tuple[str, ...]
    key: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together, under a title."""

    title: str
    rows: tuple[Row, ...]
