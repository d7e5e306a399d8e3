"""Pictures of the counted passes: how long operations take by path, and dead caches with what they pin over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from stress.report.table import PATHS, order
from stress.report.table import latency as duration
from stress.result.data import TAIL_STEPS, Latency, Result
from stress.show import curves, units
from stress.show.figure import Figure, designs_legend

QUANTILES = (("p50", "50 %", 2.0), ("p90", "90 %", 10.0), ("p99", "99 %", 100.0), ("p999", "99.9 %", 1000.0))
HEADER = ("", "operations", *(name for _, name, _ in QUANTILES), "longest")


def free_latencies(result: Result) -> Figure | None:
    """How long frees take, by path."""
    return _latencies(result, "How long frees take", "free_")


def alloc_latencies(result: Result) -> Figure | None:
    """How long allocations take, by path."""
    return _latencies(result, "How long allocations take", "alloc_")


def _latencies(result: Result, title: str, prefix: str) -> Figure | None:
    names = order(result)
    floor = max(result.designs[name].clock_ns or 0.0 for name in names)
    return latency_figure(
        title,
        "One counted pass per design, one after the other: unlike throughput they are not paired, and what "
        "disturbs the machine shows at the right. The work of counting is in these times, so they are upper bounds; "
        f"that of the clock ({units.seconds(floor / 1e9)}) is taken off, and what is not longer than that lies in the "
        "grey band.",
        {name: result.designs[name].latency_ns for name in names},
        prefix,
        floor,
    )


def latency_figure(
    title: str, caption: str, designs: Mapping[str, Mapping[str, Latency]], prefix: str, floor: float = 0.0
) -> Figure | None:
    """How long operations take by path, a plot for each path that begins with `prefix`; None if none has been taken.

    designs: a name's latencies by path. floor: ns that cannot be told from nothing.
    """
    names = list(designs)
    paths = [path for path in PATHS if path.startswith(prefix) and any(path in designs[name] for name in names)]
    if not paths:
        return None
    # One scale for all paths of frees and allocations.
    all_ = [latency for found in designs.values() for latency in found.values()]
    rarest, top = max(latency.operations for latency in all_), max(latency.max for latency in all_)
    drawings: list[tuple[str, Element]] = []
    rows: list[tuple[str, ...]] = []
    for path in paths:
        found = [
            (number, name, latency)
            for number, name in enumerate(names)
            if (latency := designs[name].get(path)) is not None
        ]
        drawings.append(
            (
                PATHS[path],
                curves.tails([_tail(*one, floor) for one in found], rarest, floor, top, f"{title}: {PATHS[path]}"),
            )
        )
        rows.append((PATHS[path],))
        rows += [(name, *latency_cells(latency, floor)) for _, name, latency in found]
    return Figure(
        title,
        "Across: of all operations that took a path, the share that was no slower. Up: how long, on a scale of powers "
        f"of ten. {caption}",
        drawings,
        designs_legend(names),
        HEADER,
        rows,
    )


def latency_cells(latency: Latency, floor: float) -> list[str]:
    """The cells of `HEADER` but its first. floor: ns that cannot be told from nothing."""
    values = [getattr(latency, key) for key, _, _ in QUANTILES] + [latency.max]
    return [units.count(latency.operations), *(duration(ns, floor) for ns in values)]


def _tail(number: int, name: str, latency: Latency, floor: float) -> curves.Tail:
    points = [(10 ** (step / TAIL_STEPS), ns) for step, ns in enumerate(latency.tail)]
    points.append((float(latency.operations), latency.max))
    marked = [
        (rarity, getattr(latency, key), f"{name}: {share} took no longer than {duration(getattr(latency, key), floor)}")
        for key, share, rarity in QUANTILES
        if rarity <= latency.operations
    ]
    return curves.Tail(
        number,
        points,
        [*marked, (float(latency.operations), latency.max, f"{name}: the longest: {duration(latency.max, floor)}")],
    )


def over_time(result: Result) -> Figure | None:
    """Dead caches, and the pages and cgroups they pin, from the start of the counted pass to its end."""
    measures = (
        ("dead_caches", "dead caches"),
        ("pages_pinned", "pages charged to removed cgroups"),
        ("cgroups_pinned", "removed cgroups that are pinned"),
    )
    courses = {name: course for name in order(result) if (course := result.designs[name].over_time)}
    if not any(value for course in courses.values() for key, _ in measures for value in getattr(course, key)):
        return None
    longest = max(course.seconds[-1] for course in courses.values())
    numbers = {name: number for number, name in enumerate(order(result))}
    drawings = []
    for key, what in measures:
        drawn = [
            curves.Course(
                numbers[name],
                list(zip(course.seconds, getattr(course, key))),
                f"{name}: {units.count(getattr(course, key)[-1])} {what} at the end",
            )
            for name, course in courses.items()
        ]
        drawings.append((what, curves.courses(drawn, longest, f"{what} over time")))
    return Figure(
        "Dead caches and what they pin, over time",
        "Across: kernel time of each design's counted pass, whose end has a mark; a pass that the machine slowed down "
        "is longer. On the way live objects pin what was removed under every design. What is still there at the mark "
        "is left behind.",
        drawings,
        designs_legend(order(result)),
        ("at", *(what for _, what in measures)),
        [
            row
            for name in courses
            for row in (
                (name,),
                *_moments(courses[name].seconds, *(getattr(courses[name], key) for key, _ in measures)),
            )
        ],
    )


def _moments(seconds: Sequence[float], *columns: Sequence[int]) -> list[tuple[str, ...]]:
    return [(units.seconds(at), *map(units.count, values)) for at, *values in zip(seconds, *columns)]
