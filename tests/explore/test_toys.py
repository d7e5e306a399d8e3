"""Lock-free toys with known bugs, and how fast the explorer is on them (`speed.py` prints it)."""

from __future__ import annotations

import pytest
import speed
from toys import counter, treiber, twenty_steps

from stress.explore.search.search import Budget, search


@pytest.mark.parametrize("strategy", ["dfs", "random", "pct"])
def test_aba_is_found_at_once(strategy):
    assert search(treiber(), strategy, budget=Budget(10)).outcome.kind == "double hand-out"
    assert speed.seconds_to_aba(strategy) < 1.0, "50 ms on a machine that does nothing else"


def test_the_stack_is_exhausted():
    assert speed.seconds_to_exhaust() < 20, "1 s on a machine that does nothing else"


def test_thousands_of_schedules_a_second():
    assert speed.rate(twenty_steps(), "random") > 1000, "20,000 on a machine that does nothing else"


def test_many_times_faster_than_an_explorer_of_threads():
    rates = speed.peer()
    if rates is None:
        pytest.skip("frontrun is not installed")
    assert speed.rate(counter(speed.INCREMENTS), "random") > 10 * max(rates.values()), (
        "30 times on a machine that does nothing else"
    )
