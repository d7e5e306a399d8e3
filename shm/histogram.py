"""Log-linear histograms in shared memory: 16 buckets for each power of two, exact below 16.

Relative width of a bucket is at most 1/16, so a quantile read from it is off by 6.25 % at most.
Values are non-negative integers (cycles or nanoseconds, as the user says); one writer at a time
(each CPU has its own, or a lock is held), readers may look at any time and see a slightly old count.
"""

from __future__ import annotations

import numpy as np

from shm.atomics import fls, load, write_once
from shm.compiler import dual
from shm.layout import struct

LINEAR = 16
BUCKETS = LINEAR * 61  # up to 2**63 - 1

HISTOGRAM = struct("HISTOGRAM", "count", "sum", "max", "pad", ("bucket", BUCKETS))


@dual
def bucket_of(value: int) -> int:
    """Index of the bucket that counts `value` (>= 0)."""
    if value < LINEAR:
        return value
    top = fls(value) - 1
    return (top - 3) * LINEAR + ((value >> (top - 4)) & (LINEAR - 1))


def bucket_low(index: int) -> int:
    """The smallest value of a bucket."""
    if index < LINEAR:
        return index
    power, step = divmod(index, LINEAR)
    return (LINEAR + step) << (power - 1)


@dual
def record(m, histogram: int, value: int) -> None:
    """Count one value (>= 0)."""
    b = histogram + HISTOGRAM.bucket + bucket_of(value)
    write_once(m, b, load(m, b) + 1)
    write_once(m, histogram + HISTOGRAM.count, load(m, histogram + HISTOGRAM.count) + 1)
    write_once(m, histogram + HISTOGRAM.sum, load(m, histogram + HISTOGRAM.sum) + value)
    if value > load(m, histogram + HISTOGRAM.max):
        write_once(m, histogram + HISTOGRAM.max, value)


def quantile(buckets: np.ndarray, q: float) -> float:
    """The q-quantile (0..1) of summed buckets, as the lower edge of its bucket; nan when empty."""
    total = int(buckets.sum())
    if total == 0:
        return float("nan")
    rank = min(total - 1, int(q * total))
    return float(bucket_low(int(np.searchsorted(np.cumsum(buckets), rank, side="right"))))
