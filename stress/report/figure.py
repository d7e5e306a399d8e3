"""A picture of a page: drawings, what their marks stand for, and the same numbers as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from stress.report.shapes import swatch


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One picture. drawings: (subtitle or "", SVG). legend: (swatch, text). header and rows: its numbers."""

    title: str
    caption: str
    drawings: Sequence[tuple[str, Element]]
    legend: Sequence[tuple[Element, str]]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def designs_legend(names: Sequence[str]) -> list[tuple[Element, str]]:
    """A mark and a name per design."""
    return [(swatch("", number), name) for number, name in enumerate(names)]
