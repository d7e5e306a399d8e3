"""A promise of the benchmark, as data, and whether it is kept."""

from __future__ import annotations

from typing import Literal

import msgspec

from stress.judge.ratio import Ratio

Unit = Literal["ratio", "seconds"]
Sense = Literal["at most", "at least"]


class Goal(msgspec.Struct, kw_only=True, frozen=True):
    """One promise: `value` is to be at most, or at least, `limit`.

    value is None when it was not measured; `why` says why not. low and high bound a ratio's interval.
    """

    name: str
    unit: Unit
    sense: Sense
    limit: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    met: bool | None = None
    why: str | None = None


def one_goal(
    name: str, unit: Unit, sense: Sense, limit: float, measured: Ratio | float | None, why: str | None = None
) -> Goal:
    """A promise and what was measured of it; None: nothing was, and `why` says why not."""
    ratio = measured if isinstance(measured, Ratio) else Ratio(estimate=measured)
    value = ratio.estimate
    if value is None:
        return Goal(name=name, unit=unit, sense=sense, limit=limit, why=why)
    met = value <= limit if sense == "at most" else value >= limit
    return Goal(name=name, unit=unit, sense=sense, limit=limit, value=value, low=ratio.low, high=ratio.high, met=met)
