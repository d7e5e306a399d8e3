"""What holds for every scenario, whatever its parameters, the number of CPUs and the seed."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from toy_engine import play

from scenarios import tape
from scenarios.checks import validate
from scenarios.registry import SCENARIOS

SIZES = st.sampled_from([8, 64, 256, 1000, 4096, 8192])
ORDERS = st.sampled_from(["random", "sequential"])
SHARES = st.sampled_from([0.0, 0.1, 0.5, 1.0])
SETTINGS = {
    "offline-storm": dict(
        operations=st.integers(1, 3000),
        cgroups=st.integers(4, 12),
        active=st.integers(1, 4),
        rounds=st.integers(16, 24),
        burst=st.integers(1, 100),
        zipf=st.sampled_from([0.0, 1.0, 4.0]),
        lifetime=st.sampled_from([0.01, 1.0, 50.0]),
        tail=st.sampled_from([0.3, 1.0, 10.0]),
        remote_share=SHARES,
        root_share=SHARES,
        cpuset_share=SHARES,
        caches=st.sampled_from(["dentry", "kmalloc-64,kmalloc-4096", "filp,dentry,inode_cache"]),
    ),
    "free-burst": dict(
        objects=st.integers(1, 300), bursts=st.integers(1, 4), object_size=SIZES, free_order=ORDERS,
        charged=st.booleans()
    ),
    "dead-free": dict(
        slabs=st.integers(1, 4), object_size=SIZES.filter(lambda s: s > 8), free_order=ORDERS, cgroups=st.integers(1, 4)
    ),
    "remote-free": dict(rounds=st.integers(1, 9), batch=st.integers(1, 100), object_size=SIZES, charged=st.booleans()),
    "pinned": dict(
        cgroups=st.integers(1, 4), slabs=st.integers(1, 5), object_size=SIZES.filter(lambda s: s > 8),
        hold=st.integers(0, 3)
    ),
    "pairs": dict(
        operations=st.integers(2, 1000), batch=st.integers(1, 50), object_size=SIZES, charged=st.booleans(),
        shared=st.booleans()
    ),
    "remote-dead": dict(
        objects=st.integers(1, 200), object_size=SIZES, free_cpu=st.integers(0, 5), marked=st.booleans(),
        free_order=st.sampled_from(["fifo", "lifo", "permuted"]),
    ),
    "leak": dict(
        cgroups=st.integers(1, 4), files=st.integers(1, 9), pipes=st.integers(0, 2), socket_pairs=st.integers(0, 2),
        free_cpu=st.integers(0, 5),
    ),
    "churn": dict(cgroups=st.integers(1, 7), files=st.integers(1, 9), delay=st.integers(1, 9)),
}  # fmt: skip


@st.composite
def cases(draw):
    name = draw(st.sampled_from(sorted(SETTINGS)))
    values = draw(st.fixed_dictionaries(SETTINGS[name]))
    values = {key: value if key != "caches" else tuple(value.split(",")) for key, value in values.items()}
    params = SCENARIOS[name].parameters(**values)
    return SCENARIOS[name], params, draw(st.integers(1, 4)), draw(st.integers(0, 2**40))


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
        np.sort(np.concatenate([c[code == op] for code, _, _, c in map(tape.decode, load.tapes)])) for op in (1, 2)
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
        "pinned": {"slabs": 4, "cgroups": 2},
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
