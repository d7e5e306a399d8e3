"""Curves as inline SVG: how long operations take, down to the slowest one, and counts over time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element

from stress.show import units
from stress.show.axis import ticks
from stress.show.html import add
from stress.show.line_chart import LEFT, LineChart
from stress.show.shapes import LETTER, WIDTH, rect

RIGHT = WIDTH - 12


@dataclasses.dataclass(frozen=True, slots=True)
class Tail:
    """Latencies of one design.

    points: (operations per slower one, at least 1; ns), rising in both. marked: those with a tooltip.
    """

    number: int
    points: Sequence[tuple[float, float]]
    marked: Sequence[tuple[float, float, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """A count of one design over time: (seconds, value), each holding until the next one; about: its end's tooltip."""

    number: int
    points: Sequence[tuple[float, float]]
    about: str


def tails(curves: Sequence[Tail], rarest: float, floor: float, top: float, label: str) -> Element:
    """Latency against rarity, both logarithmic.

    rarest: operations per slower one at the right end. floor: ns that the clock cannot tell from nothing, shaded and
    the place of whatever is below; top: the greatest latency. Plots with the same three can be compared by eye.
    """
    lowest = max(1.0, floor / 1.6)
    chart = LineChart(
        label,
        170.0,
        (1, 10 ** max(1.0, math.log10(rarest))),
        (lowest, max(top, 10 * lowest) * 1.3),
        top=8.0,
        bottom=20.0,
        right=RIGHT,
        log=True,
        says="ns",
    )
    x, y = chart.x, chart.y
    if floor > lowest:
        add(chart.drawn, rect(LEFT, y(floor), RIGHT - LEFT, chart.floor - y(floor), "band"))
    for power in range(math.ceil(math.log10(y.low)), math.floor(math.log10(y.high)) + 1):
        chart.level(10.0**power, _power(power))
    marks = [
        (2.0, "50 %"),
        *((10.0**k, f"{100 - 100 / 10**k:.10g} %") for k in range(1, math.floor(math.log10(x.high)) + 1)),
    ]
    free = LEFT - 20  # where the next label may begin
    for at, name in marks:
        chart.upright(at)
        half = LETTER * len(name) / 2
        if x(at) - half > free and x(at) + half < WIDTH:
            chart.below(x(at), name)
            free = x(at) + half + 4
    chart.axis()
    for curve in curves:
        chart.curve(curve.number, ((x(slower), y(max(ns, floor, lowest))) for slower, ns in curve.points))
    for curve in curves:
        for slower, ns, about in curve.marked:
            chart.mark(curve.number, slower, max(ns, floor, lowest), 3.4, about)
    return chart.drawn


def _power(power: int) -> str:
    """10 to the power of this many nanoseconds: 100 ns, 1 µs, 10 ms."""
    unit, rest = divmod(power, 3)
    return f"{10**rest} {('ns', 'µs', 'ms', 's')[unit]}" if unit < 4 else f"{10 ** (power - 9)} s"


def courses(curves: Sequence[Course], longest: float, label: str) -> Element:
    """Counts over kernel time, from nothing to `longest` seconds; a mark at each end."""
    unit, name = next(((f, n) for f, n in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")) if longest >= f), (1e-9, "ns"))
    most = max((value for curve in curves for _, value in curve.points), default=0)
    chart = LineChart(
        label, 150.0, (0, longest * 1.02 / unit or 1.0), (0, most * 1.06 or 1.0), top=10.0, bottom=20.0, right=RIGHT,
        says="count", keep=(0.0,),
    )  # fmt: skip
    x, y = chart.x, chart.y
    for value in ticks(y.low, y.high, 4):
        if value == int(value):
            chart.level(value, units.count(int(value)))
    for value in ticks(x.low, x.high):
        said = f"{value:g} {name}" if value else "0"
        fits = x(value) + LETTER * len(said) < WIDTH
        chart.below(x(value) if fits else WIDTH, said, "middle" if fits else "end")
    chart.axis()
    for curve in curves:
        points = [(x(seconds / unit), y(value)) for seconds, value in curve.points]
        stairs = [corner for one, following in pairwise(points) for corner in (one, (following[0], one[1]))]
        chart.curve(curve.number, [*stairs, *points[-1:]])
    for curve in curves:
        seconds, value = curve.points[-1]
        chart.mark(curve.number, seconds / unit, value, 4.0, curve.about)
    return chart.drawn
