"""Early stops: which values of an axis need not be played any more, for each combination of the other axes.

What counts are the first values of the axis, in the study's order, that suffice: so what a study shows does not depend
on the order in which its jobs came to an end. Results beyond them, of jobs that were under way, are kept and not shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from stress.campaign.figures import Figure
from stress.campaign.study import Stop, Study, Value

CONFIDENCE = 0.95
Point = dict[str, Value]
_Cell = tuple[Value, ...]


class Stops:
    """What is known of a study's early stops. Results are told by `heard`, in any order."""

    def __init__(self, study: Study) -> None:
        self._rules = [
            (stop, {value: number for number, value in enumerate(study.values(stop.over))}) for stop in study.stop
        ]
        self._heard: list[dict[_Cell, dict[int, Figure]]] = [{} for _ in self._rules]
        self._ends: list[dict[_Cell, int]] = [{} for _ in self._rules]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def heard(self, point: Point, figures: dict[str, Figure]) -> None:
        """A job has come to its end."""
        for at, (stop, numbers) in enumerate(self._rules):
            cell = _cell(point, stop.over)
            if cell in self._ends[at] and self._ends[at][cell] <= numbers[point[stop.over]]:
                continue
            heard = self._heard[at].setdefault(cell, {})
            heard[numbers[point[stop.over]]] = figures["found"] if stop.found else figures[stop.metric]
            end = _end(stop, heard)
            if end is not None:
                self._ends[at][cell] = end

    def needless(self, point: Point) -> bool:
        """Does a rule say that this point tells nothing more?"""
        for at, (stop, numbers) in enumerate(self._rules):
            end = self._ends[at].get(_cell(point, stop.over))
            if end is not None and numbers[point[stop.over]] >= end:
                return True
        return False


def _cell(point: Point, over: str) -> _Cell:
    return tuple(value for axis, value in point.items() if axis != over)


def _end(stop: Stop, heard: dict[int, Figure]) -> int | None:
    """How many of the first values suffice; None as long as they do not."""
    first: list[Figure] = []
    while len(first) in heard:
        first.append(heard[len(first)])
        if stop.found:
            if first[-1]:
                return len(first)
        elif len(first) >= stop.least and narrow(
            [float(value) for value in first if isinstance(value, (int, float))], stop.width
        ):
            return len(first)
    return None


def narrow(values: Sequence[float], width: float) -> bool:
    """Is the interval of their mean (Student's t) narrower, from end to end, than this share of the mean?"""
    if len(values) < 2:
        return False
    from scipy.stats import t

    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return 2 * half <= width * abs(fmean(values))
