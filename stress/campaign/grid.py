"""The grid of a study: cells of equal axes but the seed, laid out as small multiples.

An axis along which searches go on until something is found is no axis of the grid: a cell is the last of its searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from stress.campaign.figures import Figure, columns_of
from stress.campaign.study import Study, Value
from stress.campaign.table import Row, column_names

REPEATED = "seed"  # the axis whose values are one cell
# What is shown where the study does not say: the first of these that vary or are not nothing.
SHOWN = {
    "serial": (
        "dead_left",
        "pages_left",
        "list_lock_per_live_free",
        "list_lock_per_dead_free",
        "page_cas_per_dead_free",
    ),
    "simulate": ("dead_left", "ns_live", "ns_dead", "ns_mixed", "rate_frees", "waited", "knee"),
    "explore": ("found", "found_preemptions", "schedules_tried", "exhaustive"),
    "timed": ("ratio_live", "ratio_dead", "ratio_frees", "dead_left"),
}
KNEE = 0.5  # of linear: the most CPUs at which a rate is still that much
_LABELS = {
    "dead_left": "dead caches left",
    "pages_left": "pages left",
    "list_lock_per_live_free": "list_lock taken per live free",
    "list_lock_per_dead_free": "list_lock taken per dead free",
    "page_cas_per_live_free": "page compare-and-swaps per live free",
    "page_cas_per_dead_free": "page compare-and-swaps per dead free",
    "ns_live": "a live free, ns",
    "ns_dead": "a dead free, ns",
    "ns_mixed": "an operation, ns",
    "ns_alloc": "an allocation, ns",
    "ns_frees": "a free, ns",
    "rate_frees": "frees a second, all CPUs together",
    "waited": "share of the CPUs' time spent waiting for locks",
    "busy": "share of the time in which the busiest lock is held",
    "knee": f"scaling knee: the most CPUs at which the rate is {100 * KNEE:g} % of linear or more",
    "found": "what the search found",
    "found_preemptions": "preemptions of what was found",
    "schedules_tried": "schedules looked at",
    "exhaustive": "all schedules within the bound were looked at",
    "ratio_live": "throughput of live frees, over the design before",
    "ratio_dead": "throughput of dead frees, over the design before",
    "ratio_frees": "throughput of frees, over the design before",
}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that differ in their seed only. values: the median of each figure; of texts the commonest."""

    point: dict[str, Value]
    values: dict[str, Figure]
    rows: list[Row]

    @property
    def command(self) -> str:
        """Repeats its first job."""
        return self.rows[0].job.command()


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One small table. facet: the axes that it has one value of. cells[row][column]: None where nothing was played."""

    metric: str
    facet: dict[str, Value]
    rows: list[Value]
    columns: list[Value]
    cells: list[list[Cell | None]]


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. row_axis, column_axis: "" where there are too few axes. bounds: least and greatest of each metric."""

    row_axis: str
    column_axis: str
    facets: list[str]
    metrics: list[str]
    cells: list[Cell]
    panels: list[Panel]
    bounds: dict[str, tuple[float, float]]


def label(metric: str) -> str:
    """A metric as people speak of it."""
    return _LABELS.get(metric, metric.replace("_", " "))


def axis_label(study: Study, axis: str) -> str:
    return column_names(study).get(axis, axis).replace("_", " ")


def make(study: Study, rows: Sequence[Row]) -> Grid:
    """Lay it out: columns are the longest axis of numbers, rows the longest of the rest, unless the study says."""
    searched = {stop.over for stop in study.stop if stop.found}
    apart = [axis for axis in study.axes if axis != REPEATED and axis not in searched]
    axes = [axis for axis in apart if len(study.values(axis)) > 1]
    grouped: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        grouped.setdefault(tuple(row.point[axis] for axis in apart), []).append(row)
    cells = [_cell(study, apart, _last(study, searched, of)) for of in grouped.values()]
    if study.kind == "simulate" and "cpus" in axes:
        cells = _with_knees(study, cells)
    column = study.report.columns or _longest(study, axes, numbers=True)
    row_axis = study.report.rows or _longest(study, [axis for axis in axes if axis != column], numbers=False)
    facets = [axis for axis in axes if axis not in (row_axis, column)]
    metrics = study.report.metrics or _telling(study, cells)
    panels = [panel for metric in metrics for panel in _panels(study, cells, metric, row_axis, column, facets)]
    return Grid(
        row_axis=row_axis, column_axis=column, facets=facets, metrics=metrics, cells=cells, panels=panels,
        bounds={metric: _bounds(cells, metric) for metric in metrics},
    )  # fmt: skip


