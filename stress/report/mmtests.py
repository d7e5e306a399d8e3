"""A result in the columns of mmtests' compare-kernels, which kernel developers read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, harmonic_mean, stdev

from stress.report.export import BENCHMARKS, RATES, rate_of
from stress.report.table import order
from stress.result.data import Result

# mmtests' name of a figure -> (of what values, is less better?)
_FIGURES: dict[str, tuple[Callable[[list[float]], float], bool]] = {
    "Min": (min, False),
    "Hmean": (harmonic_mean, False),
    "Stddev": (lambda values: stdev(values) if len(values) > 1 else 0.0, True),
    "CoeffVar": (lambda values: 100 * stdev(values) / fmean(values) if len(values) > 1 else 0.0, True),
    "Max": (max, False),
}
_LATENCIES = {"50.0th": "p50", "90.0th": "p90", "99.0th": "p99", "99.9th": "p999"}
_OPS = {
    "dead-caches-left": lambda d: d.dead_caches.left,
    "pages-pinned": lambda d: d.pages_left,
    "cgroups-pinned": lambda d: d.cgroups_pinned,
}


def compare_columns(result: Result) -> str:
    """Rates of the launches, latencies of the counted passes (ns) and what is left, a column per design.

    Percent are gains against the baseline, so that a plus is better in every row. Stars are about means of rates and
    mean that the interval of the launches' ratio excludes no change; mmtests itself tests unpaired means.
    """
    names = order(result)
    rows = [*_rates(result, names), *_latencies(result, names), *_left(result, names)]
    label = max((len(f"{kind} {what}") for kind, what, _ in rows), default=0) + 3
    widths = [max([len(name), *(len(cells[i]) for _, _, cells in rows)]) + 3 for i, name in enumerate(names)]
    kinds = max((len(kind) for kind, _, _ in rows), default=0)
    lines = [" " * (label + kinds) + "".join(name.rjust(width) for name, width in zip(names, widths, strict=True))]
    for kind, what, cells in rows:
        lines.append(
            f"{kind:<{kinds}} {what}".ljust(label + kinds)
            + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        )
    return "\n".join(lines) + "\n"


def _rates(result: Result, names: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    for kind in RATES:
        values = [
            [r for b in result.blocks if b.design == name and not b.warmup and (r := rate_of(b, kind))]
            for name in names
        ]
        if not values[0]:
            continue
        for figure, (of, less) in _FIGURES.items():
            cells = []
            for name, measured in zip(names, values, strict=True):
                sure = figure == "Hmean" and _excludes_one(result, name, kind)
                cells.append(_cell(of(values[0]), of(measured) if measured else None, less, sure))
            yield figure, f"{BENCHMARKS[kind].lower().replace('/', '-')}/s", cells


def _excludes_one(result: Result, name: str, kind: str) -> bool:
    ratio = getattr(result.ratios[name], kind) if name in result.ratios else None
    return ratio is not None and ratio.low is not None and ratio.high is not None and (ratio.low > 1 or ratio.high < 1)


def _latencies(result: Result, names: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    found = [result.designs[name].latency_ns for name in names]
    least = max(result.designs[name].clock_ns or 0.0 for name in names)  # what is shorter cannot be told from it
    for path in found[0]:
        for title, key in _LATENCIES.items():
            values = [max(getattr(one[path], key), least) if path in one else None for one in found]
            yield "Lat", f"{title}-{path.replace('_', '-')}", [_cell(values[0], value, True, False) for value in values]


def _left(result: Result, names: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    for what, get in _OPS.items():
        values = [get(result.designs[name]) for name in names]
        if values[0] is not None:
            yield "Ops", what, [_cell(values[0], value, True, False) for value in values]


def _cell(before: float | None, value: float | None, less_is_better: bool, sure: bool) -> str:
    """12345.00 (   1.23%), with stars when the change is sure; a change from nothing has no percentage."""
    if value is None or before is None:
        return "-"
    if not before:
        gain = "   0.00%" if not value else "       -"
    else:
        gain = f"{100 * ((before - value) if less_is_better else (value - before)) / before:7.2f}%"
    return f"{value:.2f} *{gain}*" if sure else f"{value:.2f} ({gain})"
