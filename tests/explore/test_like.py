"""From a run's result to the models that explain it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner
from until import PATIENCE

from stress.commands.app import app

runner = CliRunner()
RATES = {"live": None, "dead": None, "all": None}


def _design(left: int, **places: int) -> dict:
    none = dict.fromkeys(
        ("slabs_left", "pages_left", "cgroups_pinned", "frees", "dead_frees", "allocations", "failed_allocations")
    )
    return none | {
        "switches": ["F_OBO", "P1", "P2"],
        "frees_per_second": RATES,
        "operations_per_second": {},
        "dead_caches": {"offlined": 8, "destroyed": 8 - left, "left": left},
        "lifetime_seconds": {},
        "empty_slabs": places,
        "stats": {},
        "per_free": {},
        "operations": {},
        "counted_passes": 1,
        "measured_blocks": 0,
    }


@pytest.fixture
def run(tmp_path):
    """run(designs, violated=…, **fields): a folder with a result.json."""

    def make(designs: dict, violated=(), **fields):
        result = {
            "schema_version": "1", "run_id": "20260101-000000-x-0000", "scenario": "dead-free", "parameters": {},
            "allocator": "slub",
            "seed": 1, "cpus": 4, "nodes": 1, "serial": False, "oversubscribed": False, "seconds": 1.0, "command": "",
            "machine": {},
            "baseline": next(iter(designs)), "designs": designs, "ratios": {}, "partial": False, "partial_reason": None,
            "invariants": {
                "checked": ["references"],
                "violated": [{"invariant": "references", "design": d, "description": "3 is not 2"} for d in violated],
            },
            "trust": {"grade": "good", "findings": []}, "blocks": [],
        }  # fmt: skip
        (tmp_path / "result.json").write_text(json.dumps(result | fields))
        return tmp_path

    return make


def like(folder, *more):
    return runner.invoke(
        app,
        [
            "explore",
            "--like",
            str(folder),
            "--jobs",
            "1",
            "--out",
            str(folder if folder.is_dir() else folder.parent),
            *more,
        ],
    )


def test_dead_caches_left_are_explained_and_replayed(run):
    folder = run({"v3": _design(0), "v1": _design(3, cpu_partial=3, node_partial=0)})
    done = like(folder, "R12")
    assert done.exit_code == 1, done.output
    assert "v1: 3 dead caches left, their empty slabs: 3 in cpu_partial" in done.stdout
    assert (
        "looking for leak in R12 (the same scene: R2, R3, R7, offline-vs-free)" in done.stdout
        and "not R1: it is about use after free" in done.stdout
    )
    assert "note: the run's v1 was F_OBO+P1+P2; it is now" in done.stdout
    assert "** leak: cache 1 is dead" in done.stdout and "not its workload" in done.stdout
    again = runner.invoke(app, ["replay", str(folder / "R12-v1.schedule.json")])
    assert again.exit_code == 1 and again.output.splitlines()[-1] in done.stdout


def test_a_violated_invariant_lets_any_violation_explain_it(run):
    done = like(run({"v1+F_ALLCPU": _design(0)}, ["v1+F_ALLCPU"]) / "result.json", "R1")
    assert done.exit_code == 1, done.output
    assert (
        "invariant references was violated: 3 is not 2" in done.stdout
        and "looking for any violation in R1" in done.stdout
    )
    assert "found: use after free" in done.stdout


def test_nothing_found_says_how_far_it_got(run):
    done = like(run({"v3": _design(1)}), "remote-free", "--budget", str(PATIENCE))
    assert done.exit_code == 0 and "exhaustive" in done.stdout and "no model shows what the run showed" in done.stdout
    done = like(run({"v3": _design(1)}), "remote-free", "--schedules", "2")
    assert done.exit_code == 0 and "no pass" in done.stdout and "--budget" in done.stdout


def test_a_run_goes_by_its_name(run, monkeypatch):
    folder = run({"v3": _design(1)})
    (folder / "results" / "a-run").mkdir(parents=True)
    (folder / "result.json").rename(folder / "results" / "a-run" / "result.json")
    monkeypatch.chdir(folder)
    for name in ("last", "a-run", "results/a-run"):
        done = runner.invoke(app, ["explore", "remote-free", "--schedules", "2", "--jobs", "1", "--like", name])
        assert done.exit_code == 0 and "1 dead cache left" in done.stdout, done.output
    done = runner.invoke(app, ["explore", "--like", "b-run"])
    assert done.exit_code == 2 and "--like b-run: cannot be read" in done.stderr


def test_all_models_that_fit_are_chosen():
    from stress.explore.like import LEAK, models_for

    chosen, left_out = models_for("slub", 4, (LEAK,))
    assert (
        {"R5", "R6", "R8", "alloc-vs-offline", "remote-free"} <= set(chosen)
        and "R12" in chosen["R2"]
        and "R4" in left_out
    )
    chosen, left_out = models_for("slub", 1, (LEAK,))
    assert "R5" not in chosen and left_out["R5"] == "it needs 2 CPUs, the run had 1"
    assert "reaper-vs-destroy" in models_for("slab", 4, ())[0] and "R4" in models_for("slub", 4, ())[0]["R2"]


def test_a_design_that_no_model_plays_is_said_and_the_others_explored(run):
    done = like(run({"v3": _design(1), "v99": _design(2)}), "remote-free", "--schedules", "2")
    assert done.exit_code == 0 and "not explored: design v99: unknown design 'v99'" in done.stdout


@pytest.mark.parametrize(
    "designs, fields, more, said",
    [
        ({"v3": _design(0)}, {}, (), "nothing to explain"),
        ({"v99": _design(1)}, {}, (), "no model plays what went wrong: design v99: unknown design"),
        ({"v3": _design(1)}, {"allocator": "slob"}, (), "slob, which no model plays"),
        ({"v3": _design(1)}, {"cpus": 1}, ("R5",), "R5 does not fit the run: it needs 2 CPUs"),
        ({"v3": _design(1)}, {}, ("reaper-vs-destroy",), "is not a model of slub"),
        ({"v3": _design(1)}, {}, ("R99",), "MODEL 'R99' is not known"),
        ({"v3": _design(1)}, {}, ("--design", "v1"), "--design v1: nothing went wrong under it"),
        ({"v3": _design(1)}, {}, ("--all",), "leave out --all"),
        ({"v3": _design(1)}, {}, ("--allocator", "slab"), "leave out --all, --designs and --allocator"),
        ({"v3": _design(1)}, {"schema_version": "0"}, (), "has schema_version '0'"),
        ({"v3": _design(1)}, {"invariants": 3}, (), "result.json: Expected `object`"),
    ],
)  # fmt: skip
def test_what_cannot_be_explored(run, designs, fields, more, said):
    done = like(run(designs, **fields), *more)
    assert done.exit_code == 2 and said in done.stderr, done.output


@pytest.mark.parametrize("content", [b"\x80\x04K\x01.", b"[]", b"{", None])
def test_files_that_are_no_result(tmp_path, content):
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content)
    done = like(path)
    assert done.exit_code == 2 and str(path) in done.stderr and "Traceback" not in done.output


def test_out_must_be_a_folder(run):
    folder = run({"v3": _design(1)})
    done = runner.invoke(app, ["explore", "--like", str(folder), "--out", str(folder / "x.json")])
    assert done.exit_code == 2 and "--out" in done.stderr and "is no folder" in done.stderr
