"""What plots are drawn with: lines, boxes, text and the marks of designs, in units of a plot `WIDTH` wide.

Colours come from the page's CSS, so that they follow light, dark and paper: class `d0`, `d1`, … is a design,
`p0`, `p1`, … a place. Designs differ in shape too. What a mark stands for is its tooltip.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from stress.show.html import add, el

WIDTH = 360.0  # of which a phone shows nearly a pixel each
LETTER = 6.6  # mean width of a letter of the plots' font
COLOURS = 8


def swatch(class_: str, number: int | None = None) -> Element:
    """The small picture of a legend: a design's mark, or a square of a place's colour."""
    drawn = el("svg", viewBox="0 0 12 12", class_="swatch", aria_hidden="true")
    return add(drawn, rect(1, 1, 10, 10, class_) if number is None else mark(number, 6, 6, 4.6))


def colour(number: int) -> str:
    """The class that colours a design."""
    return f"d{number % COLOURS}"


def mark(number: int, x: float, y: float, size: float, extra: str = "", about: str | None = None) -> Element:
    """A design's mark: circle, square, diamond or triangle in its colour."""
    class_ = f"mark {colour(number)}{extra}"
    shape = number % 4
    if shape == 0:
        made = el("circle", cx=x, cy=y, r=size, class_=class_)
    elif shape == 1:
        made = rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8, class_)
    else:
        s = size * 1.25
        corners = ((0, -s), (s, 0), (0, s), (-s, 0)) if shape == 2 else ((0, -s), (s, s * 0.8), (-s, s * 0.8))
        made = el("polygon", points=" ".join(f"{x + dx:.2f},{y + dy:.2f}" for dx, dy in corners), class_=class_)
    return made if about is None else add(made, el("title", about))


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
