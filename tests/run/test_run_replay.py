"""Replays of recorded kernels: predictions beside records, and files that cannot be read."""

import json

import pytest
from running import counts, finish, invoke, play

from scenarios.traces import linux316

ROWS = [
    "0,0,0,S,98000,0,0,64",
    "1,0,0,C,,1,,",
    "2,0,0,A,98040,1,0,0",
    "3,0,0,C,,2,,",
    "4,0,0,C,,3,,",
    "5,0,0,B,,2,,",
    "6,0,1,S,a0000,3,0,21",
    "7,0,1,A,a0000,3,0,5",
    "8,0,1,M,first phase,,,",
    "9,1,1,C,,4,,",
    "10,1,1,S,b0000,4,0,21",
    "11,1,1,A,b0000,4,0,5",
    "12,1,1,F,a0000,3,0,6",
    "13,0,1,A,a00c0,3,1,5",
    "15,0,1,K,,4,,",
    "16,1,1,F,b0000,4,1,7",
    "21,0,1,M,end,,,",
]


@pytest.fixture
def trace(tmp_path):
    """Writes rows of a Linux 3.16 with a boot cache, a root cache and one clone of it; returns the file's path."""

    def write(rows):
        names = [("?81367c40", 0), ("kmem_cache_node", 64), ("kmem_cache", 256), ("dentry", 192), ("dentry(0:A)", 192)]
        caches = [{"id": 0, "name": names[0][0], "created": 0}]
        for number, (name, size) in list(enumerate(names))[1:]:
            shape = {"size": size, "object_size": size - 8, "objs": 4096 // size, "order": 0}
            caches.append({"id": number, "name": name, "memcg": "(" in name, "created": number} | shape)
        path = tmp_path / "kernel.csv"
        path.write_text("".join(f"{row}\n" for row in [linux316.HEADER, *rows]))
        (tmp_path / "kernel.meta.json").write_text(json.dumps({"n_events": len(rows), "caches": caches}))
        return path

    return write


def test_a_small_trace_serially(trace):
    result = play(trace=trace(ROWS), after=("v3",))
    assert (result.scenario, result.cpus, result.partial) == ("trace", 2, False)
    assert result.invariants.violated == []
    ours = result.trace["designs"]["linux-3.16"]
    assert ours["caches_within_1"] == ours["caches_total"] and 0 < ours["fast_slow_agreement"] <= 1
    assert [mark["name"] for mark in ours["marks"]] == ["first phase", "end"]
    again = play(trace=trace(ROWS), after=("v3",))
    assert counts(again) == counts(result)


def test_a_trace_in_a_design_whose_cgroups_have_no_caches(trace):
    """What a clone allocated, its root cache does on behalf of the clone's cgroup."""
    result = play(trace=trace(ROWS), after=("linux-6.18-F_SHEAFASK",))
    assert result.invariants.violated == []
    before, after = result.designs["linux-3.16"], result.designs["linux-6.18-F_SHEAFASK"]
    assert (after.allocations, after.frees, after.failed_allocations) == (before.allocations, before.frees, 0)
    assert (before.dead_caches.offlined, after.dead_caches.offlined) == (1, 0)
    assert (after.operations["owned_free"], after.operations["owner_vector"]) == (1, 1)


@pytest.mark.xdist_group("cpus")
def test_a_small_trace_by_workers(trace, tmp_path):
    run = finish(tmp_path, "--trace", str(trace(ROWS)), "--after", "v3", "--seconds", "0.1")
    result = run.result()
    assert result.trace["order"] == "order of each CPU and each object" and not result.partial
    assert result.designs["v3"].allocations == result.trace["operations"] - result.designs["v3"].frees == 5
    assert "slabs within 1 of recorded" in run.stdout


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([*ROWS[:7], "7,0,1,A,a0000,three,0,5"], 9),
        ([*ROWS[:7], "7,0,1,A"], 9),
        ([*ROWS[:7], "7,0,1,?,a0000,3,0,5"], 9),
        ([*ROWS[:7], "7,0,1,F,a0000,3,0,5"], 9),
        ([*ROWS[:7], "7,0,1,A,a0000,77,0,5"], 9),
    ],
    ids=["no number", "cut off", "unknown event", "free of an unknown object", "unknown cache"],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(trace, tmp_path, rows, line):
    path = trace(rows)
    done = invoke(tmp_path, "--trace", str(path), "--serial", "--quiet")
    assert (
        done.exit_code == 2
        and done.stderr.startswith(f"error: --trace: {path}:{line}: ")
        and len(done.stderr.splitlines()) == 1
    )
    assert done.stdout == "" and not (tmp_path / "results").exists()


def test_options_that_a_trace_does_not_take(trace, tmp_path):
    path = str(trace(ROWS))
    done = invoke(tmp_path, "--trace", path, "--cpus", "3", "--quiet")
    assert done.exit_code == 2 and done.stderr.startswith("error: --cpus 3: the trace was recorded on 2 CPUs")


@pytest.mark.parametrize(
    ("file", "design", "caches", "destroyed", "off", "other_paths"),
    [
        # The kernel's own count of dentry slabs differs from its log by the one that ours does.
        ("base", "linux-3.16", 296, 183, [{"cache": "dentry", "predicted": 221, "recorded": 222}], 0),
        ("v1", "v1", 295, 199, [], 109),
    ],
)
def test_the_kernel_is_predicted(recorded, file, design, caches, destroyed, off, other_paths):
    """Exact global order: the slabs of every cache and the fate of every dead cache; only what is named is off."""
    result = play(trace=recorded(f"linux-3.16-slub-{file}.csv.zst"), before=design, after=())
    assert result.invariants.violated == [] and not result.partial
    ours = result.trace["designs"][design]
    assert ours["caches_within_1"] == ours["caches_within_1_at_every_mark"] == ours["caches_total"] == caches
    assert ours["worst"] == off and ours["paths_that_differ"] == other_paths
    assert all(predicted == told for predicted, told in (ours["slabs"]["created"], ours["slabs"]["discarded"]))
    assert len(ours["marks"]) == 11 and all(mark["predicted"] == mark["recorded"] for mark in ours["marks"])
    assert ours["caches_destroyed_predicted"] == ours["caches_destroyed_recorded"] == destroyed


@pytest.mark.xdist_group("cpus")
@pytest.mark.parametrize(
    ("file", "design"),
    [("linux-3.16-slub-base", "linux-3.16"), ("linux-3.16-slub-v1", "v3"), ("linux-6.18-mixed", "v3")],
)
def test_recordings_play_to_their_end_on_all_cpus(recorded, file, design):
    result = play(trace=recorded(f"{file}.csv.zst"), before=design, after=(), serial=False, seconds=0.1)
    assert not result.partial and result.invariants.violated == []
    ours = result.designs[design]
    assert ours.allocations + ours.frees == result.trace["operations"] and ours.failed_allocations == 0
    assert result.trace["designs"][design]["slabs"]["created"][0] > 0
    launches = result.turns.launches
    assert launches >= 2 and result.turns.turns > 4 * launches, "cut at moments of the recorded order"
    assert result.turns.sections > result.turns.turns and result.designs[design].operations_per_second.mixed > 0
