"""A picture of a page: drawings, what their marks stand for, and the same numbers as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from stress.show.html import el, grid
from stress.show.shapes import swatch


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


def picture(figure: Figure) -> Element:
    """A figure with its legend, its caption and its numbers folded away beneath."""
    parts: list[Element] = [el("h3", figure.title)]
    if figure.legend:
        parts.append(el("ul", *(el("li", mark, text) for mark, text in figure.legend), class_="legend"))
    for subtitle, drawing in figure.drawings:
        parts += [*([el("h4", subtitle)] if subtitle else []), drawing]
    parts.append(el("figcaption", figure.caption))
    numbers = el("details", el("summary", "Numbers"), grid(figure.header, figure.rows))
    return el("figure", *parts, numbers)
