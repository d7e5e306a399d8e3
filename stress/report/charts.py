"""Plots as inline SVG. A plot is `WIDTH` units wide, of which a phone shows nearly a pixel each, and as high as it needs.

Colours come from the page's CSS, so that they follow light, dark and paper: class `d0`, `d1`, … is a design,
`p0`, `p1`, … a place. Designs differ in shape too. What a mark stands for is its tooltip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

from stress.report import units
from stress.report.axis import Scale, padded, ratio_range, ticks
from stress.report.element import add, el

WIDTH = 360.0
LETTER = 6.6  # mean width of a letter of the plots' font
BAR, GAP, TITLE = 14.0, 5.0, 20.0
COLOURS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Dot:
    """One measured value. warmup, poor: it is drawn hollow, or with a ring. about: its tooltip."""

    x: float
    y: float
    about: str
    warmup: bool = False
    poor: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """The values of one design, and the line drawn through their typical value."""

    name: str
    dots: Sequence[Dot]
    typical: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """A ratio with its interval; without one only the estimate is drawn. colour: number of its design."""

    name: str
    colour: int
    estimate: float
    low: float | None
    high: float | None
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one measure, one per design, on a scale of their own. A value that is None is unknown."""

    title: str
    values: Sequence[float | None]
    show: Callable[[float | None], str]


def throughput(series: Sequence[Series], label: str) -> Element:
    """Rates over time, a mark per block; across it each design's typical rate."""
    dots = [dot for one in series for dot in one.dots]
    height, left, top, bottom = 220.0, 52.0, 10.0, 34.0
    x = Scale(0, max(dot.x for dot in dots) * 1.04 or 1.0, left, WIDTH - 6)
    y = Scale(*padded(dot.y for dot in dots), height - bottom, top)
    drawn = _svg(height, label)
    for value in ticks(y.low, y.high):
        add(drawn, _line(left, y(value), WIDTH - 6, y(value), "grid"), _text(left - 5, y(value) + 4, units.rate(value), "end"))
    for value in ticks(x.low, x.high):
        add(drawn, _text(x(value), height - bottom + 15, f"{value:g}", "middle"))
    add(drawn, _line(left, height - bottom, WIDTH - 6, height - bottom, "axis"))
    add(drawn, _text((left + WIDTH) / 2, height - 4, "seconds of timed play", "middle", "note"))
    for number, one in enumerate(series):
        if one.typical is not None:
            add(drawn, _line(left, y(one.typical), WIDTH - 6, y(one.typical), f"typical {colour(number)}"))
    for number, one in enumerate(series):
        for dot in one.dots:
            hollow = " hollow" if dot.warmup else ""
            add(drawn, mark(number, x(dot.x), y(dot.y), 3.4, hollow, dot.about))
            if dot.poor:
                add(drawn, el("circle", cx=x(dot.x), cy=y(dot.y), r=6.0, class_="poor"))
    return drawn


def forest(intervals: Sequence[Interval], margin: float, label: str) -> Element:
    """Ratios to the baseline with their intervals, on a scale of ratios; the band is what nobody would notice."""
    row, bottom, left = 38.0, 36.0, 8.0
    height = row * len(intervals) + bottom + 6
    values = [v for i in intervals for v in (i.estimate, i.low, i.high) if v is not None]
    x = Scale(*ratio_range(values, 1 + 2 * margin), left, WIDTH - left, log=True)
    drawn = _svg(height, label)
    floor = height - bottom
    add(drawn, _rect(x(1 - margin), 0, x(1 + margin) - x(1 - margin), floor, "band"))
    taken: list[tuple[float, float]] = []  # where labels stand; the middle one comes first, and one without room is left out
    for value in sorted(ticks(x.low, x.high, 6), key=lambda value: abs(value - 1)):
        text = "as before" if abs(value - 1) < 1e-9 else units.signed_percent(value) if x.high < 3 else f"×{value:g}"
        half = LETTER * len(text) / 2 + 2
        place = min(max(x(value), half), WIDTH - half)
        add(drawn, _line(x(value), 0, x(value), floor, "grid"))
        if all(place + half <= low or place - half >= high for low, high in taken):
            add(drawn, _text(place, floor + 15, text, "middle"))
            taken.append((place - half, place + half))
    add(drawn, _line(x(1), 0, x(1), floor, "axis"))
    add(drawn, _text(left, height - 4, "← slower than before", "start", "note"), _text(WIDTH - left, height - 4, "faster →", "end", "note"))
    for number, one in enumerate(intervals):
        y = row * number + 28
        add(drawn, _text(left, y - 12, one.name, "start", "halo"), _text(WIDTH - left, y - 12, one.text, "end", "halo"))
        if one.low is not None and one.high is not None:
            add(drawn, _line(x(one.low), y, x(one.high), y, f"interval {colour(one.colour)}"))
            for end in (one.low, one.high):
                add(drawn, _line(x(end), y - 4, x(end), y + 4, f"interval {colour(one.colour)}"))
        add(drawn, mark(one.colour, x(one.estimate), y, 4.6, "", f"{one.name}: {one.text}"))
    return drawn


