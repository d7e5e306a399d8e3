"""Counted passes: how long operations take by path, and dead caches with what they pin over time."""

from __future__ import annotations

from collections import Counter

import pytest
from running import play
from trace_format import check

from allocators.core.world import WORLD, WORLD_AT
from scenarios.registry import build
from scenarios.tape import OP_SECTION_END, SECTION_DEAD_FREE, SECTION_LIVE_FREE, decode
from stress.engine import RUN, SAMPLE_EVERY, SAMPLES
from stress.engine.curve import sample_when_due, take_sample
from stress.measure.latency import summarise
from stress.measure.records import Latencies
from stress.play.arena import Arena, BlockSettings
from stress.play.passes import Passes

STORM = {"operations": 20_000, "cgroups": 24, "active": 8, "rounds": 24, "burst": 64}
FREES = ("free_fast", "free_slow", "free_remote", "free_dead")


def operations(design, *paths: str) -> int:
    return sum(design.latency_ns[path].operations for path in paths if path in design.latency_ns)


def traced(result, looked_at: Passes, settings: dict[str, int]) -> list[list[dict]]:
    """The operations of a trace, a list for each design, after all was compared with the result and the tapes."""
    load, _ = build("offline-storm", [f"{name}={value}" for name, value in settings.items()], 2, 1)
    parts = [decode(tape) for tape in load.tapes]
    sections: Counter[str] = Counter()
    for code, kind, _, c in parts:
        for name, number in (("live frees", SECTION_LIVE_FREE), ("dead frees", SECTION_DEAD_FREE)):
            sections[name] += int(c[(code == OP_SECTION_END) & (kind == number)].sum())
    events = check(looked_at.encode({"run": result.run_id}))
    every = []
    for pid, design in enumerate(result.designs.values(), 1):
        own = [event for event in events if event["pid"] == pid]
        slices = [event for event in own if event["ph"] == "X"]
        bursts: Counter[str] = Counter()
        for event in slices:
            if "operations" in event.get("args", ()):
                bursts[event["name"]] += event["args"]["operations"]
        assert {name: bursts[name] for name in sections} == sections
        played = [event for event in slices if event["name"].split()[0] in ("alloc", "free") and event["tid"] < 2]
        every.append(played)
        count = Counter(event["name"] for event in played)
        assert sum(n for name, n in count.items() if name.startswith("alloc ")) == design.allocations
        assert count["free dead"] == design.dead_frees
        if not result.serial:
            assert count == {path.replace("_", " "): n.operations for path, n in design.latency_ns.items()}
        assert all(event["args"]["cache"] for event in played), "each free has its allocation"
        away = [event for event in played if event["args"].get("allocated by") == f"cpu{1 - event['tid']}"]
        assert sum(event["ph"] == "s" for event in own) == len(away) >= max(1, count["free remote"])
        deeds = Counter(" ".join(event["name"].split()[:2]) for event in slices if event["tid"] == 2)
        assert deeds["create cgroup"] == settings["cgroups"] == deeds["offline cgroup"] + settings["active"]
        assert (design.dead_caches.left == 0) <= deeds["destroy a"] <= design.dead_caches.destroyed
        dead = [event["args"] for event in own if event["ph"] == "C" and event["name"] == "dead caches"]
        assert dead[-1] == {"dead caches": design.dead_caches.left}
    return every


def test_a_trace_of_serial_play_is_in_the_model_s_time(interpreted, monkeypatch):
    """And operations for which there is no room are left out on all CPUs from the same moment on."""
    settings = STORM | {"operations": 2000}
    looked_at = Passes()
    result = play(settings=settings, cpus=2, looked_at=looked_at)
    played, _ = traced(result, looked_at, settings)
    assert len({event["ts"] for event in played}) == len(played) and {event["dur"] for event in played} == {0.1}
    monkeypatch.setattr("stress.play.passes.MOST", 500)
    few = Passes()
    play(settings=settings, cpus=2, looked_at=few)
    events = [event for event in check(few.encode({})) if event["pid"] == 1]
    kept = [event for event in events if event in played]
    assert kept == played[: len(kept)] and 500 <= len(kept) < 1000
    ends = {event["ts"] for event in events if event["ph"] == "i"}
    assert len(ends) == 1 and max(event["ts"] for event in kept) == ends.pop()


