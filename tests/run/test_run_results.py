"""What a user gets from a run: the result's fields, repeatable counts, exit statuses, replays, conformance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT, finish, small

STEPS = ROOT / "tests" / "data" / "linux-3.16-slub-steps.csv"
FIELDS = (
    "schema_version scenario parameters allocator seed cpus baseline designs ratios invariants partial trust".split()
)


def counts(result: dict) -> dict:
    """Everything of a serial result that must repeat."""
    return {
        name: {
            k: d[k] for k in ("dead_caches", "empty_slabs", "slabs_left", "pages_left", "stats", "per_free", "frees")
        }
        for name, d in result["designs"].items()
    }


def serial(folder: Path, *arguments: str) -> dict:
    folder.mkdir()
    run = finish(folder, "--serial", "--quiet", "--format", "json", *small(), *arguments)
    return json.loads(run.stdout)


@pytest.mark.xdist_group("cpus")
def test_json_is_the_result_and_nothing_else(tmp_path):
    run = finish(tmp_path, "--seconds", "0.2", "--quiet", "--format", "json", *small())
    result = json.loads(run.stdout)
    assert [f for f in FIELDS if f not in result] == []
    assert list(result["designs"]) == ["linux-3.16", "v1", "v3"] and len(result["designs"]["v3"]["stats"]) == 26
    assert result["designs"]["v3"]["dead_caches"]["left"] == 0 < result["designs"]["linux-3.16"]["dead_caches"]["left"]
    assert result["invariants"]["violated"] == [] and result["invariants"]["checked"]
    (path,) = run.out.glob("*/result.json")
    assert json.loads(path.read_text()) == result


def test_serial_counts_repeat_for_a_seed(tmp_path):
    one, again, other = (
        serial(tmp_path / n, "--after", "v3", "--seed", s) for n, s in (("a", "5"), ("b", "5"), ("c", "6"))
    )
    assert counts(one) == counts(again)
    assert counts(one) != counts(other)


@pytest.mark.parametrize(
    "arguments", [("--cpus", "1"), ("--cpus", "8", "--nodes", "2"), ("--memory", "2M")], ids=" ".join
)
def test_invariants_hold(tmp_path, arguments):
    result = serial(tmp_path / "r", "--after", "v3", *arguments)
    assert result["invariants"]["violated"] == [] and not result["partial"]


def test_out_of_memory_is_counted(tmp_path):
    result = serial(tmp_path / "r", "--after", "v3", "--memory", "1M", "--set", "lifetime=20")
    assert result["invariants"]["violated"] == []
    assert result["designs"]["v3"]["failed_allocations"] > 0


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--before", "linux-9"), "--before"),
        (("--set", "cgroup=3"), "cgroups"),
        (("--cpus", "0"), "--cpus"),
        (("--memory", "100T"), "memory"),
        (("--cpus", "2", "--nodes", "3"), "--nodes"),
        (("--scenario", "storm"), "--scenario"),
        (("--trace", "nowhere.csv"), "--trace"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_bad_usage_names_the_option(tmp_path, arguments, said):
    run = finish(tmp_path, "--quiet", *arguments, status=2)
    assert said in run.stderr and run.stdout == ""


def test_a_malformed_trace_line_is_named(tmp_path):
    trace = tmp_path / "bad.csv"
    trace.write_text("t_tsc,cpu,pid,op,addr_hex,cache,x,y\n0,0,0,S,98000,0,0,64\nnonsense\n")
    (tmp_path / "bad.meta.json").write_text("{}")
    run = finish(tmp_path, "--quiet", "--serial", "--trace", str(trace), status=2)
    assert run.stderr.startswith("error: --trace")


def conform(path: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "stress", "conform", str(path)], cwd=ROOT, capture_output=True, text=True
    )


def test_every_recorded_step_conforms():
    done = conform(STEPS)
    assert done.returncode == 0 and "252 of 252 steps equal" in done.stdout


def test_a_changed_number_is_found_and_named(tmp_path):
    lines = STEPS.read_text().splitlines()
    fields = lines[2].split(",")
    column = lines[0].split(",").index("alloc_slab")
    ours, fields[column] = fields[column], str(int(fields[column]) + 1)
    lines[2] = ",".join(fields)
    changed = tmp_path / "steps.csv"
    changed.write_text("\n".join(lines) + "\n")
    done = conform(changed)
    assert done.returncode == 1
    assert f"alloc_slab is {fields[column]} in the kernel, {ours} here" in done.stdout


@pytest.mark.parametrize("name, design, destroyed", [("base", "linux-3.16", 183), ("v1", "v1", 199)])
def test_a_recorded_life_is_predicted(recorded, tmp_path, name, design, destroyed):
    other = "v1" if design == "linux-3.16" else "linux-3.16"
    trace = recorded(f"linux-3.16-slub-{name}.csv.zst")
    run = finish(
        tmp_path, "--quiet", "--serial", "--format", "json", "--before", design, "--after", other, "--trace", str(trace)
    )
    figures = json.loads(run.stdout)["trace"]["designs"][design]
    assert figures["caches_within_1"] == figures["caches_total"] == figures["caches_within_1_at_every_mark"]
    assert figures["fast_slow_agreement"] > 0.995
    assert figures["caches_destroyed_predicted"] == figures["caches_destroyed_recorded"] == destroyed
