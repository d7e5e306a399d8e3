"""Operations on memory are counted one by one, the same every time, and one too many is seen."""

import pytest

import allocators.slub.free as slub_free
from stress.claims.claim import Verdict
from stress.claims.steps import count_steps, judge_steps

SETTINGS = {"object_size": 64, "operations": 200}


def steps(design="linux-3.16", allocator="slub", scenario="pairs", **settings):
    return count_steps(scenario, SETTINGS | settings if scenario == "pairs" else settings, allocator, design, seed=1)


@pytest.mark.parametrize("allocator", ["slub", "slab"])
def test_counts_repeat_and_fast_paths_are_the_same_in_all_designs(allocator):
    once = steps(allocator=allocator)
    assert once == steps(allocator=allocator) and once["loads"] > once["stores"] > 0
    assert steps("v1", allocator) == once and steps("v3", allocator) == once


def test_a_pair_on_slub_is_two_compare_and_swaps():
    few, many = steps(operations=200), steps(operations=1000)
    # Warming up costs the same whatever follows.
    assert (many["atomics"] * 1000 - few["atomics"] * 200) / 800 == pytest.approx(2.0, abs=0.05)


def test_an_operation_more_is_counted(monkeypatch):
    before = steps()
    original = slub_free.slab_free

    def dear(m, s, page, obj):
        m.fetch_add(s, 0)
        original(m, s, page, obj)

    from allocators.caches import slab_common

    monkeypatch.setattr(slab_common, "slab_free", dear)
    after = steps()
    assert after["atomics"] - before["atomics"] == pytest.approx(1.0, abs=0.05)
    finding = judge_steps({"64 B pairs": {"linux-3.16": before, "v1": after}})
    assert finding.verdict is Verdict.FAILS and "64 B pairs, v1" in finding.reason


def test_what_is_within_the_margin_holds():
    before = {"loads": 20.0, "stores": 2.0, "atomics": 2.0, "fences": 0.0}
    assert judge_steps({"x": {"linux-3.16": before, "v3": before | {"loads": 20.2}}}).verdict is Verdict.HOLDS
    assert judge_steps({"x": {"linux-3.16": before, "v3": before | {"atomics": 2.2}}}).verdict is Verdict.FAILS
