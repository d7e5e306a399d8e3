"""Log-linear histograms: buckets, quantiles, and how far off they may be."""

from __future__ import annotations

import math

import numpy as np
from bare_machine import BareMachine
from hypothesis import given
from hypothesis import strategies as st

from shm.histogram import BUCKETS, HISTOGRAM, bucket_low, bucket_of, quantile, record

values = st.integers(0, 2**63 - 1) | st.integers(0, 1000)


@given(values)
def test_a_bucket_holds_its_value_and_is_narrow(value):
    bucket = bucket_of(value)
    assert 0 <= bucket < BUCKETS
    low, following = bucket_low(bucket), bucket_low(bucket + 1)
    assert low <= value < following
    assert following - low <= max(1, low / 16)


def test_buckets_follow_each_other():
    lows = [bucket_low(i) for i in range(BUCKETS)]
    assert lows == sorted(set(lows))
    assert [bucket_of(low) for low in lows] == list(range(BUCKETS))


@given(st.lists(values.map(lambda v: v >> 8), min_size=1, max_size=60), st.sampled_from((0.0, 0.5, 0.99, 1.0)))
def test_recorded_values_and_their_quantiles(some, q):
    bare = BareMachine(histogram=HISTOGRAM.SIZE)
    base = bare.at["histogram"]
    for value in some:
        record(bare.cpu(0), base, value)
    assert list(bare.mem[base : base + 3]) == [len(some), sum(some), max(some)]
    buckets = np.array(bare.mem[base + HISTOGRAM.bucket : base + HISTOGRAM.SIZE])
    assert buckets.sum() == len(some)
    exact = sorted(some)[min(len(some) - 1, int(q * len(some)))]
    assert exact * (1 - 1 / 16) <= quantile(buckets, q) <= exact


def test_nothing_recorded_has_no_quantile():
    assert math.isnan(quantile(np.zeros(BUCKETS, np.int64), 0.5))
