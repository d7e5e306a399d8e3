"""The pictures of a result: which there are, what is drawn in each, and the same numbers as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from statistics import geometric_mean, median

from stress.report.counted import alloc_latencies, free_latencies, over_time
from stress.report.table import lock_name, order, place_name
from stress.result.data import BlockSample, Design, Result
from stress.show import charts, shapes, units
from stress.show.figure import Figure, designs_legend

# A rate's name -> (what it is the rate of, the same in short)
KINDS = {
    "live": ("frees into live caches", "frees, live"),
    "dead": ("frees into dead caches", "frees, dead"),
    "alloc": ("allocations", "allocations"),
    "mixed": ("mixed allocations and frees", "mixed"),
}
MAX_MARKS = 600  # of one plot; more launches than these are joined
MAX_RATIOS = 200  # of one design in one plot; as above


def figures(result: Result) -> Iterator[Figure]:
    """All pictures for which the result has figures, in the order of a page."""
    for make in (
        _ratios,
        _by_launch,
        _throughput,
        over_time,
        _left,
        _hidden,
        _operations,
        free_latencies,
        alloc_latencies,
    ):
        figure = make(result)
        if figure is not None:
            yield figure


def _ratios(result: Result) -> Figure | None:
    intervals, rows = [], []
    for number, name in enumerate(order(result)):
        if name not in result.ratios:
            continue
        for kind, (_, short) in KINDS.items():
            value = getattr(result.ratios[name], kind)
            if value.estimate is not None:
                text = units.ratio(value)
                intervals.append(
                    charts.Interval(f"{name}: {short}", number, value.estimate, value.low, value.high, text)
                )
                rows.append(
                    (
                        f"{name}: {short}",
                        *map(_three, (value.estimate, value.low, value.high)),
                        units.count(value.pairs),
                    )
                )
    if not intervals:
        return None
    level = units.percent(result.confidence)
    return Figure(
        f"Throughput against {result.baseline}",
        f"{_typical(result)} with its {level} interval. An interval inside the grey band "
        f"(±{units.percent(result.margin)}) is called equivalent; one that crosses the middle line may be no change "
        "at all.",
        [("", charts.forest(intervals, result.margin, f"Ratios of throughput to {result.baseline}"))],
        [],
        ("", "ratio", "low", "high", "pairs of blocks" if _old(result) else "launches"),
        rows,
    )


def _old(result: Result) -> bool:
    """Was it timed in pairs of blocks, before there were launches?"""
    return result.turns is None and not result.serial


def _typical(result: Result) -> str:
    return "Ratio of paired blocks" if _old(result) else "Typical ratio of a launch"


def _by_launch(result: Result) -> Figure | None:
    """The ratios that the intervals are made of, launch by launch."""
    drawings, rows = [], []
    one = "pair of blocks" if _old(result) else "launch"
    for kind, (what, short) in KINDS.items():
        scatters = []
        for number, name in enumerate(order(result)):
            if name not in result.ratios:
                continue
            value = getattr(result.ratios[name], kind)
            points = _launch_ratios(result, name, kind)
            if not points or value.estimate is None:
                continue
            label = f"{name}: {short}"
            spots = [
                (
                    (first + last) / 2 + (not _old(result)),
                    ratio,
                    f"{label}, {_launch(result, first, last)}: {ratio:.3f}",
                )
                for first, last, ratio in points
            ]
            scatters.append(
                charts.Scatter(number, spots, value.estimate, value.low, value.high, f"{label}: {units.ratio(value)}")
            )
            rows += [(label, _launch(result, first, last), _three(ratio)) for first, last, ratio in points]
        if scatters:
            drawings.append((what, charts.scatter(scatters, result.margin, one, f"Ratio in each {one}, {what}")))
    if not drawings:
        return None
    return Figure(
        f"Ratio to {result.baseline}, {one} by {one}",
        f"A small mark is the ratio that one {one} gave; at the right the interval that they make. "
        f"Grey: ±{units.percent(result.margin)}.",
        drawings,
        [entry for number, entry in enumerate(designs_legend(order(result))) if number],
        ("", one, "ratio"),
        rows,
    )


def _launch_ratios(result: Result, name: str, kind: str) -> list[tuple[int, int, float]]:
    """(first, last, ratio) of launches in which both designs were measured; too many are joined with neighbours."""
    rates: dict[str, dict[int, list[float]]] = {result.baseline: {}, name: {}}
    for block in result.blocks:
        rate = _rate(block, kind)
        if block.design in rates and not block.warmup and rate:
            rates[block.design].setdefault(block.pair, []).append(rate)
    before, after = rates[result.baseline], rates[name]
    both = [
        (pair, geometric_mean(after[pair]) / geometric_mean(before[pair])) for pair in sorted(before) if pair in after
    ]
    size = -(-len(both) // MAX_RATIOS) or 1
    groups = [both[i : i + size] for i in range(0, len(both), size)]
    return [(group[0][0], group[-1][0], median(ratio for _, ratio in group)) for group in groups]


def _launch(result: Result, first: int, last: int) -> str:
    """ "launch 3": people count launches from 1, and old results' pairs as they were numbered."""
    one, many, shift = ("pair", "pairs", 0) if _old(result) else ("launch", "launches", 1)
    return f"{one} {first + shift}" if first == last else f"{many} {first + shift}–{last + shift}"


