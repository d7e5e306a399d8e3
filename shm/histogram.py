"""Log-linear histograms in shared memory: 16 buckets for each power of two, exact below 16.

Relative width of a bucket is at most 1/16, so a quantile read from it is off by 6.25 % at most.
Values are non-negative integers (cycles or nanoseconds, as the user says); one writer at a time
(each CPU has its own, or a lock is held), readers may look at any time and see a slightly old count.
"""

from __future__ import annotations

from shm.atomics import book, fls, read_book, write_book
from shm.compiler import dual
from shm.layout import struct
from shm.machine import Machine

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
def record(m: Machine, histogram: int, value: int) -> None:
    """Count one value (>= 0)."""
    b = histogram + HISTOGRAM.bucket + bucket_of(value)
    book(m, b, 1)
    book(m, histogram + HISTOGRAM.count, 1)
    book(m, histogram + HISTOGRAM.sum, value)
    if value > read_book(m, histogram + HISTOGRAM.max):
        write_book(m, histogram + HISTOGRAM.max, value)