def _last(study: Study, searched: set[str], of: list[Row]) -> list[Row]:
    """Of searches with more and more preemptions, the last ones: those that found something, or looked at most."""
    for axis in searched:
        values = study.values(axis)
        furthest = max(values.index(row.point[axis]) for row in of)
        of = [row for row in of if values.index(row.point[axis]) == furthest]
    return of


def _cell(study: Study, apart: list[str], of: list[Row]) -> Cell:
    values: dict[str, Figure] = {}
    for name, kind in columns_of(study.kind).items():
        known = [row.figures[name] for row in of if row.figures[name] is not None]
        if kind is str:
            values[name] = max(sorted(set(map(str, known))), key=list(map(str, known)).count) if known else None
        else:
            middle = median([v for v in known if isinstance(v, (int, float))]) if known else None
            values[name] = int(middle) if middle is not None and kind is int and middle == int(middle) else middle
    return Cell(point={axis: of[0].point[axis] for axis in apart}, values=values, rows=of)


def _with_knees(study: Study, cells: list[Cell]) -> list[Cell]:
    """Each cell knows the knee of the curve over CPUs that it is on."""
    curves: dict[tuple[Value, ...], dict[int, float]] = {}

    def curve(cell: Cell) -> tuple[Value, ...]:
        return tuple(value for axis, value in cell.point.items() if axis != "cpus")

    for cell in cells:
        for kind in ("frees", "mixed", "alloc"):
            rate = cell.values.get(f"rate_{kind}")
            if isinstance(rate, (int, float)) and rate:
                curves.setdefault(curve(cell), {})[int(cell.point["cpus"])] = float(rate)
                break
    return [
        msgspec.structs.replace(cell, values=cell.values | {"knee": knee(curves.get(curve(cell), {}))})
        for cell in cells
    ]


def knee(rates: dict[int, float]) -> int | None:
    """The most CPUs at which the rate is `KNEE` of linear, from the fewest on; None without two points."""
    if len(rates) < 2:
        return None
    first = min(rates)
    return max(cpus for cpus, rate in rates.items() if rate / (rates[first] / first * cpus) >= KNEE)


def _longest(study: Study, axes: list[str], numbers: bool) -> str:
    fitting = [a for a in axes if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in study.values(a))]
    return max(fitting if numbers and fitting else axes, key=lambda axis: len(study.values(axis)), default="")


def _telling(study: Study, cells: list[Cell]) -> list[str]:
    """Metrics of which there is anything but nothing."""
    wanted = [name for name in SHOWN[study.kind] if any(cell.values.get(name) for cell in cells)]
    return wanted or [SHOWN[study.kind][0]]


def _bounds(cells: list[Cell], metric: str) -> tuple[float, float]:
    known = [float(value) for cell in cells if isinstance(value := cell.values.get(metric), (int, float))]
    return (min(known), max(known)) if known else (0.0, 0.0)


def _panels(study: Study, cells: list[Cell], metric: str, row_axis: str, column: str, facets: list[str]) -> list[Panel]:
    by_facet: dict[tuple[Value, ...], dict[tuple[Value, Value], Cell]] = {}
    for cell in cells:
        place = (cell.point.get(row_axis, ""), cell.point.get(column, ""))
        by_facet.setdefault(tuple(cell.point[axis] for axis in facets), {})[place] = cell
    down: list[Value] = study.values(row_axis) if row_axis else [""]
    across: list[Value] = study.values(column) if column else [""]
    if metric == "knee" and column == "cpus":  # is one number for the whole curve
        by_facet = {of: {(row, ""): cell for (row, _), cell in there.items()} for of, there in by_facet.items()}
        across = [""]
    return [
        Panel(
            metric=metric,
            facet=dict(zip(facets, of)),
            rows=down,
            columns=across,
            cells=[[there.get((row, col)) for col in across] for row in down],
        )
        for of, there in by_facet.items()
        if any(cell.values.get(metric) is not None for cell in there.values())
    ]
