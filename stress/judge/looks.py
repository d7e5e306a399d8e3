"""When `run --until-sure` may look at its ratios and stop: at few moments, planned before anything is measured.

Who looks after every pair and stops at the first interval that says something stops by chance sooner or later. So the
looks are fixed: when all of `--seconds` are spent, half of them, a quarter and so on, the first one not before
`FIRST` seconds. By Bonferroni each of n looks gets an n-th of the 5 % that an interval may be wrong: their intervals,
the printed one among them, are of that confidence (98.75 % where there are four). It is a little stricter than it had
to be (the looks share data), needs no assumption about them, and costs up to 1.9 times the launches of a run that
looks once.

A ratio is settled when its verdict is not "cannot tell" and it is known well enough: its interval is narrower than
the band of the margin, or lies beyond the margin as a whole, a difference that is surely noticeable. What is settled
are the frees of every design, or the mixed operations where no frees were timed apart. The 5 % are for each ratio by
itself, not for all of a run together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from stress.judge.ratio import CONFIDENCE, Ratio
from stress.judge.verdict import beyond, judge

FIRST = 6.0  # seconds before which no look is worth its price
MOST = 8  # looks


class Plan:
    """The looks of one run: `due` says when, `looked_at` remembers at how many pairs.

    shares: of the time to measure, when looks are planned. confidence: of the interval at each.
    """

    def __init__(self, seconds: float) -> None:
        looks = 1 + max(0, min(MOST - 1, math.floor(math.log2(seconds / FIRST))))
        self.shares = [0.5**k for k in reversed(range(looks))]
        self.confidence = 1 - (1 - CONFIDENCE) / looks
        self.moments = [share * seconds for share in self.shares]
        self.looked_at: list[int] = []
        self.sure = False

    def due(self, elapsed: float) -> bool:
        """Is it time for a look? Moments that passed together are one look."""
        due = bool(self.moments) and elapsed >= self.moments[0]
        self.moments = [moment for moment in self.moments if moment > elapsed]
        return due

    def look(self, ratios: Iterable[Ratio], margin: float) -> bool:
        """Are all of these ratios, whose intervals have confidence `confidence`, settled?"""
        ratios = list(ratios)
        self.looked_at.append(min((ratio.pairs for ratio in ratios), default=0))
        self.sure = bool(ratios) and all(self._settled(ratio, margin) for ratio in ratios)
        return self.sure

    def _settled(self, ratio: Ratio, margin: float) -> bool:
        """Is there a verdict, and the interval narrower than the band of the margin or beyond it?"""
        verdict = judge(ratio, margin, confidence=self.confidence)
        if verdict is None or verdict.call == "cannot tell":
            return False
        assert ratio.low is not None and ratio.high is not None  # who has a verdict has an interval
        return ratio.high - ratio.low < 2 * margin or bool(beyond(ratio, margin))
