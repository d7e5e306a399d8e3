"""The cells that differ from the rest, and why: what one axis explains, and what it does not.

On a logarithmic scale the effect of each axis is taken off by medians (Tukey's median polish): what is left says how
far a cell is from what its axes say, one by one. What is beyond four times the usual remainder and beyond 10 % is what
a reader should look at; why, are the other figures of that cell that are furthest from what is expected of them. Texts,
and metrics that may be negative, are not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

import msgspec

from stress.campaign.grid import Cell, Grid
from stress.campaign.study import Value

BEYOND = 4.0  # times the usual remainder
LEAST = 0.10  # a smaller difference, as a share, is none
SLIGHT = 0.05  # of the metric's greatest value in the study: a smaller difference is none either
MOST = 20  # cells that are named
REASONS = 3
_SMOOTH = 0.5  # is added to counts where some are 0, so that these have a logarithm


class Odd(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that stands out. expected: of the metric, by its neighbours. why: (figure, value, expected)."""

    cell: Cell
    metric: str
    value: float
    expected: float
    score: float
    why: list[tuple[str, float, float]]


def find(grid: Grid) -> list[Odd]:
    """The oddest first, each cell once, with the metric that it is oddest in."""
    found: dict[int, Odd] = {}
    rest = {metric: _remainders(grid.cells, metric) for metric in _numeric(grid.cells)}
    for metric in grid.metrics:
        if metric == "knee" or metric not in rest:
            continue
        remainders = rest[metric]
        usual = median([abs(left) for _, left in remainders.values()]) if remainders else 0.0
        for at, (expected, left) in remainders.items():
            score = abs(left) / max(usual, math.log1p(LEAST) / BEYOND)
            if score > BEYOND and abs(left) > math.log1p(LEAST) and (at not in found or score > found[at].score):
                cell = grid.cells[at]
                found[at] = Odd(
                    cell=cell, metric=metric, value=_number(cell, metric) or 0.0, expected=expected, score=score,
                    why=_why(cell, at, metric, rest),
                )  # fmt: skip
    return sorted(found.values(), key=lambda odd: -odd.score)[:MOST]


def _numeric(cells: list[Cell]) -> list[str]:
    names = dict.fromkeys(name for cell in cells for name in cell.values)
    return [name for name in names if any(_number(cell, name) is not None for cell in cells)]


def _number(cell: Cell, name: str) -> float | None:
    value = cell.values.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _remainders(cells: list[Cell], metric: str) -> dict[int, tuple[float, float]]:
    """By the cell's place in the list: (expected, logarithm of the value over it); {} where that says nothing."""
    values = {at: number for at, cell in enumerate(cells) if (number := _number(cell, metric)) is not None}
    if len(values) < 4 or min(values.values()) < 0:
        return {}
    smooth = 0.0
    if not all(values.values()):
        whole = all(v == int(v) for v in values.values())
        smooth = _SMOOTH if whole else min((v for v in values.values() if v), default=1.0) / 2
    logs = {at: math.log(value + smooth) for at, value in values.items()}
    axes = [axis for axis in cells[0].point if len({repr(cells[at].point[axis]) for at in logs}) > 1]
    if len(axes) < 2:
        return {}
    left = _polished({at: (cells[at].point, log) for at, log in logs.items()}, axes)
    slight = SLIGHT * max(values.values())
    found = {at: (max(0.0, round(math.exp(logs[at] - rest) - smooth, 9)), rest) for at, rest in left.items()}
    return {at: (said, rest if abs(values[at] - said) > slight else 0.0) for at, (said, rest) in found.items()}


def _polished(known: Mapping[int, tuple[dict[str, Value], float]], axes: list[str]) -> dict[int, float]:
    """Median polish (Tukey): what is left of the logarithms when each axis' effect is taken off, twice over."""
    left = {at: log for at, (_, log) in known.items()}
    for _ in range(3):
        for axis in axes:
            groups: dict[Value, list[int]] = {}
            for at, (point, _) in known.items():
                groups.setdefault(point[axis], []).append(at)
            for members in groups.values():
                middle = median(left[at] for at in members)
                for at in members:
                    left[at] -= middle
    return left


def _why(
    cell: Cell, at: int, metric: str, rest: dict[str, dict[int, tuple[float, float]]]
) -> list[tuple[str, float, float]]:
    others = [
        (abs(of[at][1]), name, of[at][0]) for name, of in rest.items() if name not in (metric, "knee") and at in of
    ]
    return [
        (name, _number(cell, name) or 0.0, expected)
        for left, name, expected in sorted(others, reverse=True)[:REASONS]
        if left > math.log1p(LEAST)
    ]