def bars(groups: Sequence[Bars], names: Sequence[str], label: str) -> Element:
    """Groups of bars with their values written at their ends."""
    left, right = _name_width(names), 62.0
    step = BAR + GAP
    height = sum(TITLE + step * len(names) + 8 for _ in groups)
    drawn = _svg(height, label)
    y = 0.0
    for group in groups:
        add(drawn, _text(0, y + 13, group.title, "start", "title"))
        y += TITLE
        most = max((value for value in group.values if value is not None), default=0.0) or 1.0
        add(drawn, _line(left, y - 1, left, y + step * len(names) - GAP + 1, "axis"))
        for number, (name, value) in enumerate(zip(names, group.values, strict=True)):
            length = (WIDTH - left - right) * (value or 0.0) / most
            about = f"{name}: {group.title}: {group.show(value)}"
            if length:
                add(drawn, _rect(left, y, max(length, 1.0), BAR, colour(number), about))
            add(drawn, _text(left - 6, y + 11, _short(name, left), "end"), _text(left + length + 5, y + 11, group.show(value), "start"))
            y += step
        y += 8
    return drawn


def stacked(rows: Sequence[tuple[str, dict[str, int]]], places: Sequence[str], label: str) -> Element:
    """A bar per design, cut by places; all bars have one scale. Its sum stands at its end."""
    names = [name for name, _ in rows]
    left, right, bar = _name_width(names), 52.0, 22.0
    most = max((sum(row.values()) for _, row in rows), default=0) or 1
    height = (bar + 8) * len(rows) + 2
    drawn = _svg(height, label)
    add(drawn, _line(left, 0, left, height, "axis"))
    for number, (name, row) in enumerate(rows):
        y = number * (bar + 8) + 4
        add(drawn, _text(left - 6, y + 15, _short(name, left), "end"))
        x = left
        for place in places:
            length = (WIDTH - left - right) * row.get(place, 0) / most
            if length:
                about = f"{name}: {units.count(row[place])} in {place}"
                add(drawn, _rect(x, y, length, bar, f"p{places.index(place) % COLOURS}", about))
            x += length
        add(drawn, _text(x + 5, y + 15, units.count(sum(row.values())), "start"))
    return drawn


def swatch(class_: str, number: int | None = None) -> Element:
    """The small picture of a legend: a design's mark, or a square of a place's colour."""
    drawn = el("svg", viewBox="0 0 12 12", class_="swatch", aria_hidden="true")
    return add(drawn, _rect(1, 1, 10, 10, class_) if number is None else mark(number, 6, 6, 4.6))


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
        made = _rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8, class_)
    else:
        s = size * 1.25
        corners = ((0, -s), (s, 0), (0, s), (-s, 0)) if shape == 2 else ((0, -s), (s, s * 0.8), (-s, s * 0.8))
        made = el("polygon", points=" ".join(f"{x + dx:.2f},{y + dy:.2f}" for dx, dy in corners), class_=class_)
    return made if about is None else add(made, el("title", about))


def _svg(height: float, label: str) -> Element:
    return el("svg", viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=label, class_="plot")


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _rect(x: float, y: float, width: float, height: float, class_: str, about: str | None = None) -> Element:
    made = el("rect", x=x, y=y, width=width, height=height, class_=class_)
    return made if about is None else add(made, el("title", about))


def _text(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Element:
    return el("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _name_width(names: Sequence[str]) -> float:
    return min(max((len(name) for name in names), default=0) * LETTER + 12, 130.0)


def _short(name: str, room: float) -> str:
    """The name, or as much of it as the room holds."""
    letters = int((room - 6) / LETTER)
    return name if len(name) <= letters else name[: letters - 1] + "…"
