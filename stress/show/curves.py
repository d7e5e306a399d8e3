"""Curves as inline SVG: how long operations take, down to the slowest one, and counts over time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from stress.show import units
from stress.show.axis import Scale, ticks
from stress.show.html import add
from stress.show.shapes import LETTER, WIDTH, colour, line, mark, path, rect, svg, words

RIGHT = WIDTH - 12


@dataclasses.dataclass(frozen=True, slots=True)
class Tail:
    """Latencies of one design. points: (operations per slower one, at least 1; ns), rising in both. marked: those with a tooltip."""

    number: int
    points: Sequence[tuple[float, float]]
    marked: Sequence[tuple[float, float, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """A count of one design over time: (seconds, value), each value holding until the next one; about: its end's tooltip."""

    number: int
    points: Sequence[tuple[float, float]]
    about: str


def tails(curves: Sequence[Tail], rarest: float, floor: float, top: float, label: str) -> Element:
    """Latency against rarity, both logarithmic.

    rarest: operations per slower one at the right end. floor: ns that the clock cannot tell from nothing, shaded and
    the place of whatever is below; top: the greatest latency. Plots with the same three can be compared by eye.
    """
    height, left, above, bottom = 170.0, 52.0, 8.0, 20.0
    x = Scale(1, 10 ** max(1.0, math.log10(rarest)), left, RIGHT, log=True)
    lowest = max(1.0, floor / 1.6)
    y = Scale(lowest, max(top, 10 * lowest) * 1.3, height - bottom, above, log=True)
    drawn = svg(height, label)
    if floor > lowest:
        add(drawn, rect(left, y(floor), RIGHT - left, height - bottom - y(floor), "band"))
    for power in range(math.ceil(math.log10(y.low)), math.floor(math.log10(y.high)) + 1):
        add(drawn, line(left, y(10.0**power), RIGHT, y(10.0**power), "grid"))
        add(drawn, words(left - 5, y(10.0**power) + 4, _power(power), "end"))
    marks = [
        (2.0, "50 %"),
        *((10.0**k, f"{100 - 100 / 10**k:.10g} %") for k in range(1, math.floor(math.log10(x.high)) + 1)),
    ]
    free = left - 20  # where the next label may begin
    for at, name in marks:
        add(drawn, line(x(at), above, x(at), height - bottom, "grid"))
        half = LETTER * len(name) / 2
        if x(at) - half > free and x(at) + half < WIDTH:
            add(drawn, words(x(at), height - bottom + 15, name, "middle"))
            free = x(at) + half + 4
    add(drawn, line(left, height - bottom, RIGHT, height - bottom, "axis"))
    for curve in curves:
        points = [(x(slower), y(max(ns, floor, lowest))) for slower, ns in curve.points]
        add(drawn, path(points, f"curve {colour(curve.number)}"))
    for curve in curves:
        for slower, ns, about in curve.marked:
            add(drawn, mark(curve.number, x(slower), y(max(ns, floor, lowest)), 3.4, "", about))
    return drawn


def _power(power: int) -> str:
    """10 to the power of this many nanoseconds: 100 ns, 1 µs, 10 ms."""
    unit, rest = divmod(power, 3)
    return f"{10**rest} {('ns', 'µs', 'ms', 's')[unit]}" if unit < 4 else f"{10 ** (power - 9)} s"


def courses(curves: Sequence[Course], longest: float, label: str) -> Element:
    """Counts over kernel time, from nothing to `longest` seconds; a mark at each end."""
    height, left, above, bottom = 150.0, 52.0, 10.0, 20.0
    unit, name = next(((f, n) for f, n in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")) if longest >= f), (1e-9, "ns"))
    x = Scale(0, longest * 1.02 / unit or 1.0, left, RIGHT)
    y = Scale(
        0,
        max((value for curve in curves for _, value in curve.points), default=0) * 1.06 or 1.0,
        height - bottom,
        above,
    )
    drawn = svg(height, label)
    for value in ticks(y.low, y.high, 4):
        if value == int(value):
            add(
                drawn,
                line(left, y(value), RIGHT, y(value), "grid"),
                words(left - 5, y(value) + 4, units.count(int(value)), "end"),
            )
    for value in ticks(x.low, x.high):
        said = f"{value:g} {name}" if value else "0"
        fits = x(value) + LETTER * len(said) < WIDTH
        add(drawn, words(x(value) if fits else WIDTH, height - bottom + 15, said, "middle" if fits else "end"))
    add(drawn, line(left, height - bottom, RIGHT, height - bottom, "axis"))
    for curve in curves:
        points = [(x(seconds / unit), y(value)) for seconds, value in curve.points]
        stairs = [corner for one, following in zip(points, points[1:]) for corner in (one, (following[0], one[1]))]
        add(drawn, path([*stairs, *points[-1:]], f"curve {colour(curve.number)}"))
    for curve in curves:
        seconds, value = curve.points[-1]
        add(drawn, mark(curve.number, x(seconds / unit), y(value), 4.0, "", curve.about))
    return drawn
