"""--until-sure: when it looks, what settles a ratio, and that looking several times does not raise false alarms."""

import numpy as np
import pytest
from stress_records import record

from stress.judge import looks
from stress.judge import ratio as stats
from stress.judge.looks import FIRST, Plan
from stress.judge.ratio import Ratio, estimate_ratio, least_pairs
from stress.judge.verdict import judge
from stress.measure.evaluation import measure

LEAST = 8  # launches at the first look of the simulations
EACH = Plan(8 * FIRST).confidence


def ratio(low, high):
    return Ratio(estimate=(low * high) ** 0.5, low=low, high=high, pairs=30)


def test_looks_are_at_the_planned_moments_and_nowhere_else():
    plan = Plan(48.0)
    due = [second for second in np.arange(0, 48, 0.25) if plan.due(second)]
    assert due == [6.0, 12.0, 24.0]  # the one at the end is not asked for: the time is spent
    late = Plan(48.0)
    assert late.due(13.0) and not late.due(13.1) and late.due(24.0), "moments that passed together are one look"


@pytest.mark.parametrize(("seconds", "looks"), [(1.0, 1), (11.9, 1), (12.0, 2), (48.0, 4), (1e9, 8)])
def test_no_look_is_before_it_is_worth_its_price(seconds, looks):
    plan = Plan(seconds)
    assert len(plan.shares) == looks and plan.shares[-1] == 1.0
    assert looks == 1 or plan.moments[0] >= FIRST
    assert (1 - plan.confidence) * looks == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("low", "high", "is_settled"),
    [
        (0.995, 1.005, True),
        (0.90, 0.93, True),
        (0.90, 0.95, True),  # not known well, but surely noticeable
        (0.95, 0.995, False),  # surely slower, but noticeably?
        (0.979, 1.018, False),
        (0.985, 1.025, False),
    ],
)
def test_settled_is_a_verdict_and_an_interval_that_is_narrow_or_beyond_the_margin(low, high, is_settled):
    plan = Plan(1.0)
    assert plan.look([ratio(0.999, 1.001), ratio(low, high)], 0.02) == is_settled == plan.sure
    assert plan.looked_at == [30]


def test_nothing_is_settled_by_nothing():
    for nothing in ([], [Ratio()], [Ratio(estimate=1.0, pairs=3)]):
        plan = Plan(1.0)
        assert not plan.sure and not plan.look(nothing, 0.02) and not plan.sure
        assert plan.looked_at == [max((each.pairs for each in nothing), default=0)]


def test_a_look_is_as_sure_as_its_least_known_ratio():
    """Settled once is not settled for good; the pairs are those of the ratio that has fewest."""
    plan = Plan(1.0)
    known, unknown = ratio(0.999, 1.001), Ratio(estimate=0.9, low=0.8, high=1.2, pairs=7)
    assert plan.look([known], 0.02) and not plan.look([known, unknown], 0.02) and not plan.sure
    assert plan.looked_at == [30, 7]


def test_as_wide_as_the_band_is_not_narrower_than_it():
    """Fractions of two are exact: the interval is the band of the margin, equivalent, but could be known better."""
    assert judge(ratio(0.75, 1.25), 0.25).call == "equivalent"
    assert not Plan(1.0).look([ratio(0.75, 1.25)], 0.25)
    assert Plan(1.0).look([ratio(0.75, 1.2499)], 0.25)


def test_each_of_several_looks_needs_more_launches():
    assert EACH == pytest.approx(0.9875) and least_pairs() == 5 and least_pairs(EACH) == 7
    assert estimate_ratio([1.0, 1.1] * 3, confidence=EACH).low is None


def alarms(counts, confidence: float, runs: int, shift: float = 0.0, stop=lambda value: False) -> int:
    """Of so many simulated comparisons, how many were called different at a look, at one of these numbers of pairs."""
    found = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        values = np.exp(0.04 * rng.standard_t(4, max(counts)) + shift)
        for count in counts:
            value = estimate_ratio(values[:count], seed=seed, confidence=confidence)
            verdict = judge(value, 0.005, confidence=confidence)
            if verdict.call in ("faster", "slower"):
                found += 1
                break
            if stop(value):
                break
    return found


def test_false_alarms_stay_below_what_the_looks_share(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 199)
    planned = [LEAST, 2 * LEAST, 4 * LEAST]
    assert alarms(planned, EACH, 100) <= 6
    assert alarms(range(LEAST, 4 * LEAST + 1), 0.95, 20) >= 4, (
        "who peeks after every pair is fooled: this is what the plan is for"
    )


def test_a_real_difference_is_found_by_the_looks(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 199)
    assert alarms([LEAST, 2 * LEAST, 4 * LEAST], EACH, 20, shift=-0.06) >= 18


def test_the_result_says_how_often_it_looked():
    plan = Plan(8 * FIRST)
    plan.look([ratio(0.9, 1.1)], 0.02)
    plan.look([ratio(0.99, 1.01)], 0.02)
    result = measure(record(pairs=9, looks=plan))
    assert (result.until_sure.sure, result.until_sure.looked_at, result.confidence) == (True, [30, 30], EACH)
    assert result.ratios["v1"].live.verdict.confidence == EACH
    assert any(
        "ended when all designs were settled: 2 of 4 planned looks" in f.text and "of 98.8%" in f.text
        for f in result.trust.findings
    )
    assert looks.CONFIDENCE == measure(record()).confidence
