"""Instructions of live and dead frees: counted exactly, and judged."""

from __future__ import annotations

import platform

import pytest

from stress.claims.claim import Verdict
from stress.claims.instructions import BEFORE, DEAD_LOOP, change, instructions_per_object, judge, judge_dead
from stress.process.stepping import NoStepping, count_instructions

steps = pytest.mark.skipif(platform.machine() != "x86_64", reason="no other processor has a trap flag")


@steps
def test_the_series_shows_where_it_should():
    """A live free takes no more than counted kernels' upper end, 1.4 %; a dead one takes a way of its own."""
    live, dead = (
        {design: instructions_per_object(loop, design, objects=130) for design in (BEFORE, "v1")}
        for loop in ("frees in order", DEAD_LOOP)
    )
    assert abs(change(live, "v1")) < 0.014 < change(dead, "v1")


@steps
def test_what_is_in_files_is_not_counted():
    assert count_instructions(lambda: sorted(range(9))) == 0


def test_a_processor_without_a_trap_flag_is_refused(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(NoStepping, match="riscv64"):
        count_instructions(lambda: None)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ({"pairs": {BEFORE: 100.0, "v1": 101.0}}, Verdict.HOLDS),
        ({"pairs": {BEFORE: 100.0, "v1": 103.0}}, Verdict.FAILS),
        ({"pairs": {BEFORE: 0.0, "v1": 1.0}}, Verdict.UNKNOWN),
        ({}, Verdict.UNKNOWN),
    ],
)
def test_live_loops_are_judged(rows, verdict):
    assert judge(rows).verdict is verdict


@pytest.mark.parametrize(
    ("designs", "verdict"),
    [
        ({BEFORE: 100.0, "v1": 101.0}, Verdict.HOLDS),
        ({BEFORE: 100.0, "v1": 99.0}, Verdict.FAILS),
        ({}, Verdict.UNKNOWN),
    ],
)
def test_dead_frees_are_judged(designs, verdict):
    assert judge_dead({DEAD_LOOP: designs}).verdict is verdict