@pytest.mark.xdist_group("compiles")
@pytest.mark.parametrize("allocator", ["slub", "slab"])
def test_every_operation_is_in_the_histogram_of_one_path(allocator, monkeypatch):
    monkeypatch.setattr("stress.play.passes.MOST", 40_000)
    looked_at = Passes()
    result = play(
        settings=STORM, serial=False, allocator=allocator, after=("v3",), cpus=2, settle=0.1,
        looked_at=looked_at,
    )  # fmt: skip
    traced(result, looked_at, STORM)
    for design in result.designs.values():
        assert operations(design, "alloc_fast", "alloc_slow") == design.allocations
        assert operations(design, *FREES) == design.frees
        assert operations(design, "free_dead") == design.dead_frees
        assert design.clock_ns is not None and design.clock_ns > 0
        for latency in design.latency_ns.values():
            assert 0 <= latency.p50 <= latency.p90 <= latency.p99 <= latency.p999 <= latency.max
            assert latency.tail == sorted(latency.tail) and latency.tail[-1] <= latency.max
        if allocator == "slub":
            live_fast = operations(design, "free_fast")
            assert live_fast <= design.stats["free_fastpath"] <= live_fast + design.dead_frees
            assert operations(design, "alloc_fast") == design.stats["alloc_fastpath"]


@pytest.mark.xdist_group("compiles")
def test_frees_into_dead_caches_are_dead_whatever_their_path():
    result = play(scenario="dead-free", settings={"slabs": 32, "cgroups": 4}, serial=False, cpus=2)
    for design in result.designs.values():
        assert operations(design, "free_dead") == design.dead_frees > 0


@pytest.mark.xdist_group("compiles")
def test_one_cpu_frees_nothing_that_another_allocated():
    result = play(scenario="remote-free", settings={"rounds": 8, "batch": 64}, serial=False, cpus=1)
    assert all("free_remote" not in design.latency_ns for design in result.designs.values())
    result = play(scenario="remote-free", settings={"rounds": 8, "batch": 64}, serial=False, cpus=2)
    assert all(design.latency_ns["free_remote"].operations > 0 for design in result.designs.values())


@pytest.mark.parametrize(
    ("allocator", "after"), [("slub", ("v1", "v3", "linux-4.0")), ("slab", ("v1",)), ("slob", ("v1",))]
)
def test_the_curve_ends_where_the_census_does(interpreted, allocator, after):
    result = play(settings=STORM | {"operations": 6000}, allocator=allocator, after=after)
    for name, design in result.designs.items():
        over_time = design.over_time
        assert over_time.seconds == sorted(over_time.seconds) and over_time.seconds[-1] > over_time.seconds[0]
        assert len(over_time.seconds) == len(over_time.dead_caches) <= SAMPLES
        assert over_time.dead_caches[-1] == design.dead_caches.left, name
        assert (over_time.pages_pinned[-1], over_time.cgroups_pinned[-1]) == (
            design.pages_left,
            design.cgroups_pinned,
        ), name
        assert max(over_time.cgroups_pinned) > 0 or allocator == "slob"
    assert not any(design.latency_ns for design in result.designs.values()), "time is the model's in serial play"


@pytest.fixture
def arena():
    load, _ = build("pairs", ["operations=10"], 1, 1)
    made = Arena(load, memory=1 << 22, serial=True)
    yield made
    made.close()


def test_a_long_curve_keeps_its_ends_and_grows_coarser(arena):
    arena.reset(frozenset({"STATS"}), BlockSettings(curve=True))
    m = arena.machine(frozenset({"STATS"}), arena.kworker_cpu)
    for now in range(0, 3 * SAMPLES * SAMPLE_EVERY, SAMPLE_EVERY // 4):
        arena.words[WORLD_AT + WORLD.now], arena.words[WORLD_AT + WORLD.offlined] = now, now
        sample_when_due(m, arena.run)
    take_sample(m, arena.run)
    samples = arena.samples()
    assert SAMPLES // 2 < len(samples) <= SAMPLES
    assert samples["at"][0] == 0 and samples["at"][-1] == now
    assert (samples["dead"] == samples["at"]).all()
    assert set(samples["at"][1:-1] - samples["at"][:-2]) == {4 * SAMPLE_EVERY}


def test_blocks_that_want_no_curve_take_no_sample(arena):
    arena.reset(frozenset({"STATS"}))
    take_sample(arena.machine(frozenset({"STATS"}), arena.kworker_cpu), arena.run)
    assert arena.words[arena.run + RUN.sampled] == 0


def test_quantiles_of_several_passes_together():
    one, other = Latencies({10.0: 98, 100.0: 1}, 104.0), Latencies({1000.0: 1}, 990.0)
    latency = summarise([one, other])
    assert (latency.operations, latency.p50, latency.p90, latency.p99, latency.max) == (100, 10.0, 10.0, 100.0, 990.0)
    assert latency.p999 == 990.0, "a bucket's middle never exceeds what was seen"
    assert len(latency.tail) == 17 and (latency.tail[0], latency.tail[16]) == (10.0, 100.0)
    assert summarise([Latencies({7.0: 1}, 7.0)]).tail == [7.0]
