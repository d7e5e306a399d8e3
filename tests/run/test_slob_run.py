"""SLOB through the whole command: serially, exactly repeatable, in every scenario; in parallel with all invariants."""

from __future__ import annotations

import dataclasses

import pytest
from running import counts, finish, play, small
from test_run_serial import TINY

from scenarios.registry import SCENARIOS
from scenarios.workloads.offline_storm import tapes
from stress.report.sentences import sentences


def sound(result):
    assert result.invariants.checked and result.invariants.violated == []
    assert not result.partial, result.partial_reason
    for name, design in result.designs.items():
        assert design.allocations >= design.frees and design.failed_allocations == 0
        assert (design.dead_caches.offlined, design.slabs_left, design.pages_left, design.cgroups_pinned) == (
            0,
            0,
            0,
            0,
        ), name
        assert design.empty_slabs == {}
    return result


def test_counts_repeat_exactly_and_are_the_same_for_all_designs():
    options = dict(allocator="slob", after=("v1", "v3"), settings=TINY["offline-storm"], seed=7)
    first, second = sound(play(**options)), sound(play(**options))
    assert counts(first) == counts(second)
    before, v1, v3 = (first.designs[name] for name in ("linux-3.16", "v1", "v3"))
    assert before.stats == v1.stats == v3.stats and before.operations == v1.operations
    assert before.stats["alloc_found"] > 0 and before.operations["peak_pages"] > 0
    assert before.operations["slob_lock"] > 0 and before.operations["list_lock"] == 0
    assert 0.9 < before.per_free.list_lock <= 1  # slob_lock, once for each free that is not of a large object
    said = sentences(first)
    assert any("slob has no caches of cgroups" in s for s in said)
    assert any("they are the same code" in s for s in said)
    assert not any("says nothing about dead caches" in s for s in said)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("cpus", "nodes"), [(1, 1), (8, 2)])
def test_scenarios(scenario, cpus, nodes):
    result = sound(
        play(scenario=scenario, settings=TINY.get(scenario), cpus=cpus, nodes=nodes, allocator="slob", after=("v1",))
    )
    for design in result.designs.values():
        assert design.allocations == design.frees
        assert [
            design.operations[f"pages_{place}"] for place in ("small", "medium", "large", "full", "of_large_objects")
        ] == [0] * 5


def test_page_allocations_that_fail():
    result = play(allocator="slob", after=("v1",), settings=TINY["offline-storm"], fail=["page-alloc:0.05"])
    assert result.invariants.violated == [] and result.designs["v1"].failed_allocations > 0


def test_objects_that_wait_for_a_grace_period_on_worker_processes(monkeypatch):
    """No scenario has SLAB_DESTROY_BY_RCU caches; here all of the storm's are. P5 changes nothing: one compilation."""
    build = tapes.build

    def deferred(parameters, cpus, seed):
        load = build(parameters, cpus, seed)
        return dataclasses.replace(load, caches=tuple(dataclasses.replace(c, destroy_by_rcu=True) for c in load.caches))

    monkeypatch.setattr(tapes, "build", deferred)
    result = sound(
        play(
            serial=False,
            check_blocks=True,
            cpus=2,
            nodes=2,
            allocator="slob",
            after=("v1-P5",),
            settings=TINY["offline-storm"],
        )
    )
    stats = result.designs["v1-P5"].stats
    assert stats["free_deferred"] == result.designs["v1-P5"].frees > 0
    assert (
        stats["free_to_full"] + stats["free_to_partial"] + stats["free_page"] + stats["free_large"]
        == stats["free_deferred"]
    )


def test_worker_processes_keep_all_invariants(tmp_path):
    run = finish(
        tmp_path,
        "--allocator",
        "slob",
        "--cpus",
        "2",
        "--seconds",
        "0.5",
        "--check-blocks",
        "--quiet",
        "--details",
        *small(),
    )
    result = run.result()
    assert result.invariants.violated == [] and not result.partial
    assert set(result.designs) == {"linux-3.16", "v1"}
    assert (
        "slob_lock acquisitions" in run.stdout and "most in shared use" in run.stdout and "list_lock" not in run.stdout
    )
    assert result.designs["v1"].operations["slob_lock_contended"] >= 0
