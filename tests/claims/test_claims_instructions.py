"""Instructions of live and dead frees: counted exactly, and judged."""

from __future__ import annotations

import platform

import pytest
from machine_code import out_of_line

from allocators.designs import parse_design
from shm.atomics import load, store
from shm.compiler import dual, dual_slow
from shm.entry import entry
from stress.claims.claim import Verdict
from stress.claims.instructions import BEFORE, DEAD_LOOP, SERIES, change, instructions_per_object, judge, judge_dead
from stress.engine import cpu_main
from stress.process.stepping import NoStepping, count_instructions


@dual
def within(m, a):
    return load(m, a) + 1


@dual_slow
def out_of_the_way(m, a):
    return load(m, a) + 2


def program(m, a):
    store(m, a, out_of_the_way(m, a) if m.has("LATER") else within(m, a))
    return 0


steps = pytest.mark.skipif(platform.machine() != "x86_64", reason="no other processor has a trap flag")


@steps
def test_the_series_shows_where_it_should():
    """A live free takes no more than counted kernels' upper end, 1.4 %; a dead one takes a way of its own."""
    live, dead = (
        {design: instructions_per_object(loop, design, objects=130) for design in (BEFORE, "v1")}
        for loop in ("frees in order", DEAD_LOOP)
    )
    assert abs(change(live, "v1")) < 0.014 < change(dead, "v1")


# A slab that goes back is one function under 3.16 and another under the series: once in dozens of frees.
TIMED = {
    "slub": (
        (BEFORE, *SERIES),
        {"allocators.slub.free.slab_free_slow"},
        {"allocators.memcg.slab_pages._free_slab", "allocators.slub.discard.discard_slab"},
    ),
    "slab": (
        (BEFORE, "v3"),
        {"allocators.slab.alloc._alloc_slow", "allocators.slab.free._free_slow"},
        {"allocators.memcg.slab_pages._free_slab", "allocators.slab.free.slab_destroy"},
    ),
}


def differently_inlined(programs: list[set[str]]) -> set[str]:
    """Functions that are called in one program and inlined in another, or not there."""
    return set().union(*programs) - set.intersection(*programs)


@pytest.mark.parametrize("allocator", TIMED)
def test_what_is_timed_is_inlined_alike(allocator):
    """Else a design is called slower for what the compiler did to it."""
    designs, called, once_a_slab = TIMED[allocator]
    programs = [out_of_line(cpu_main, allocator, parse_design(d).features(allocator)) for d in designs]
    assert all(called | {"stress.engine.play.cpu_main"} <= one for one in programs)
    assert differently_inlined(programs) <= once_a_slab


def test_a_way_that_is_inlined_in_one_program_only_is_seen():
    native = entry(program)
    found = differently_inlined([out_of_line(native, "", frozenset(features)) for features in ((), ("LATER",))])
    assert [name.rpartition(".")[2] for name in found] == ["out_of_the_way"]


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
