"""Simulations from the command line to what they print: the same twice, whole or in part, and no process stays."""

import json
import re
import signal
from pathlib import Path

import pytest
from running import Run, finish
from simulations import Parsed

pytestmark = pytest.mark.xdist_group("cpus")

DESIGNS = ("--before", "v3", "--after", "v3-P8v3")  # which only SLAB reads: one compilation serves both
TINY = ("--cpus", "1,2,3", "--operations", "3000", "--set", "object_size=64")


def without_seconds(found: dict) -> dict:
    """All but how long it took, and what was typed."""
    for one in (found, *found["points"]):
        del one["seconds"]
    del found["command"]
    return found


def test_a_simulation_repeats_exactly_with_any_number_of_processes(tmp_path, valid):
    runs = [
        finish(tmp_path, *DESIGNS, *TINY, "--format", "json", "--jobs", jobs, command="simulate", fresh=jobs == "2")
        for jobs in ("1", "2")
    ]
    one, two = (without_seconds(valid("simulation", run.stdout)) for run in runs)
    assert one == two
    assert [(p["design"], p["cpus"]) for p in one["points"]] == [(d, n) for d in DESIGNS[1::2] for n in (1, 2, 3)]
    assert one["headline"] == "frees" and not one["partial"] and one["sentences"]
    for point in one["points"]:
        whole = sum(ns for row in point["spent"].values() for ns in row.values()) * point["operations"]
        assert point["rates"]["frees"] > 1e6 and not point["violations"]
        assert whole <= point["ms"] * 1e6 * point["cpus"] * 1.001


def test_a_simulation_prints_a_screen_and_writes_a_page(tmp_path):
    page = tmp_path / "page.html"
    run = finish(tmp_path, *DESIGNS, *TINY, "--nodes", "1", "--page", str(page), command="simulate")
    assert re.search(r"^ +3 +\d.* M +\d+ % .*\d+ %$", run.stdout, re.MULTILINE), run.stdout
    assert "v3 frees/s" in run.stdout and f"Page: {page}" in run.stdout and len(run.stdout.splitlines()) < 60
    assert Parsed(page.read_text()).seen.count("figure") >= 5


def test_without_memory_figures_are_not_passed_off_as_such(tmp_path):
    run = finish(tmp_path, *DESIGNS, "--cpus", "8", "--memory", "2M", command="simulate", status=3)
    assert "OUT OF MEMORY: v3-P8v3 on 8 CPUs" in run.stdout and "--memory" in run.stdout


def test_a_recorded_kernel_plays_in_virtual_time(tmp_path, recorded, valid):
    trace = str(recorded("linux-3.16-slub-v1.csv.zst"))
    run = finish(tmp_path, *DESIGNS, "--trace", trace, "--format", "json", command="simulate")
    found = valid("simulation", run.stdout)
    assert found["cpus"] == [2] and found["scenario"] == "trace" and found["parameters"] == {}
    assert all(p["operations"] > 300_000 and p["dead"]["offlined"] for p in found["points"])


def test_a_recording_as_people_have_it_plays_in_virtual_time(tmp_path, valid):
    trace = Path(__file__).resolve().parents[1] / "data" / "field" / "perf-script.txt"
    run = finish(tmp_path, *DESIGNS, "--trace", str(trace), "--format", "json", command="simulate")
    found = valid("simulation", run.stdout)
    assert found["cpus"] == [3] and [p["operations"] for p in found["points"]] == [6, 6]


def test_ctrl_c_keeps_the_points_that_are_done(tmp_path, valid):
    many = ",".join(map(str, range(1, 41)))
    with Run(tmp_path, *DESIGNS, "--cpus", many, "--format", "json", command="simulate") as run:
        run.until(lambda: re.search(r" [1-9]\d* of 80 points", run.stderr))
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 3, run.stderr
        run.wait_for_all()
        found = valid("simulation", run.stdout)
        assert found["partial"] and 0 < len(found["points"]) < 80 and "Traceback" not in run.stderr


def test_ctrl_c_ends_the_second_play_of_perfetto_too(tmp_path):
    """What was simulated is printed; a trace of half a play is none."""
    trace = tmp_path / "trace.json"
    told = ("--cpus", "2", "--operations", "50000", "--perfetto", str(trace), "--format", "json")
    with Run(tmp_path, *DESIGNS, *told, command="simulate") as run:
        run.until_says("playing again")
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 3, run.stderr
        assert not trace.exists() and "--perfetto" in run.stderr and not json.loads(run.stdout)["partial"]


def test_no_process_outlives_the_one_that_was_started(tmp_path):
    with Run(tmp_path, *DESIGNS, "--cpus", "1,2", "--operations", "20000000", command="simulate") as run:
        run.until_says("of 4 points")
        run.process.kill()
        run.wait_for_all()
        assert run.stdout == ""
