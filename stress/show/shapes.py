"""What plots are drawn with: lines, boxes, text and the marks of designs, in units of a plot `WIDTH` wide.

Colours come from the page's CSS, so that they follow light, dark and paper: class `d0`, `d1`, … is a design's colour,
`p0`, `p1`, … a place's. Designs differ in shape too: the first eight have a colour and a shape each, the next eight the
same colours with other shapes, and dashed curves (`k1`, …). `n0`, `n1`, … is the design itself, which page.js switches
off. What a mark stands for is its tooltip.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from stress.show.html import add, el

WIDTH = 360.0  # of which a phone shows nearly a pixel each
LETTER = 6.6  # mean width of a letter of the plots' font
COLOURS = 8
DASHES = 4

# Corners of marks of size 1 around the origin; circle and square are drawn otherwise.
_ARM = 0.42
_CROSS = [
    (-_ARM, -1.2), (_ARM, -1.2), (_ARM, -_ARM), (1.2, -_ARM), (1.2, _ARM), (_ARM, _ARM), (_ARM, 1.2), (-_ARM, 1.2),
    (-_ARM, _ARM), (-1.2, _ARM), (-1.2, -_ARM), (-_ARM, -_ARM),
]  # fmt: skip
_POLYGONS = (
    [(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],  # diamond
    [(0.0, -1.25), (1.25, 1.0), (-1.25, 1.0)],  # triangle
    [(0.0, 1.25), (1.25, -1.0), (-1.25, -1.0)],  # triangle that stands on its tip
    _CROSS,
    [(0.707 * (x - y), 0.707 * (x + y)) for x, y in _CROSS],  # the same, turned
    [(0.0, -1.3), (0.4, -0.4), (1.3, 0.0), (0.4, 0.4), (0.0, 1.3), (-0.4, 0.4), (-1.3, 0.0), (-0.4, -0.4)],  # star
)
SHAPES = 2 + len(_POLYGONS)


def swatch(class_: str, number: int | None = None) -> Element:
    """The small picture of a legend: a design's mark, or a square of a place's colour."""
    drawn = el("svg", viewBox="0 0 12 12", class_="swatch", aria_hidden="true")
    return add(drawn, rect(1, 1, 10, 10, class_) if number is None else mark(number, 6, 6, 4.6))


def colour(number: int) -> str:
    """The classes of a design: its colour, itself, and how its curves are dashed."""
    dash = number // COLOURS % DASHES
    return f"d{number % COLOURS} n{number}" + (f" k{dash}" if dash else "")


def shape(number: int) -> int:
    """The shape of a design's mark, 0 to SHAPES - 1: with each round of the colours they are dealt anew."""
    return (number + number // COLOURS) % SHAPES


def mark(number: int, x: float, y: float, size: float, extra: str = "", about: str | None = None) -> Element:
    """A design's mark: its shape in its colour."""
    class_ = f"mark {colour(number)}{extra}"
    kind = shape(number)
    if kind == 0:
        made = el("circle", cx=x, cy=y, r=size, class_=class_)
    elif kind == 1:
        made = rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8, class_)
    else:
        corners = " ".join(f"{x + size * dx:.2f},{y + size * dy:.2f}" for dx, dy in _POLYGONS[kind - 2])
        made = el("polygon", points=corners, class_=class_)
    return made if about is None else add(made, el("title", about))


def row(number: int, height: float, *parts: Element) -> Element:
    """What is drawn of a design alone, in units `height` high; where it is switched off, what is below moves up."""
    return el("g", *parts, class_=f"row n{number}", data_height=height)


def svg(height: float, label: str) -> Element:
    """A plot of this height; label: what those hear who do not see it."""
    return el("svg", viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=label, class_="plot")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rect(x: float, y: float, width: float, height: float, class_: str, about: str | None = None) -> Element:
    made = el("rect", x=x, y=y, width=width, height=height, class_=class_)
    return made if about is None else add(made, el("title", about))


def words(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Element:
    return el("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, about: str | None = None) -> Element:
    """A line through points."""
    made = el("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)
    return made if about is None else add(made, el("title", about))
