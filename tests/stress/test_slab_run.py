"""SLAB through the whole command: serially, exactly repeatable, with the reaper's kernel time; in parallel too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import finish

SMALL = ("--scenario", "pinned", "--set", "slabs=64", "--set", "cgroups=4")
DESIGNS = ("--before", "linux-3.16", "--after", "v1")
SAME_CODE = ("--before", "v1", "--after", "v1-P5")  # P5 changes nothing: one compilation serves both


def run(tmp_path: Path, *arguments: str, fresh: bool = False) -> dict:
    words = ("--allocator", "slab", "--quiet", "--format", "json", *arguments)
    return json.loads(finish(tmp_path, *words, fresh=fresh).stdout)


@pytest.mark.xdist_group("compiles")
def test_serial_counts_repeat_and_lifetimes_are_kernel_time(tmp_path):
    common = ("--serial", "--cpus", "4", "--nodes", "2", *SMALL, *DESIGNS)
    one, two = (run(tmp_path, *common, fresh=fresh) for fresh in (False, True))
    assert one["designs"] == two["designs"]
    before, v1 = one["designs"]["linux-3.16"], one["designs"]["v1"]
    assert one["invariants"]["violated"] == [] and "arrays" in one["invariants"]["checked"]
    assert one["parameters"]["time_scale"] == 20
    assert before["dead_caches"]["left"] == before["dead_caches"]["offlined"] > 0
    assert before["slabs_left"] == 0 and before["stats"]["reaped"] > 0  # the reaper needs no patch to empty them
    assert v1["dead_caches"]["left"] == 0
    assert 2 < v1["lifetime_seconds"]["max"] < 30


@pytest.mark.xdist_group("compiles")
def test_nothing_dies_when_the_reaper_gets_no_time(tmp_path):
    design = run(tmp_path, "--serial", "--settle", "0", "--cpus", "4", "--nodes", "2", *SMALL, *DESIGNS)["designs"][
        "v1"
    ]
    assert design["dead_caches"]["left"] == design["dead_caches"]["offlined"]
    assert sum(design["empty_slabs"].values()) == design["slabs_left"] > 0
    assert design["operations"]["dead_objects_in_cpu_array"] > 0


@pytest.mark.xdist_group("compiles")
def test_the_reaper_runs_on_worker_processes(tmp_path):
    result = run(
        tmp_path,
        "--cpus",
        "2",
        "--seconds",
        "0.5",
        "--check-blocks",
        "--time-scale",
        "100",
        "--settle",
        "10000",
        *SMALL,
        *SAME_CODE,
    )
    v1 = result["designs"]["v1"]
    assert result["invariants"]["violated"] == []
    assert v1["dead_caches"]["left"] == 0 and v1["operations"]["reaper_passes"] > 0
