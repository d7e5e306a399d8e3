"""How often and how long frees must spin so that a comparison shows a requested slowdown.

The cycles of an operation at full speed are measured, and by how much a spin lasts longer than it was told to
(the clock's own time and grain). Spinning has an effect beyond its cycles: it keeps the processor from working
on the operations around it at once, and the CPUs meet at other moments. So what comparisons showed for the
cycles that were spun in them corrects those that follow. Medians over blocks (of spins the least) are used, so that
blocks in which the machine did something else count little; and as a machine changes its pace, the cycles of an
operation are learnt anew from every comparison.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median

from stress.calibrate.samples import Comparison
from stress.calibrate.stage import FULL_SPEED, ONE, TWO, Played, Slowness, Stage

BLOCKS = 50  # of each measurement
SPIN_CYCLES = 2000  # that a spin lasts, about: long beside the clock's grain, short beside a block
REMEMBERED = 3  # comparisons from which the cycles of an operation are known
PRIOR = 0.2  # logarithmic slowdown, spun and shown alike, that is believed before any comparison


class Tuner:
    """Slowness for any slowdown, from what is known so far."""

    def __init__(self, stage: Stage) -> None:
        self._operation: deque[float] = deque(maxlen=REMEMBERED)  # cycles of one
        full_speed = [stage.play(ONE) for _ in range(BLOCKS)]
        self._learn_pace(full_speed)
        tried = [stage.play(TWO, Slowness(SPIN_CYCLES // 10, SPIN_CYCLES)) for _ in range(BLOCKS)]
        least = min(played.spun / max(1, played.spins) for played in tried)  # of the block that nothing interrupted
        self._beyond = least - SPIN_CYCLES
        self._frees = median(played.spins * (SPIN_CYCLES // 10) / max(1, played.operations) for played in tried)
        self._spun = self._shown = PRIOR

    def slowness(self, slowdown: float) -> Slowness:
        """Spinning that lets a comparison show throughput lower by this fraction; 0 is none."""
        if not slowdown:
            return FULL_SPEED
        wanted = -math.expm1(math.log1p(-slowdown) * self._spun / self._shown)  # share of the time to spin
        per_free = wanted / (1 - wanted) * median(self._operation) / self._frees
        every = max(1, round(SPIN_CYCLES / per_free))
        return Slowness(every, max(1, round(every * per_free - self._beyond)))

    def learn(self, comparison: Comparison, full_speed: Sequence[Played]) -> None:
        """A comparison that was made, and its blocks at full speed."""
        self._learn_pace(full_speed)
        self.recall([comparison])

    def recall(self, comparisons: Iterable[Comparison]) -> None:
        """Comparisons that were made earlier: what was spun in them, and what they showed."""
        for comparison in comparisons:
            estimate = comparison.judged[-1].estimate
            if comparison.slowdown and estimate is not None:
                self._spun -= math.log1p(-comparison.spun)
                self._shown = max(self._shown - math.log(estimate), PRIOR / 10)

    def _learn_pace(self, blocks: Iterable[Played]) -> None:
        self._operation.append(median(played.cycles / max(1, played.operations) for played in blocks))


def spun_share(played: Played) -> float:
    """Cycles spun / cycles of the timed sections, dimensionless. Frees outside of sections spin too, and count."""
    return played.spun / played.cycles if played.cycles else 0.0
