"""What a user sees of a whole run: formats, files, exit status, refusals."""

import json
import re

import msgspec
import pytest
from running import finish, invoke, small
from trace_format import check

from allocators.catalogue import SLUB
from stress.result.data import Result
from stress.result.folder import TURNS_FILES

QUICK = ("--after", "v3", "--seconds", "0.1", *small())


@pytest.mark.xdist_group("cpus")
def test_json_is_the_result_and_nothing_else(tmp_path):
    run = finish(tmp_path, *QUICK, "--launches", "5", "--format", "json", "--quiet")
    assert run.stderr == ""
    (path,) = run.out.glob("*/result.json")
    assert path.read_text() == run.stdout
    assert re.fullmatch(r"\d{8}-\d{6}-offline-storm-[0-9a-f]{4}", path.parent.name)
    assert {p.name for p in path.parent.iterdir()} - set(TURNS_FILES) == {"report.html", "result.json"}
    result = json.loads(run.stdout)
    assert msgspec.json.decode(run.stdout, type=Result).run_id == path.parent.name
    for name in (
        "schema_version", "scenario", "parameters", "allocator", "seed", "cpus", "baseline", "designs", "ratios",
        "invariants", "partial", "trust",
    ):  # fmt: skip
        assert name in result, name
    assert result["partial"] is False and result["invariants"]["violated"] == []
    low, estimate, high = (result["ratios"]["v3"]["free_throughput"][key] for key in ("low", "estimate", "high"))
    assert 0 < low <= estimate <= high
    for name in ("linux-3.16", "v3"):
        design = result["designs"][name]
        assert design["switches"] and set(design["frees_per_second"]) == {"live", "dead", "all"}
        assert all(design["frees_per_second"].values())
        assert set(design["dead_caches"]) == {"offlined", "destroyed", "left"}
        assert set(design["lifetime_seconds"]) == {"p50", "p99", "max"}
        assert set(design["stats"]) == set(SLUB.statistics) and len(SLUB.statistics) == 26
        assert set(design["per_free"]) == {"list_lock", "list_lock_contended", "page_cas", "page_cas_failed"}
        assert design["empty_slabs"].keys() >= {"cpu_slab", "cpu_partial", "node_partial"}
        assert isinstance(design["slabs_left"], int) and isinstance(design["pages_left"], int)
    assert result["designs"]["linux-3.16"]["dead_caches"]["left"] > 0 == result["designs"]["v3"]["dead_caches"]["left"]


@pytest.mark.xdist_group("cpus")
def test_text_and_progress(tmp_path):
    run = finish(tmp_path, *QUICK)
    for text in ("linux-3.16 (before)", "dead caches left", "time per live free", "pages pinned", "Trust: ", "Page: "):
        assert text in run.stdout, text
    assert len(run.stdout.splitlines()) <= 30
    (tmp_path / "again").mkdir()
    whole = finish(tmp_path / "again", "last", "--out", str(run.out), "--details", command="report").stdout
    for text in ("linux-3.16 (before)", "frees/s, live caches", "pages pinned", "What the figures say", "Result: "):
        assert text in whole, text
    phases = ["preparing", "warming up linux-3.16", "warming up v3", "counting linux-3.16", "counting v3"]
    at = [run.stderr.index(phase) for phase in phases]
    assert at == sorted(at)


def test_markdown_of_serial_play(tmp_path):
    trace = tmp_path / "counted.json"
    run = finish(tmp_path, "--serial", *QUICK, "--format", "markdown", "--perfetto", str(trace), "--quiet")
    assert len(check(trace.read_bytes())) > 20_000
    assert run.stdout.startswith("## offline-storm") and "| linux-3.16 (before) | v3 |" in run.stdout
    assert run.stderr == ""


@pytest.mark.xdist_group("cpus")
def test_more_cpus_than_there_are(tmp_path):
    """Said to be oversubscribed, and comes to its end."""
    settings = ("--scenario", "remote-free", "--set", "rounds=4", "--set", "batch=64", "--after", "v3")
    run = finish(tmp_path, "--cpus", "12", *settings, "--seconds", "0.1", "--launches", "1")
    result = run.result()
    assert result.oversubscribed and result.cpus == 12 and not result.partial
    assert "oversubscribed" in run.stdout and result.trust.grade == "poor"
    assert result.designs["v3"].frees >= 12 * 4 * 64


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--after", "v77"], "--after: "),
        (["--set", "operations=many"], "--set: operations"),
        (["--set", "no_such=1"], "--set: "),
        (["--scenario", "dead-free", "--set", "slabs=1048576", "--set", "object_size=8"], "--"),
        (["--cpus", "0"], "--cpus 0: allowed is 1 to 128; a CPU is a process; with --serial, "),
        (["--cpus", "129"], "--cpus 129: allowed is 1 to 128"),
        (["--cpus", "513", "--serial"], "--cpus 513: allowed is 1 to 512"),
        (["--cpus", "1", "--nodes", "2"], "--nodes 2: allowed is 1 to 1"),
        (["--nodes", "50"], "--nodes 50: allowed is 1 to "),
        (["--memory", "1T"], "--memory '1T': allowed is 1M to 15G"),
        (["--seconds", "0"], "--seconds"),
        (["--allocator", "slop"], "--allocator"),
        (["--before", "linux-9"], "--before"),
        (["--set", "cgroup=3"], "--set: "),
        (["--scenario", "storm"], "--scenario"),
        (["--trace", "nowhere.csv"], "--trace"),
        (["--perfetto", "nowhere/x.json"], "--perfetto nowhere/x.json"),
    ],
)
def test_bad_input_ends_with_status_2_and_names_the_option(tmp_path, arguments, says):
    done = invoke(tmp_path, *arguments, "--quiet")
    assert done.exit_code == 2 and done.stderr.startswith(f"error: {says}"), done.stderr
    assert done.stdout == "" and not (tmp_path / "results").exists() and len(done.stderr.splitlines()) == 1


def test_bad_input_of_a_real_process(tmp_path):
    run = finish(tmp_path, "--log-file", "/no/such/folder/log", "--quiet", status=2)
    assert run.stderr.startswith("error: --log-file") and len(run.stderr.splitlines()) == 1
    assert run.stdout == "" and not run.out.exists()


def test_the_cache_of_compiled_code_must_be_writable(tmp_path):
    (tmp_path / "file").write_text("")
    run = finish(tmp_path, "--serial", *QUICK, "--quiet", status=2, env={"SLAB_STRESS_CACHE": str(tmp_path / "file")})
    assert run.stderr.startswith("error: compiled code cannot be kept: ") and "SLAB_STRESS_CACHE" in run.stderr


def test_limits_agree_with_the_world():
    from allocators.caches.layout import Limits
    from allocators.catalogue import MAX_CPUS

    sizes = dict(nodes=1, memory=1 << 20, caches=1, memcgs=1, roots=1, cgroup_indices=1, cache_indices=1)
    Limits(workers=MAX_CPUS, **sizes)
    with pytest.raises(ValueError, match="CPUs"):
        Limits(workers=MAX_CPUS + 1, **sizes)


def test_list(tmp_path):
    assert "offline-storm" in finish(tmp_path, command="list").stdout
