"""Latencies of a counted pass, from the histograms of its CPUs to quantiles in nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stress.measure.records import Latencies
from stress.result.data import TAIL_STEPS, Latency


def summarise(latencies: Sequence[Latencies]) -> Latency:
    """Quantiles of one path, over several counted passes together. A bucket's values count as its middle."""
    counts: dict[float, int] = {}
    for one in latencies:
        for ns, count in one.buckets.items():
            counts[ns] = counts.get(ns, 0) + count
    longest = max(one.longest for one in latencies)
    values = np.array(sorted(counts))
    upto = np.cumsum([counts[ns] for ns in values])
    total = int(upto[-1])

    def exceeded_by(share: float) -> float:
        """What at most this share of the operations took longer than."""
        rank = max(0, math.ceil(total * (1 - share)) - 1)
        return round(min(longest, float(values[np.searchsorted(upto, rank, side="right")])), 2)

    tail = [exceeded_by(10 ** (-step / TAIL_STEPS)) for step in range(math.floor(TAIL_STEPS * math.log10(total)) + 1)]
    p50, p90, p99, p999 = map(exceeded_by, (0.5, 0.1, 0.01, 0.001))
    return Latency(operations=total, p50=p50, p90=p90, p99=p99, p999=p999, max=round(longest, 2), tail=tail)
