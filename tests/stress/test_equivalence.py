"""The verdict on a ratio: its four calls, what lies between them, and how much more it takes."""

import json
import math

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stress_records import record

from stress.judge.margin import check_margin
from stress.judge.ratio import CONFIDENCE, MIN_PAIRS, Ratio, Verdict, estimate_ratio
from stress.judge.verdict import beyond, judge, judged, more_pairs, not_slower, verdict_of, within
from stress.measure.evaluation import measure
from stress.process.errors import UsageError
from stress.report import markdown
from stress.report.sentences import sentences, speed
from stress.result.files import encode
from stress.schema import schema
from stress.show import units


def ratio(low: float, high: float, pairs: int = 20) -> Ratio:
    return Ratio(estimate=math.sqrt(low * high), low=low, high=high, pairs=pairs)


@pytest.mark.parametrize(
    ("low", "high", "call", "different"),
    [
        (0.99, 1.01, "equivalent", False),
        (0.98, 1.02, "equivalent", False),
        (0.981, 0.99, "equivalent", True),
        (1.001, 1.02, "equivalent", True),
        (0.979, 0.99, "slower", True),
        (0.5, 0.6, "slower", True),
        (1.001, 1.021, "faster", True),
        (0.979, 1.0, "cannot tell", False),
        (1.0, 1.021, "cannot tell", False),
        (0.9, 1.1, "cannot tell", False),
    ],
)
def test_calls(low, high, call, different):
    verdict = judge(ratio(low, high))
    assert (verdict.call, verdict.different) == (call, different)
    assert (verdict.more_pairs is None) == (call != "cannot tell")


@given(st.floats(0.5, 2.0), st.floats(1e-4, 0.5), st.floats(0.001, 0.5))
def test_a_call_claims_no_more_than_the_interval(middle, half, margin):
    value = ratio(middle * math.exp(-half), middle * math.exp(half))
    call = judge(value, margin).call
    assert (call == "equivalent") == within(value, margin) == (1 - margin <= value.low and value.high <= 1 + margin)
    assert call != "faster" or value.low > 1
    assert call != "slower" or value.high < 1
    assert (beyond(value, margin) == "slower") <= (call == "slower") and (beyond(value, margin) == "faster") <= (
        call == "faster"
    )
    assert not_slower(value, margin) or not within(value, margin)


def test_a_limit_belongs_to_what_lies_within():
    """Fractions of two are exact, so an interval can end on the margin: within it, and beyond only past it."""
    for low, high in ((0.75, 1.25), (0.75, 0.75), (1.25, 1.25)):
        assert within(ratio(low, high), 0.25) and not beyond(ratio(low, high), 0.25)
    assert beyond(ratio(0.5, 0.7499), 0.25) == "slower" and beyond(ratio(1.2501, 2.0), 0.25) == "faster"
    assert not_slower(ratio(0.75, 9.0), 0.25) and not not_slower(ratio(0.7499, 9.0), 0.25)
    half = Ratio(estimate=1.0, low=1.0, pairs=20), Ratio(estimate=1.0, high=1.0, pairs=20)
    assert not any(within(one, 0.25) or beyond(one, 0.25) for one in half)


def test_a_margin_is_a_fraction_that_leaves_something_to_be_found():
    for fine in (1e-9, 0.02, 0.5):
        check_margin(fine)
    for bad in (-0.1, 0.0, 0.500001, 1.0, math.nan):
        with pytest.raises(UsageError, match="above 0 and up to 0.5"):
            check_margin(bad)


@given(st.floats(0.5, 2.0), st.floats(1e-3, 0.5), st.floats(0.001, 0.5), st.integers(5, 500))
def test_more_pairs_are_the_fewest_that_bring_an_end(middle, half, margin, pairs):
    """With them the half width, shrunk as 1 / sqrt(pairs), reaches the margin or leaves 1, and not with one less."""
    value = Ratio(estimate=middle, low=middle * math.exp(-half), high=middle * math.exp(half), pairs=pairs)
    need = max(math.log(1 + margin) - abs(math.log(middle)), abs(math.log(middle)))

    def ends(more):
        return half * math.sqrt(pairs / (pairs + more)) <= need * (1 + 1e-9)

    more = more_pairs(value, margin)
    assert more >= 1 and ends(more) and (more == 1 or not ends(more - 1 - 1e-6 * more))


