"""Log-linear histograms: buckets, and how narrow they are."""

from __future__ import annotations

from collections import Counter

from bare_machine import BareMachine
from hypothesis import given
from hypothesis import strategies as st

from shm.histogram import BUCKETS, HISTOGRAM, bucket_low, bucket_of, record

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


@given(st.lists(values.map(lambda v: v >> 8), min_size=1, max_size=60))
def test_recorded_values_are_counted_in_their_buckets(some):
    bare = BareMachine(histogram=HISTOGRAM.SIZE)
    base = bare.at["histogram"]
    for value in some:
        record(bare.cpu(0), base, value)
    assert list(bare.mem[base : base + 3]) == [len(some), sum(some), max(some)]
    counted = enumerate(bare.mem[base + HISTOGRAM.bucket : base + HISTOGRAM.SIZE])
    assert {bucket: count for bucket, count in counted if count} == Counter(map(bucket_of, some))
