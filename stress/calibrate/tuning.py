"""How often and how long frees must spin so that a comparison shows a requested slowdown.

The cycles of an operation at full speed are measured, and by how much a spin lasts longer than it was told to
(the clock's own time and grain). Spinning has an effect beyond its cycles: it keeps the processor from working
on the operations around it at once, and the CPUs meet at other moments. So what comparisons showed for the
cycles that were spun in them corrects those that follow. Medians over launches are used; and as a machine changes its
pace, the cycles of an operation are learnt anew from every comparison.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median

from scenarios.tape import SECTIONS
from stress.calibrate.samples import Comparison
from stress.calibrate.stage import FULL_SPEED, Compared, Slowness, Stage

SPIN_CYCLES = 2000  # that a spin lasts, about: long beside the clock's grain, short beside a section
LAUNCHES = 3  # of a first try
REMEMBERED = 3  # comparisons from which the cycles of an operation are known
PRIOR = 0.2  # logarithmic slowdown, spun and shown alike, that is believed before any comparison
FREES = {"live": 1.0, "dead": 1.0, "mixed": 0.5}  # of the operations of a section


class Tuner:
    """Slowness for any slowdown of a kind of section, from what is known so far."""

    def __init__(self, kinds: Iterable[int]) -> None:
        kinds = list(kinds)
        self._operation: dict[int, deque[float]] = {kind: deque(maxlen=REMEMBERED) for kind in kinds}  # cycles of one
        self._beyond = dict.fromkeys(kinds, 0.0)  # cycles that a spin is longer than it was told
        self._spun = dict.fromkeys(kinds, PRIOR)
        self._shown = dict.fromkeys(kinds, PRIOR)

    def try_out(self, stage: Stage, kind: int, seed: int) -> None:
        """A few launches with a spin here and there."""
        launches = stage.launches(True, Slowness(SPIN_CYCLES // 5, SPIN_CYCLES, kind), seed)
        launches.try_out()
        tried = [stage.compared(launches.measure(0.0), kind) for _ in range(LAUNCHES)]
        self.learn(kind, tried)
        self._beyond[kind] = median(one.spun_cycles / max(1, one.spins) for one in tried) - SPIN_CYCLES

    def slowness(self, slowdown: float, kind: int) -> Slowness:
        """Spinning that lets a comparison show throughput lower by this fraction; 0 is none."""
        if not slowdown:
            return FULL_SPEED
        # Share of the time to spin.
        wanted = -math.expm1(math.log1p(-slowdown) * self._spun[kind] / self._shown[kind])
        per_free = wanted / (1 - wanted) * median(self._operation[kind]) / FREES[SECTIONS[kind]]
        every = max(1, round(SPIN_CYCLES / per_free))
        return Slowness(every, max(1, round(every * per_free - self._beyond[kind])), kind)

    def learn(self, kind: int, launches: Sequence[Compared]) -> None:
        """What launches showed of the side at full speed."""
        self._operation[kind].append(median(one.cycles for one in launches))

    def recall(self, comparisons: Iterable[Comparison]) -> None:
        """Comparisons that were made: what was spun in them, and what they showed."""
        for comparison in comparisons:
            estimate, kind = comparison.judged[-1].estimate, SECTIONS.index(comparison.kind)
            if comparison.slowdown and estimate is not None and kind in self._spun:
                self._spun[kind] -= math.log1p(-comparison.spun)
                self._shown[kind] = max(self._shown[kind] - math.log(estimate), PRIOR / 10)
