"""Ratios with intervals, quantiles and rates."""

import math

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


def test_one_wild_block_moves_the_estimate_little():
    assert stats.estimate_ratio([1.0] * 14 + [1.001, 50.0]).estimate == pytest.approx(1.0, rel=0.01)


def test_few_pairs_have_no_interval():
    assert stats.estimate_ratio([]) == stats.Ratio()
    few = stats.estimate_ratio([1.1] * (stats.MIN_PAIRS - 1))
    assert (few.estimate, few.low, few.high) == (pytest.approx(1.1), None, None)


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


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200))
def test_quantiles_are_values_that_occurred_in_order(values):
    low, middle, most, top = stats.quantiles(values, (0.0, 0.5, 0.99, 1.0))
    assert {low, middle, most, top} <= set(values)
    assert low == min(values) and top == max(values) and low <= middle <= most <= top
    assert sum(v <= middle for v in values) >= len(values) / 2


def test_quantiles_of_known_values_and_of_none():
    assert stats.quantiles(range(1, 101), (0.5, 0.99, 1.0)) == [50, 99, 100]
    assert stats.quantiles([], (0.5, 1.0)) == [None, None]


def test_spread():
    assert stats.spread([9.0, 10.0, 12.0]) == pytest.approx(0.3)
    assert stats.spread([1.0]) is None


def test_thousands_of_pairs_are_estimated_as_well_and_as_fast():
    import numpy as np

    rng = np.random.default_rng(3)
    ratio = stats.estimate_ratio(np.exp(0.1 * rng.standard_normal(5000) + np.log(0.9)))
    assert ratio.pairs == 5000 and ratio.low < 0.9 < ratio.high and ratio.high / ratio.low < 1.01
