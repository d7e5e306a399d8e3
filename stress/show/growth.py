"""What happens with more and more CPUs, as inline SVG: rates and shares as curves, and shares as cut bars."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from xml.etree.ElementTree import Element

from stress.show import units
from stress.show.axis import ticks
from stress.show.html import add
from stress.show.line_chart import LineChart
from stress.show.shapes import COLOURS, LETTER, WIDTH, colour, line, path, rect, svg, words

HEIGHT, TOP, BOTTOM = 230.0, 10.0, 34.0
BAR, STEP = 16.0, 21.0


@dataclasses.dataclass(frozen=True, slots=True)
class Growth:
    """Of one design: (CPUs, value, tooltip), ascending. number: of its colour and mark."""

    number: int
    points: Sequence[tuple[int, float, str]]


def rates(growths: Sequence[Growth], label: str) -> Element:
    """Rates against CPUs, both logarithmic; from each design's first point a dashed line shows what would be linear."""
    values = [value for one in growths for _, value, _ in one.points]
    cpus = sorted({at for one in growths for at, _, _ in one.points})
    linear = [one.points[0][1] / one.points[0][0] * cpus[-1] for one in growths]
    low, high = min(values), max(*values, *linear)
    chart = LineChart(
        label, HEIGHT, _across(cpus), (low / 1.4, max(high, 2 * low) * 1.2), top=TOP, bottom=BOTTOM, log=True,
        says="rate",
    )  # fmt: skip
    _grid(chart, cpus)
    free = math.inf
    for power in range(math.floor(math.log10(chart.y.low)), math.ceil(math.log10(chart.y.high)) + 1):
        for factor in (1, 2, 5):
            value = factor * 10.0**power
            if chart.y.low <= value <= chart.y.high and free - chart.y(value) > 13:
                chart.level(value, units.rate(value))
                free = chart.y(value)
    chart.axis()
    for one, end in zip(growths, linear, strict=True):
        first, value, _ = one.points[0]
        ends = [(chart.x(first), chart.y(value)), (chart.x(cpus[-1]), chart.y(end))]
        add(chart.drawn, path(ends, f"curve typical {colour(one.number)}"))
    _draw(chart, growths)
    return chart.drawn


def shares(growths: Sequence[Growth], label: str) -> Element:
    """Shares against CPUs: 1 is 100 %; across on a scale of ratios."""
    values = [value for one in growths for _, value, _ in one.points]
    cpus = sorted({at for one in growths for at, _, _ in one.points})
    chart = LineChart(
        label, HEIGHT, _across(cpus), (0, max(*values, 1.0) * 1.05), top=TOP, bottom=BOTTOM, log_x=True,
        says="percent", keep=(0.0,),
    )  # fmt: skip
    _grid(chart, cpus)
    for value in ticks(chart.y.low, chart.y.high):
        chart.level(value, units.percent(value))
    chart.axis()
    _draw(chart, growths)
    return chart.drawn


def _across(cpus: Sequence[int]) -> tuple[float, float]:
    """The range of the horizontal axis."""
    return cpus[0] / 1.08, max(cpus[-1], 2 * cpus[0]) * 1.08


def _grid(chart: LineChart, cpus: Sequence[int]) -> None:
    """A line and a label for each number of CPUs that has room."""
    free = 0.0
    for at in cpus:
        chart.upright(at)
        half = LETTER * len(str(at)) / 2 + 1
        place = min(chart.x(at), WIDTH - half)
        if place - half > free:
            chart.below(place, str(at))
            free = place + half + 2
    chart.title("CPUs")


def _draw(chart: LineChart, growths: Sequence[Growth]) -> None:
    for one in growths:
        chart.curve(one.number, ((chart.x(at), chart.y(value)) for at, value, _ in one.points))
    for one in growths:
        for at, value, about in one.points:
            chart.mark(one.number, at, value, 3.6, about)


def cut(
    rows: Sequence[tuple[str, Mapping[str, float], str]],
    places: Sequence[str],
    show: Callable[[float], str],
    label: str,
    number: int,
) -> Element:
    """A bar per row, all as long, cut by the shares of places. rows: (name, values by place, text at the end).

    show: a value, for tooltips. number: of the design whose rows they are.
    """
    left = max((len(name) for name, _, _ in rows), default=0) * LETTER + 12
    right = max((len(text) for _, _, text in rows), default=0) * LETTER + 8
    height = STEP * len(rows) + 4
    drawn = svg(height, label)
    drawn.set("class", f"plot n{number}")
    add(drawn, line(left, 0, left, height, "axis"))
    for number, (name, values, text) in enumerate(rows):
        y = number * STEP + 4
        total = sum(values.values()) or 1.0
        add(drawn, words(left - 6, y + 12, name, "end"))
        x = left
        for place, value in ((place, values.get(place, 0.0)) for place in places):
            length = (WIDTH - left - right) * value / total
            if length:
                about = f"{name}: {place} {show(value)}, {units.percent(value / total)}"
                add(drawn, rect(x, y, length, BAR, f"p{places.index(place) % COLOURS}", about))
            x += length
        add(drawn, words(WIDTH, y + 12, text, "end"))
    return drawn
