"""The benchmark: the reference in C does the same work as ours, and the result has its fields."""

import json
import shutil

import jsonschema
import numpy as np
import pytest

from allocators.core.world import WORLD, WORLD_AT
from allocators.designs import DESIGNS
from allocators.slub.inspect import statistics
from allocators.slub.state import STATISTICS
from shm.machine import MACHINE
from stress import bench
from stress.bench import measure, scaling, speed
from stress.bench.reference import NoCompiler, compile_reference
from stress.bench.report import print_report
from stress.bench.result import goals
from stress.bench.speed import Speed, take_turns
from stress.engine import PLAY, counting_main, play_block
from stress.judge.ratio import Ratio
from stress.play import warm
from stress.play.compiled import ready
from stress.schema import schema

FEATURES = DESIGNS["linux-3.16"].features("slub")
PATHS = ("alloc_fastpath", "alloc_slowpath", "free_fastpath", "free_slowpath", "alloc_slab")

pytestmark = pytest.mark.xdist_group("bench")  # what is set up is set up once
needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler: there is no reference to compare with"
)


def counters(arena) -> dict[str, int]:
    """Sums over the CPUs of the child cache's statistics: the newest cache heads the list."""
    m = arena.machine(FEATURES, 0)
    return {
        name: sum(values)
        for name, values in statistics(m, m.mem[WORLD_AT + WORLD.slab_caches], arena.layout.nr_cpus).items()
    }


@needs_compiler
@pytest.mark.parametrize(("batch", "shuffle"), [(32, None), (4096, None), (4096, 7)])
def test_reference_takes_the_same_paths(batch, shuffle):
    features = FEATURES | {"STATS"}
    load = warm.batches(batch, 1 << 15, shuffle=shuffle)
    ready([(counting_main, "slub", features)])
    ours, theirs = (warm.warm_arena(load, features) for _ in range(2))
    try:
        play_block(ours.machine(features, 0), ours.run)
        played = compile_reference(stats=True)(theirs.segment.address, 0, theirs.run)
        assert played == load.operations() + 1
        found = counters(ours)
        assert found["alloc_fastpath"] + found["alloc_slowpath"] == load.operations() // 2
        assert {name: found[name] for name in PATHS} == {name: counters(theirs)[name] for name in PATHS}
        if batch > 32:
            assert all(found[name] for name in PATHS) and found["free_slab"] and found["cpu_partial_drain"]
        for arena in (ours, theirs):  # the reference has no clock
            for region in ("latencies", "makers"):
                base, size = arena.plan.regions[region]
                arena.words[base : base + size] = 0
        different = np.flatnonzero(ours.words != theirs.words)
        assert not different.size, f"words {different[:8]} differ"
    finally:
        ours.close()
        theirs.close()


@needs_compiler
def test_reference_stops_when_told():
    arena = warm.warm_arena(warm.batches(4, 8), FEATURES)
    try:
        plays = arena.plays()
        first = arena.words[plays["tape"][0]]
        arena.words[plays["tape"][0] + 1] = first  # the slot is full already: nobody will empty it
        arena.words[MACHINE.stop] = 1
        assert compile_reference()(arena.segment.address, 0, arena.run) == 1
        assert arena.words[arena.plan["plays"] + PLAY.operations] == 1
    finally:
        arena.close()


def test_every_statistic_is_known_to_the_reference():
    from stress.bench.reference import header

    text = header()
    assert all(f"STAT_{name} = " in text for name in STATISTICS)
    assert "SIZEOF_PAGE = 8" in text


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NoCompiler, match="no C compiler"):
        compile_reference()


def test_turns_go_there_and_back():
    order = []
    blocks = take_turns({name: lambda name=name: order.append(name) or 10 for name in "ab"}, 2)
    assert "".join(order) == "baabbaab"  # two rounds before those that count
    assert {name: len(times) for name, times in blocks.items()} == {"a": 2, "b": 2}


def test_goals_are_judged_and_the_unmeasured_say_why():
    slow = Speed(tape="batches of 32", operations=1, nanoseconds={"ours": 9.0, "nothing": 4.0}, ratios={})
    found = goals([slow], "no C compiler", None, 0.1)
    assert [g.met for g in found] == [None, False, None, None, True]
    assert [g.why for g in found if g.value is None] == [
        "no C compiler",
        "there are not two CPUs to pin to",
        "there are not two CPUs to pin to",
    ]
    fast = Speed(
        tape="batches of 32",
        operations=1,
        nanoseconds={"ours": 5.0, "nothing": 2.0},
        ratios={"C": Ratio(estimate=1.1, pairs=9)},
    )
    two = scaling.Scaling(throughput=Ratio(estimate=1.7, low=1.6, high=1.9, pairs=9), ready_seconds=0.01)
    assert [g.met for g in goals([fast], None, two, 0.2)] == [True, True, False, True, False]


@pytest.fixture(scope="module")
def small_bench():
    """The whole benchmark, with as little of everything as gives every figure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "ROUNDS", 5)
        patch.setattr(speed, "OPERATIONS", 1 << 14)
        patch.setattr(scaling, "PAIRS", 5)
        patch.setattr(scaling, "OPERATIONS", 1 << 16)
        patch.setattr(measure, "HELP_RUNS", 1)
        return measure.measure(lambda *_: None)


def test_json_has_its_fields(small_bench, monkeypatch, capsys):
    monkeypatch.setattr(measure, "measure", lambda progress, plan: small_bench)
    assert bench.main("json", quiet=True) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    jsonschema.validate(found, schema("bench"))
    assert found["schema_version"] == "1" and found["design"] == "linux-3.16"
    assert {"machine", "goals", "speed", "scaling", "differing_words", "disturbances", "trust"} <= found.keys()
    assert len(found["goals"]) == 5
    for one in found["speed"]:
        assert {"ours", "malloc", "nothing"} <= one["nanoseconds"].keys()
        assert one["ratios"]["malloc"]["pairs"] == 5
    if found["no_reference"] is None:
        assert found["differing_words"] == 0
        assert all("C" in one["ratios"] for one in found["speed"])


@pytest.mark.parametrize("format", ["markdown", "text"])
def test_reports_show_every_goal_and_tape(small_bench, capsys, format):
    print_report(small_bench, format)
    out = capsys.readouterr().out
    assert all(goal.name in out for goal in small_bench.goals)
    assert all(one.tape in out for one in small_bench.speed)
