"""Latencies of a counted pass, from the histograms of its CPUs to quantiles in nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shm.histogram import BUCKETS, HISTOGRAM, bucket_low
from stress.play.arena import Arena
from stress.engine import LATENCY, PATHS
from stress.result.data import TAIL_STEPS, Latency
from stress.measure.records import Latencies


def read_latencies(arena: Arena, cycles_per_ns: float) -> dict[str, Latencies]:
    """By path, all CPUs together; paths that no operation took are left out."""
    found = {}
    areas = [arena.plan["latencies"] + cpu * LATENCY.SIZE + LATENCY.path for cpu in range(arena.load.cpus)]
    for number, path in enumerate(PATHS):
        histograms = [arena.words[a + number * HISTOGRAM.SIZE :][: HISTOGRAM.SIZE] for a in areas]
        buckets = sum(h[HISTOGRAM.bucket : HISTOGRAM.bucket + BUCKETS] for h in histograms)
        if buckets.any():
            longest = max(int(h[HISTOGRAM.max]) for h in histograms)
            found[path] = Latencies({_middle(int(b)) / cycles_per_ns: int(buckets[b]) for b in np.flatnonzero(buckets)}, longest / cycles_per_ns)
    return found


def clock_ns(arena: Arena, cycles_per_ns: float) -> float:
    """What reading the counter costs, which is taken off the latencies: that of the slowest CPU."""
    return float(arena.latencies()["clock"].max()) / cycles_per_ns


def _middle(bucket: int) -> float:
    """The mean of the whole numbers that a bucket counts."""
    return (bucket_low(bucket) + bucket_low(bucket + 1) - 1) / 2


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
        rank = min(total - 1, math.ceil(total * (1 - share)) - 1)
        return round(min(longest, float(values[np.searchsorted(upto, max(rank, 0), side="right")])), 2)

    tail = [exceeded_by(10 ** (-step / TAIL_STEPS)) for step in range(math.floor(TAIL_STEPS * math.log10(total)) + 1)]
    p50, p90, p99, p999 = map(exceeded_by, (0.5, 0.1, 0.01, 0.001))
    return Latency(operations=total, p50=p50, p90=p90, p99=p99, p999=p999, max=round(longest, 2), tail=tail)