def test_more_time_is_what_the_square_root_law_says():
    assert more_pairs(ratio(0.96, 1 / 0.96, pairs=100), 0.02) == pytest.approx(
        100 * ((math.log(0.96) / math.log(1.02)) ** 2 - 1), abs=1
    )
    assert judge(ratio(0.96, 1 / 0.96), pair_seconds=0.5).more_seconds == pytest.approx(
        0.5 * more_pairs(ratio(0.96, 1 / 0.96), 0.02)
    )
    assert judge(Ratio(estimate=1.1, pairs=2), pair_seconds=2.0).more_seconds == 2.0 * (MIN_PAIRS - 2)
    assert judge(ratio(0.9, 1.1)).more_seconds is None
    assert (
        judge(ratio(0.9, 1.1), pair_seconds=1.0).more_seconds > judge(ratio(0.95, 1.05), pair_seconds=1.0).more_seconds
    )


def test_so_much_more_does_settle_it(monkeypatch):
    """Pairs of the spread that was seen, as many as were said to be needed, give a verdict most of the time."""
    import numpy as np

    monkeypatch.setattr("stress.judge.ratio.RESAMPLES", 199)

    settled = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        few = np.exp(0.05 * rng.standard_normal(20))
        more = judged(estimate_ratio(few, seed=seed)).verdict.more_pairs
        if more is None:
            settled += 1
        else:
            many = np.concatenate([few, np.exp(0.05 * rng.standard_normal(2 * more))])
            settled += judge(estimate_ratio(many, seed=seed)).call != "cannot tell"
    assert settled >= 16


def test_nothing_is_said_of_nothing_and_older_results_get_the_usual_margin():
    assert judge(Ratio()) is None
    assert judge(Ratio(estimate=3.0, pairs=2)) == Verdict(
        call="cannot tell", different=False, margin=0.02, confidence=CONFIDENCE, more_pairs=MIN_PAIRS - 2
    )
    assert verdict_of(ratio(0.99, 1.01)) == Verdict(
        call="equivalent", different=False, margin=0.02, confidence=CONFIDENCE
    )
    assert verdict_of(judged(ratio(0.99, 1.01), 0.001)).call == "cannot tell"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "; longer measurement is needed (--seconds)"),
        (0.2, "; about 1 more second would be needed"),
        (41.3, "; about 41 more seconds would be needed"),
        (118.0, "; about 120 more seconds would be needed"),
        (1514.0, "; about 25.0 more minutes would be needed"),
        (30_000.0, "; about 8.30 more hours would be needed"),
    ],
)
def test_more_time_in_words(seconds, said):
    assert (
        units.more_time(
            Verdict(call="cannot tell", different=False, margin=0.02, confidence=0.95, more_seconds=seconds)
        )
        == said
    )


def test_the_verdict_is_in_the_result_and_in_every_report():
    result = measure(record(margin=0.05, timed_seconds=40.0, live_ns={"v1": 9.7, "v3": 12.5}, noise=(1.0,)))
    live = {name: ratios.live.verdict for name, ratios in result.ratios.items()}
    assert (live["v1"].call, live["v1"].different, live["v1"].margin) == ("equivalent", True, 0.05)
    assert live["v3"].call == "slower"
    text = markdown.render(result)
    assert "| … verdict (±5 %) |  | equivalent | slower |" in text
    assert (
        "v1: frees into live caches: equivalent (within ±5 %, a difference smaller than the margin): 3.1 % faster"
        in text
    )
    jsonschema.validate(json.loads(encode(result)), schema("result"))


def test_cannot_tell_says_how_long_it_would_take():
    noise = [1.0, 1.3, 0.8, 1.1, 0.9, 1.2, 0.7, 1.0]
    blocks = record(live_ns={}).blocks
    for i, block in enumerate(b for b in blocks if b.design == "v3"):
        for cpu in block.sections["live"]:
            cpu.nanoseconds *= noise[i % len(noise)]
    result = measure(record(blocks=blocks, timed_seconds=16.0))
    value = result.ratios["v3"].live
    assert value.verdict.call == "cannot tell" and value.verdict.more_seconds == pytest.approx(
        2.0 * value.verdict.more_pairs
    )
    assert any(units.more_time(value.verdict) in said for said in sentences(result))
    assert "would be needed" in speed(value, "before", "8 launches")
