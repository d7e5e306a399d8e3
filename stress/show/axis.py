"""Scales of plots: from numbers to places on paper, with ticks at round numbers. Lengths are in units of the SVG."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """Maps low…high to start…end, linearly or (log) by ratios."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return self.start + (self.end - self.start) * (value - low) / (high - low)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within low…high, roughly so many."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """The range of the values with some room at both ends; never empty."""
    values = list(values)
    low, high = min(values), max(values)
    room = (high - low) * share or abs(high) * share or 1.0
    return low - room, high + room


def ratio_range(values: Iterable[float], least: float) -> tuple[float, float]:
    """The range of ratios that holds the values and 1 / least … least, with some room at both ends."""
    values = list(values)
    low, high = min(*values, 1 / least), max(*values, least)
    room = (high / low) ** 0.06
    return low / room, high * room
