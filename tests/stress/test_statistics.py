"""Ratios with intervals, quantiles and rates."""

import itertools
import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stress.judge import ratio as stats

positive = st.floats(0.01, 100.0)
ratios = st.lists(st.floats(0.5, 2.0), min_size=stats.MIN_PAIRS, max_size=20)
few_examples = settings(max_examples=25)


@given(st.lists(positive, min_size=stats.MIN_PAIRS, max_size=20))
@few_examples
def test_identical_samples_have_ratio_one(rates):
    same = dict(enumerate(rates))
    ratio = stats.estimate_ratio(stats.pair_ratios(same, same))
    assert ratio.estimate == pytest.approx(1.0)
    assert ratio.low <= 1.0 <= ratio.high


@given(ratios, st.floats(0.01, 100.0))
@few_examples
def test_scaling_all_ratios_scales_estimate_and_interval(values, factor):
    plain = stats.estimate_ratio(values)
    scaled = stats.estimate_ratio([v * factor for v in values])
    for name in ("estimate", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(factor * getattr(plain, name), rel=1e-9)


@given(ratios)
@few_examples
def test_interval_holds_the_estimate_and_stays_inside_the_values(values):
    ratio = stats.estimate_ratio(values)
    assert min(values) * (1 - 1e-9) <= ratio.low <= ratio.estimate * (1 + 1e-9)
    assert ratio.estimate * (1 - 1e-9) <= ratio.high <= max(values) * (1 + 1e-9)
    assert ratio.pairs == len(values)


@given(ratios)
@few_examples
def test_swapping_before_and_after_inverts_the_estimate(values):
    assert stats.estimate_ratio([1 / v for v in values]).estimate == pytest.approx(
        1 / stats.estimate_ratio(values).estimate
    )


@pytest.mark.parametrize("shift", [0.8, 0.98, 1.0, 1.05, 3.0])
def test_a_known_shift_is_found_through_shared_drift(shift):
    import numpy as np

    rng = np.random.default_rng(7)
    drift = np.exp(np.cumsum(rng.normal(0, 0.2, 30)))  # the machine's speed wanders by far more than the shift
    before = dict(enumerate(drift * np.exp(rng.normal(0, 0.004, 30))))
    after = dict(enumerate(drift * shift * np.exp(rng.normal(0, 0.004, 30))))
    ratio = stats.estimate_ratio(stats.pair_ratios(before, after))
    assert ratio.low <= shift <= ratio.high
    assert ratio.estimate == pytest.approx(shift, rel=0.005)


def test_the_interval_holds_the_truth_about_as_often_as_it_promises():
    import numpy as np

    rng = np.random.default_rng(3)
    held = 0
    for seed in range(150):
        ratio = stats.estimate_ratio(np.exp(0.05 * rng.standard_t(3, 10)), seed=seed)
        held += ratio.low <= 1 <= ratio.high
    assert held >= 0.9 * 150


@given(st.lists(st.lists(positive, min_size=3, max_size=3), min_size=1, max_size=9))
def test_the_estimate_is_the_median_of_all_means_of_two(columns):
    """Along either axis, and for ratios on their logarithms."""
    want = [
        statistics.median((a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2))
        for values in zip(*columns)
    ]
    assert list(stats.hodges_lehmann(columns, axis=0)) == pytest.approx(want)
    assert list(stats.hodges_lehmann(list(zip(*columns)))) == pytest.approx(want)
    assert stats.estimate_ratio([math.exp(row[0] / 100) for row in columns]).estimate == pytest.approx(
        math.exp(want[0] / 100)
    )


@pytest.mark.parametrize(("count", "confidence"), [(5, 0.95), (20, 0.95), (20, 0.9875)])
def test_the_level_is_widened_as_hesterberg_says(monkeypatch, count, confidence):
    """The tail of the percentile interval is the normal's at t * sqrt(n / (n - 1)), t of n - 1 degrees."""
    import numpy as np
    from scipy import stats as scipy_stats

    asked = {}
    bootstrap = scipy_stats.bootstrap
    monkeypatch.setattr(
        scipy_stats, "bootstrap", lambda *args, **kwargs: asked.update(kwargs) or bootstrap(*args, **kwargs)
    )
    values = np.linspace(0.9, 1.1, count)
    ratio = stats.estimate_ratio(values, confidence=confidence)
    t = scipy_stats.t.isf((1 - confidence) / 2, count - 1)
    tail = scipy_stats.norm.sf(t * math.sqrt(count / (count - 1)))
    assert (1 - asked["confidence_level"]) / 2 == pytest.approx(tail)
    assert asked["batch"] * count * (count + 1) / 2 <= 2_000_000 < (asked["batch"] + 1) * count * (count + 1) / 2
    # The same values drawn here and the same tail cut off: scipy's interval is no other than the percentiles.
    drawn = np.random.default_rng(5).choice(np.log(values), (2000, count))
    low, high = np.quantile(np.exp(stats.hodges_lehmann(drawn)), (tail, 1 - tail))
    assert (ratio.low, ratio.high) == (pytest.approx(low, rel=0.02), pytest.approx(high, rel=0.02))


def test_as_many_values_as_are_afforded_are_taken_one_by_one():
    import numpy as np

    values = np.exp(np.random.default_rng(1).normal(0, 0.3, 121))
    one_by_one = math.exp(stats.hodges_lehmann(np.log(values[:60])))
    assert stats.estimate_ratio(values[:60]).estimate == pytest.approx(one_by_one, rel=1e-12)
    groups = [stats.hodges_lehmann(group) for group in np.array_split(np.log(values), 60)]
    assert stats.estimate_ratio(values).estimate == pytest.approx(math.exp(stats.hodges_lehmann(groups)), rel=1e-12)


def test_pairs_that_agree_have_the_interval_of_what_was_measured():
    value = next(v / 10 for v in range(1, 100) if math.exp(math.log(v / 10)) != v / 10)  # logarithms would show
    same = stats.estimate_ratio([value, value * (1 + 1e-14), value, value, value])
    assert (same.low, same.high, same.pairs) == (value, value * (1 + 1e-14), 5)
    close = stats.estimate_ratio([1 + 1e-6 * i for i in range(40)])
    assert 1 < close.low < close.estimate < close.high < 1 + 39e-6


def test_one_wild_block_moves_the_estimate_little():
    assert stats.estimate_ratio([1.0] * 14 + [1.001, 50.0]).estimate == pytest.approx(1.0, rel=0.01)


def test_few_pairs_have_no_interval():
    nothing = stats.estimate_ratio([])
    assert nothing == stats.Ratio() and nothing.pairs == 0
    few = stats.estimate_ratio([1.1] * (stats.MIN_PAIRS - 1))
    assert (few.estimate, few.low, few.high, few.pairs) == (pytest.approx(1.1), None, None, 4)


@pytest.mark.parametrize(
    ("confidence", "least"),
    [(0.5, 5), (0.9, 5), (0.95, 5), (0.96, 6), (0.975, 6), (0.98, 7), (0.9875, 7), (0.99375, 8)],
)
def test_one_pair_more_for_every_halving_of_the_doubt(confidence, least):
    assert stats.least_pairs(confidence) == least
    assert stats.estimate_ratio([1.0, 1.1] * 9, confidence=confidence).low is not None
    assert stats.estimate_ratio(([1.0, 1.1] * 9)[: least - 1], confidence=confidence).low is None
    assert stats.estimate_ratio(([1.0, 1.1] * 9)[:least], confidence=confidence).low is not None


def test_the_same_seed_gives_the_same_interval():
    values = [1.0, 1.1, 0.9, 1.05, 1.2, 0.97]
    assert stats.estimate_ratio(values, seed=4) == stats.estimate_ratio(values, seed=4)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_impossible_ratios_are_refused(bad):
    with pytest.raises(ValueError, match="positive finite"):
        stats.estimate_ratio([1.0, bad])


def test_only_pairs_that_both_have_are_compared():
    assert stats.pair_ratios({1: 2.0, 2: 4.0, 3: 5.0}, {3: 10.0, 1: 1.0, 9: 7.0}) == [0.5, 2.0]


def test_rate_is_the_sum_of_each_cpus_own_rate():
    assert stats.concurrent_rate([1000, 1000], [1e6, 2e6]) == pytest.approx(1e6 + 0.5e6)
    assert stats.concurrent_rate([1000, 0], [1e6, 0.0]) == pytest.approx(1e6)
    assert stats.concurrent_rate([0, 0], [0.0, 5.0]) is None
    assert stats.concurrent_rate([7], [0.0]) is None and stats.concurrent_rate([1], [3.0]) == 1e9 / 3
    assert stats.concurrent_rate([1], [1.0]) == 1e9
    with pytest.raises(ValueError):
        stats.concurrent_rate([1, 1], [1.0])


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200))
def test_quantiles_are_values_that_occurred_in_order(values):
    low, middle, most, top = stats.quantiles(values, (0.0, 0.5, 0.99, 1.0))
    assert {low, middle, most, top} <= set(values)
    assert low == min(values) and top == max(values) and low <= middle <= most <= top
    for p, value in ((0.5, middle), (0.99, most)):
        assert sum(v <= value for v in values) >= p * len(values) > sum(v < value for v in values)


def test_quantiles_of_known_values_and_of_none():
    assert stats.quantiles(range(1, 101), (0.5, 0.99, 1.0)) == [50, 99, 100]
    assert stats.quantiles([], (0.5, 1.0)) == [None, None]


def test_spread():
    assert stats.spread([9.0, 10.0, 12.0]) == pytest.approx(0.3)
    assert stats.spread([9.0, 11.0]) == pytest.approx(0.2)
    assert stats.spread([1.0]) is None and stats.spread([]) is None


def test_thousands_of_pairs_are_estimated_as_well_and_as_fast():
    import numpy as np

    rng = np.random.default_rng(3)
    ratio = stats.estimate_ratio(np.exp(0.1 * rng.standard_normal(5000) + np.log(0.9)))
    assert ratio.pairs == 5000 and ratio.low < 0.9 < ratio.high and ratio.high / ratio.low < 1.01
