"""What holds for every scenario, whatever its parameters, the number of CPUs and the seed."""

import hypothesis.strategies as st
import numpy as np
import pytest
from any_workload import SETTINGS, cases
from hypothesis import given, settings
from toy_engine import play

from scenarios import tape
from scenarios.checks import validate
from scenarios.registry import SCENARIOS


def test_every_scenario_is_tested():
    assert set(SETTINGS) == set(SCENARIOS)


@settings(max_examples=120)
@given(cases())
def test_a_workload_keeps_its_promises(case):
    scenario, params, cpus, seed = case
    load = scenario.build(params, cpus, seed)
    validate(load)
    assert load.cpus == cpus and load.name == scenario.name
    assert load.operations() <= params.planned_operations(cpus)
    slots, frees = [
        np.sort(np.concatenate([c[np.isin(code, ops)] for code, _, _, c in map(tape.decode, load.tapes)]))
        for ops in ((tape.OP_ALLOC,), (tape.OP_FREE, tape.OP_KFREE_RCU))
    ]
    assert np.array_equal(slots, frees), "everything that is allocated is freed"
    assert load.slots <= len(np.unique(slots)) + 8 * cpus, "no slot goes unused"


@settings(max_examples=40)
@given(cases(), st.integers(0, 1000))
def test_any_interleaving_plays_to_its_end(case, order):
    scenario, params, cpus, seed = case
    load = scenario.build(params, cpus, seed)
    counts = play(load, order)
    assert counts["allocs"] == counts["free"] == load.operations() // 2
    assert counts["peak"] <= load.slots


@settings(max_examples=40)
@given(cases())
def test_the_seed_decides_everything(case):
    scenario, params, cpus, seed = case
    one, two = scenario.build(params, cpus, seed), scenario.build(params, cpus, seed)
    assert all(np.array_equal(a, b) for a, b in zip(one.tapes, two.tapes, strict=True))
    assert (one.events, one.slots, one.caches, one.marks) == (two.events, two.slots, two.caches, two.marks)


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"pairs", "remote-dead", "leak", "churn"}))
def test_another_seed_is_another_workload(name):
    small = {
        "offline-storm": {"operations": 3000},
        "free-burst": {"objects": 100},
        "dead-free": {"slabs": 4, "cgroups": 2},
        "remote-free": {"rounds": 4, "batch": 50},
        "one-way": {"rounds": 4, "batch": 50},
        "pinned": {"slabs": 4, "cgroups": 2},
        "exchange": {"rounds": 4, "batch": 50},
        "remote-refill": {"slabs": 4, "rounds": 2, "batch": 50},
        "replacement": {"steps": 100},
        "rcu-offline": {"cgroups": 2},
    }
    scenario = SCENARIOS[name]
    one, two = (scenario.build(scenario.parameters(**small[name]), 2, seed) for seed in (1, 2))
    assert any(not np.array_equal(a, b) for a, b in zip(one.tapes, two.tapes))


def sections(load, kind):
    """(contents, operations promised) of each section of this kind, of all CPUs."""
    found = []
    for words in load.tapes:
        code, a, _, c = tape.decode(words)
        begins = np.flatnonzero((code == tape.OP_SECTION_BEGIN) & (a == kind))
        ends = np.flatnonzero((code == tape.OP_SECTION_END) & (a == kind))
        found += [(words[i + 1 : j], int(c[j])) for i, j in zip(begins, ends, strict=True)]
    return found


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_sections_hold_one_kind_and_enough_to_be_timed(name):
    scenario = SCENARIOS[name]
    load = scenario.build(scenario.parameters(), 2, 1)
    only = {
        tape.SECTION_ALLOC: tape.OP_ALLOC,
        tape.SECTION_LIVE_FREE: tape.OP_FREE,
        tape.SECTION_DEAD_FREE: tape.OP_FREE,
    }
    timed = 0
    for kind in range(len(tape.SECTIONS)):
        found = sections(load, kind)
        timed += sum(promised for _, promised in found)
        for words, promised in found:
            assert len(words) == promised > 0
            assert kind not in only or set(words & 15) == {only[kind]}
        if found:
            assert np.median([promised for _, promised in found]) >= 64
    assert timed > 0.9 * load.operations()
