"""Plots of rates, ratios and counts as inline SVG. Curves are drawn by `stress.show.curves`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

from stress.show import units
from stress.show.axis import Scale, padded, ratio_range, ticks
from stress.show.html import add, el
from stress.show.line_chart import LEFT, LineChart
from stress.show.shapes import COLOURS, LETTER, WIDTH, colour, line, mark, rect, row, svg, words

BAR, GAP, TITLE = 14.0, 5.0, 20.0


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
class Scatter:
    """Ratios of one design. points: (number of the value, ratio, tooltip). The rest is the interval that they make, and
    its tooltip."""

    number: int
    points: Sequence[tuple[float, float, str]]
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
    chart = LineChart(
        label,
        220.0,
        (0, max(dot.x for dot in dots) * 1.04 or 1.0),
        padded(dot.y for dot in dots),
        top=10.0,
        bottom=34.0,
        says="rate",
    )
    for value in ticks(chart.y.low, chart.y.high):
        chart.level(value, units.rate(value))
    for value in ticks(chart.x.low, chart.x.high):
        chart.below(chart.x(value), f"{value:g}")
    chart.axis()
    chart.title("seconds of timed play")
    for number, one in enumerate(series):
        if one.typical is not None:
            chart.across(one.typical, f"typical {colour(number)}")
    for number, one in enumerate(series):
        for dot in one.dots:
            chart.mark(number, dot.x, dot.y, 3.4, dot.about, " hollow" if dot.warmup else "")
            if dot.poor:
                add(chart.drawn, el("circle", cx=chart.x(dot.x), cy=chart.y(dot.y), r=6.0, class_=f"poor n{number}"))
    return chart.drawn


def forest(intervals: Sequence[Interval], margin: float, label: str) -> Element:
    """Ratios to the baseline with their intervals, on a scale of ratios; the band is what nobody would notice."""
    step, bottom, left = 38.0, 36.0, 8.0
    height = step * len(intervals) + bottom + 6
    values = [v for i in intervals for v in (i.estimate, i.low, i.high) if v is not None]
    x = Scale(*ratio_range(values, 1 + 2 * margin), left, WIDTH - left, log=True)
    drawn = svg(height, label)
    says = "change" if x.high < 3 else "times"
    drawn.set("data-along", f"{left:g} {WIDTH - left:g} {x.low:g} {x.high:g} 1 {says}")
    drawn.set("data-keep", f"{1 - margin:g} {1 + margin:g}")
    floor = height - bottom
    add(drawn, rect(x(1 - margin), 0, x(1 + margin) - x(1 - margin), floor, "band"))
    taken: list[
        tuple[float, float]
    ] = []  # where labels stand; the middle one comes first, and one without room is left out
    for value in sorted(ticks(x.low, x.high, 6), key=lambda value: abs(value - 1)):
        text = "as before" if abs(value - 1) < 1e-9 else units.signed_percent(value) if x.high < 3 else f"×{value:g}"
        half = LETTER * len(text) / 2 + 2
        place = min(max(x(value), half), WIDTH - half)
        add(drawn, line(x(value), 0, x(value), floor, "grid level"))
        if all(place + half <= low or place - half >= high for low, high in taken):
            add(drawn, words(place, floor + 15, text, "middle", "level"))
            taken.append((place - half, place + half))
    add(drawn, line(x(1), 0, x(1), floor, "axis level"))
    add(
        drawn,
        words(left, height - 4, "← slower than before", "start", "note"),
        words(WIDTH - left, height - 4, "faster →", "end", "note"),
    )
    for number, one in enumerate(intervals):
        y = step * number + 28
        parts = [
            words(left, y - 12, one.name, "start", "halo"),
            words(WIDTH - left, y - 12, one.text, "end", "halo"),
        ]
        if one.low is not None and one.high is not None:
            class_ = f"interval {colour(one.colour)}"
            parts.append(line(x(one.low), y, x(one.high), y, class_))
            parts += [line(x(end), y - 4, x(end), y + 4, f"{class_} cap") for end in (one.low, one.high)]
        parts.append(mark(one.colour, x(one.estimate), y, 4.6, "", f"{one.name}: {one.text}"))
        add(drawn, row(one.colour, step, *parts))
    return drawn


def scatter(
    scatters: Sequence[Scatter], margin: float, one: str, label: str, breaks: Sequence[tuple[float, str]] = ()
) -> Element:
    """Single ratios from left to right as they were measured, and right of them the interval each design's make.

    one: what a ratio is of, such as "launch". breaks: numbers between which something changed, and what it is then.
    """
    values = [ratio for each in scatters for _, ratio, _ in each.points]
    values += [v for each in scatters for v in (each.estimate, each.low, each.high) if v is not None]
    places = [at for each in scatters for at, _, _ in each.points]
    first, last = min(places), max(places)
    column = max(0.4, (last - first) / 12)  # of an interval
    side = last + column
    chart = LineChart(
        label,
        170.0,
        (first - 0.5, side + column * len(scatters)),
        ratio_range(values, 1 + margin),
        top=8.0,
        bottom=34.0,
        keep=(1 / (1 + margin), 1 + margin),
    )
    x, y = chart.x, chart.y
    add(chart.drawn, rect(LEFT, y(1 + margin), chart.right - LEFT, y(1 - margin) - y(1 + margin), "band"))
    for value in ticks(y.low, y.high):
        chart.level(value, f"{value:.4g}", "axis" if abs(value - 1) < 1e-9 else "grid")
    for value in ticks(first, last, 8):
        if value == int(value):
            chart.below(x(value), f"{value:g}")
    chart.axis()
    chart.title(one)
    free = LEFT
    for at, text in breaks:
        add(chart.drawn, line(x(at), chart.top, x(at), chart.floor, "break"))
        if x(at) >= free:
            add(chart.drawn, words(x(at) + 3, chart.top + 9, text, "start", "break note"))
            free = x(at) + LETTER * (len(text) + 1)
    add(chart.drawn, line(x(side - column / 4), chart.top, x(side - column / 4), chart.floor, "axis"))
    for number, each in enumerate(scatters):
        # Marks of one launch do not hide each other, nor come to lie among those of the next.
        aside = min(0.16, 0.8 / len(scatters)) * (number - (len(scatters) - 1) / 2)
        for at, ratio, about in each.points:
            chart.mark(each.number, at + aside, ratio, 3.0, about)
        at = side + column * (number + 0.5)
        if each.low is not None and each.high is not None:
            place, class_ = x(at), f"interval {colour(each.number)}"
            add(chart.drawn, line(place, y(each.low), place, y(each.high), class_))
            for edge in (each.low, each.high):
                add(chart.drawn, line(place - 4, y(edge), place + 4, y(edge), f"{class_} cap"))
        chart.mark(each.number, at, each.estimate, 4.6, each.text)
    return chart.drawn


def bars(groups: Sequence[Bars], names: Sequence[str], label: str) -> Element:
    """Groups of bars with their values written at their ends."""
    left, right = _name_width(names), 62.0
    step = BAR + GAP
    height = sum(TITLE + step * len(names) + 8 for _ in groups)
    drawn = svg(height, label)
    y = 0.0
    for group in groups:
        held = _bars(left, right, words(0, y + 13, group.title, "start", "title"))
        add(drawn, held)
        y += TITLE
        most = max((value for value in group.values if value is not None), default=0.0) or 1.0
        add(held, line(left, y - 1, left, y + step * len(names) - GAP + 1, "axis"))
        for number, (name, value) in enumerate(zip(names, group.values, strict=True)):
            length = (WIDTH - left - right) * (value or 0.0) / most
            about = f"{name}: {group.title}: {group.show(value)}"
            parts = [
                words(left - 6, y + 11, _short(name, left), "end"),
                words(left + length + 5, y + 11, group.show(value), "start", "sum"),
            ]
            if length:
                parts.insert(0, _bar(rect(left, y, max(length, 1.0), BAR, colour(number), about), value or 0.0))
            add(held, row(number, step, *parts))
            y += step
        y += 8
    return drawn


def stacked(rows: Sequence[tuple[str, dict[str, int]]], places: Sequence[str], label: str) -> Element:
    """A bar per design, cut by places; all bars have one scale. Its sum stands at its end."""
    names = [name for name, _ in rows]
    left, right, bar = _name_width(names), 52.0, 22.0
    most = max((sum(counts.values()) for _, counts in rows), default=0) or 1
    height = (bar + 8) * len(rows) + 2
    drawn = svg(height, label)
    held = _bars(left, right, line(left, 0, left, height, "axis"))
    for number, (name, counts) in enumerate(rows):
        y = number * (bar + 8) + 4
        parts = [words(left - 6, y + 15, _short(name, left), "end")]
        x = left
        for place in places:
            length = (WIDTH - left - right) * counts.get(place, 0) / most
            if length:
                about = f"{name}: {units.count(counts[place])} in {place}"
                held_in = rect(x, y, length, bar, f"p{places.index(place) % COLOURS}", about)
                parts.append(_bar(held_in, counts[place]))
            x += length
        parts.append(words(x + 5, y + 15, units.count(sum(counts.values())), "start", "sum"))
        add(held, row(number, bar + 8, *parts))
    return add(drawn, held)


def _bars(left: float, right: float, *parts: Element) -> Element:
    """Bars of one scale, rows of which follow: from `left` on, with so much room for their sums at the right."""
    return el("g", *parts, class_="bars", data_from=left, data_room=WIDTH - left - right)


def _bar(drawn: Element, value: float) -> Element:
    """With its value, for when the scale follows those that are shown."""
    drawn.set("data-value", f"{value:.6g}")
    return drawn


def _name_width(names: Sequence[str]) -> float:
    return min(max((len(name) for name in names), default=0) * LETTER + 12, 130.0)


def _short(name: str, room: float) -> str:
    """The name, or as much of it as the room holds."""
    letters = int((room - 6) / LETTER)
    return name if len(name) <= letters else name[: letters - 1] + "…"