def _three(value: float | None) -> str:
    return units.UNKNOWN if value is None else f"{value:.3f}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Point:
    """What one launch played under a design, or neighbours joined: medians of their rates.

    at: seconds of timed play before its middle.
    """

    design: str
    at: float
    blocks: list[BlockSample]

    def rate(self, kind: str) -> float | None:
        rates = [rate for block in self.blocks if (rate := _rate(block, kind)) is not None]
        return median(rates) if rates else None

    @property
    def poor(self) -> bool:
        return any(block.grade == "poor" for block in self.blocks)

    def name(self, result: Result) -> str:
        first, last = self.blocks[0], self.blocks[-1]
        return "warm-up" if first.warmup else _launch(result, first.pair, last.pair)


def _rate(block: BlockSample, kind: str) -> float | None:
    return getattr(block.operations_per_second if kind in ("alloc", "mixed") else block.frees_per_second, kind)


def _points(result: Result) -> list[_Point]:
    """The blocks in the order they were played; too many of them are joined with their neighbours, warm-ups never."""
    joined = -(-len(result.blocks) // MAX_MARKS)
    points: list[_Point] = []
    filling: dict[str, _Point] = {}  # by design, the point that takes its next block
    at = 0.0
    for block in result.blocks:
        middle = at + block.wall_seconds / 2
        at += block.wall_seconds
        group = None if block.warmup else filling.get(block.design)
        if group is not None and len(group.blocks) < joined:
            group.blocks.append(block)
            continue
        point = _Point(block.design, middle, [block])
        points.append(point)
        if not block.warmup:
            filling[block.design] = point
    return points


def _throughput(result: Result) -> Figure | None:
    points = _points(result)
    kinds = [kind for kind in KINDS if any(point.rate(kind) for point in points)]
    if not kinds:
        return None
    names = order(result)
    one = "block" if _old(result) else "launch"
    drawings = []
    for kind in kinds:
        series = []
        for name in names:
            own = [(point, rate) for point in points if point.design == name and (rate := point.rate(kind)) is not None]
            dots = [
                charts.Dot(
                    point.at,
                    rate,
                    f"{name}, {point.name(result)}: {units.rate(rate)}/s",
                    point.blocks[0].warmup,
                    point.poor,
                )
                for point, rate in own
            ]
            measured = [
                rate
                for block in result.blocks
                if block.design == name and not block.warmup and (rate := _rate(block, kind)) is not None
            ]
            series.append(charts.Series(name, dots, median(measured) if measured else None))
        what = KINDS[kind][0]
        drawings.append((f"{what}, per second", charts.throughput(series, f"{what} per second, {one} by {one}")))
    many = "blocks" if _old(result) else "launches"
    joined = f" Neighbouring {many} are joined to their median." if len(points) < len(result.blocks) else ""
    pairs = (
        "Blocks of a pair stand side by side, so what slows the machine slows both."
        if _old(result)
        else "The designs of a launch stand side by side; they took turns, so what slows the machine slows all."
    )
    return Figure(
        f"Throughput of each {one} over time",
        f"All CPUs together. Hollow: warm-up, used in no figure. Ringed: the machine disturbed the {one} badly. "
        f"Lines: medians. {pairs}{joined}",
        drawings,
        designs_legend(names),
        ("at second", "design", one, *(f"{KINDS[kind][1]}/s" for kind in kinds), "grade"),
        [
            (
                f"{p.at:.2f}",
                p.design,
                p.name(result),
                *(units.rate(p.rate(kind)) for kind in kinds),
                ", ".join(dict.fromkeys(b.grade for b in p.blocks)),
            )
            for p in points
        ],
    )


def _grouped(
    result: Result, title: str, caption: str, measures: Sequence[tuple[str, Callable[[Design], float | None], Callable]]
) -> Figure | None:
    """Bars of every measure that some design has more than nothing of."""
    names = order(result)
    groups = [charts.Bars(label, [get(result.designs[name]) for name in names], show) for label, get, show in measures]
    groups = [group for group in groups if any(group.values)]
    if not groups:
        return None
    return Figure(
        title, caption, [("", charts.bars(groups, names, title))], [], ("", *names),
        [(group.title, *map(group.show, group.values)) for group in groups],
    )  # fmt: skip


def _left(result: Result) -> Figure | None:
    measures = [
        ("dead caches", lambda d: d.dead_caches.left, units.count),
        ("slabs of theirs", lambda d: d.slabs_left, units.count),
        ("pages pinned", lambda d: d.pages_left, units.count),
        ("cgroups pinned", lambda d: d.cgroups_pinned, units.count),
    ]
    return _grouped(
        result,
        "What is left at the end",
        "Exact counts, over all counted passes. Each group has a scale of its own.",
        measures,
    )


def _hidden(result: Result) -> Figure | None:
    names = order(result)
    places = list(dict.fromkeys(place for name in names for place in result.designs[name].empty_slabs))
    rows = [(name, {place_name(place): n for place, n in result.designs[name].empty_slabs.items()}) for name in names]
    if not any(n for _, row in rows for n in row.values()):
        return None
    shown = [place_name(place) for place in places]
    title = "Where empty slabs of dead caches hide"
    return Figure(
        title,
        "A cache can go only when its last slab has gone. These slabs hold no object any more, and nobody gives them "
        "back.",
        [("", charts.stacked(rows, shown, title))],
        [(shapes.swatch(f"p{number % shapes.COLOURS}"), place) for number, place in enumerate(shown)],
        ("", *shown, "together"),
        [
            (name, *(units.count(row.get(place, 0)) for place in shown), units.count(sum(row.values())))
            for name, row in rows
        ],
    )


def _operations(result: Result) -> Figure | None:
    def of(part: str, key: str) -> Callable[[Design], float | None]:
        return lambda design: getattr(getattr(design, part), key) if getattr(design, part) is not None else None

    lock = lock_name(result.allocator)
    measures = [
        (label + tail, of(part, key), units.per_unit)
        for key, label in (
            ("list_lock", f"{lock} acquisitions"),
            ("list_lock_contended", f"{lock} contended"),
            ("page_cas", "page CAS"),
            ("page_cas_failed", "page CAS failed"),
        )
        for part, tail in (("per_free", ""), ("per_dead_free", ", into dead caches only"))
    ]
    caption = "Exact counts of the counted passes, divided by the frees. Each group has a scale of its own."
    return _grouped(result, "Operations per free", caption, measures)
