"""Lock-free toys with known bugs, and how fast the explorer is on them (`speed.py` prints it)."""

from __future__ import annotations

import statistics
import time

import pytest
import speed
from toys import counter, twenty_steps


@pytest.mark.parametrize(("strategy", "most"), [("dfs", 100), ("random", 100), ("pct", 100)])
def test_aba_is_found_at_once(strategy, most):
    found = speed.aba(strategy)
    assert {one.outcome.kind for one in found} == {"double hand-out"}
    assert statistics.median(one.schedules for one in found) < most


def test_the_stack_is_exhausted():
    found = speed.exhausted()
    assert found.exhaustive and found.bound == 3 and found.schedules < 5000


def calls(n: int = 200_000) -> float:
    """Calls of an empty function per second of CPU time: how fast Python is here and now."""

    def nothing():
        pass

    start = time.process_time()
    for _ in range(n):
        nothing()
    return n / (time.process_time() - start)


def test_a_schedule_costs_no_more_than_some_thousand_calls():
    """20,000 schedules a second are a thousand calls each; what else the machine does takes from both."""
    assert min(calls() / speed.rate(twenty_steps(), "random", 1000, time.process_time) for _ in range(3)) < 10_000


def test_many_times_faster_than_an_explorer_of_threads():
    rates = speed.peer("process_time")
    if rates is None:
        pytest.skip("frontrun is not installed")
    ours = max(speed.rate(counter(speed.INCREMENTS), "random", clock=time.process_time) for _ in range(3))
    assert ours > 10 * max(rates.values()), "some 50 times by either clock"
