"""A block of work again and again, until its share of the time is spent: the median and the spread of what one took."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from statistics import median, quantiles

from stress.machine.result import Measured
from stress.process import ending
from stress.process.errors import DamagedRun

LEAST = 5  # blocks
MOST = 400
IGNORED = 2  # the first ones: they fill caches and branch predictors

Clock = Callable[[], int]  # nanoseconds


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """Nanoseconds of a unit of work, a figure for each block."""

    ns: tuple[float, ...]

    def measured(self, name: str, how: str) -> Measured:
        """The median and the spread. Raises DamagedRun for what can be no duration: the clock must be broken."""
        middle = median(self.ns)
        if not 0 < middle < 1e12:
            raise DamagedRun(
                f"{name}: measured as {middle:g} ns, which cannot be; is the clock of this machine broken?"
            )
        low, _, high = quantiles(self.ns, n=4)
        spread = (high - low) / 2 / middle
        return Measured(name=name, ns=round(middle, 3), spread=round(spread, 4), repeats=len(self.ns), how=how)


def repeated(block: Callable[[], int], seconds: float, clock: Clock = time.perf_counter_ns) -> Times:
    """Times of `block`, which returns its units of work, for about so many seconds and at least LEAST blocks."""
    times: list[float] = []
    until = time.monotonic() + seconds
    while len(times) < LEAST + IGNORED or (time.monotonic() < until and len(times) < MOST):
        ending.check()
        began = clock()
        units = block()
        times.append((clock() - began) / units)
    return Times(tuple(times[IGNORED:]))
