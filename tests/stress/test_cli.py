"""The command line: help, usage errors, formats, exit status."""

import importlib.metadata
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from stress_records import census, record
from typer.testing import CliRunner
from until import PATIENCE

from stress.commands.app import app
from stress.play.options import Measuring, World
from stress.process.errors import DamagedRun, UsageError
from stress.result.files import read_result

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "numba", "rich", "scipy", "psutil", "msgspec", "llvmlite", "zstandard")


@pytest.fixture(autouse=True)
def plain_logging(monkeypatch):
    """Logging into a queue is for whole processes; here it would outlive the test."""
    monkeypatch.setattr("stress.play.session.setup_logging", lambda *_: None)
    monkeypatch.setattr("stress.play.session.close_logging", lambda: None)


def invoke(*arguments: str):
    return CliRunner().invoke(app, list(arguments), prog_name="python -m stress")


@pytest.fixture
def run(coordinator, tmp_path):
    """Run `run` with the stand-in coordinator; its results go to a folder of this test."""
    coordinator.record = record()

    def run(*arguments: str):
        return invoke("run", "--out", str(tmp_path / "results"), *arguments)

    return run


def results(tmp_path) -> list[Path]:
    return list((tmp_path / "results").glob("*/result.json"))


def test_help_lists_the_commands_and_options():
    text = invoke("--help").stdout
    for command in ("run", "list", "conform", "bench", "report", "results"):
        assert f"\n  {command} " in text
    text = invoke("run", "--help").stdout
    for option in (
        "--scenario NAME", "--set KEY=VALUE", "--trace FILE", "--allocator", "--before DESIGN", "--after DESIGN",
        "--cpus N",
        "--nodes N", "--seconds S", "--seed N", "--time-scale X", "--memory SIZE", "--serial", "--check-blocks",
        "--out DIR",
        "--format", "--details", "--quiet", "--log-level", "--log-file FILE", "Examples:",
    ):  # fmt: skip
        assert option in text, option


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "sys.argv = ['stress', 'run', '--help']\n"
        "from stress.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert e.code == 0, e.code\n"
        f"print('loaded:', sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert "loaded: []" in done.stderr and "--scenario" in done.stdout


@pytest.mark.parametrize("typed", ["--help", "run --help", "--version"])
def test_help_into_a_closed_pipe_is_done(typed):
    """`python -m stress --help | head -1`: Typer would end with status 1."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "stress", *typed.split()]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_version(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"slab-stress": "1.2.3"}[name])
    assert invoke("--version").stdout == "slab-stress 1.2.3\n"


def test_version_without_installation(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    done = invoke("--version")
    assert (done.exit_code, done.stdout) == (0, "slab-stress of a checkout that is not installed\n")


def shell_asks(*words: str) -> list[str]:
    """What the console script answers to a shell that completes the last word."""
    asked = {"_SLAB_STRESS_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, "-c", "from stress.__main__ import main; main()"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | asked, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_shell_completes_commands_options_and_choices():
    assert shell_asks("slab-stress", "re") == ["record", "replay", "report", "results"]
    assert shell_asks("slab-stress", "list", "") == ["allocators", "designs", "scenarios", "races", "machines"]
    assert shell_asks("slab-stress", "run", "--until") == ["--until-sure"]


def test_completion_is_for_the_console_script_whoever_prints_it():
    command = [sys.executable, "-m", "stress", "--show-completion", "bash"]
    environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert "_SLAB_STRESS_COMPLETE=complete_bash" in done.stdout and done.stdout.strip().endswith(" slab-stress")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--cpus", "none"], "--cpus"),
        (["--no-such-option"], "--no-such-option"),
        (["--format", "xml"], "--format"),
        (["--scenario", "nonsense"], "--scenario"),
        (["--seconds", "-3"], "--seconds"),
        (["--after", "v77"], "--after"),
        (["--memory", "much"], "--memory"),
        (["--set", "x"], "--set"),
        (["--trace", "/no/such/file"], "--trace"),
        (["--out", "/dev/null"], "--out"),
        (["surplus"], "surplus"),
    ],
)
def test_usage_errors_end_with_status_2_and_name_the_option(arguments, names):
    result = invoke("run", *arguments)
    assert result.exit_code == 2
    assert names in result.stderr and result.stdout == "" and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("run --secnds 3", "'--seconds'"),
        ("results list --formt json", "'--format'"),
        ("run --format jsn", "'json'"),
        ("list racs", "'races'"),
        ("lst", "'list'"),
        ("explore offline-vs-fre", "'offline-vs-free'"),
        ("explore r12", "'R12'"),
        ("explore --all --allocator slubb", "'slub'"),
        ("run --fail page-aloc:0.1", "'page-alloc'"),
        ("simulate --machine epic-2022", "'epyc-2022'"),
        ("bench --library mimaloc=/x", "'mimalloc'"),
    ],
)
def test_errors_name_the_nearest_good_one(typed, near):
    done = invoke(*typed.split())
    assert done.exit_code == 2 and f"did you mean {near}" in done.stderr.replace("Did", "did"), done.stderr


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("bench --no-peers --sizes abc", "--sizes: 'abc'"),
        ("bench --no-peers --library mimalloc=/no/such", "there is no such file"),
        ("bench --no-peers --seconds inf", "--seconds"),
        ("explore R12 --out /no/such/folder/file", "--out /no/such/folder/file"),
        ("explore --all --strategy pct", "--strategy pct"),
        ("explore --like last --format json", "--format json"),
        ("explore --like last --design v9", "did you mean"),
        ("explore R12 --budget inf", "--budget inf"),
        ("run --settle 1e300", "--settle 1e+300"),
        ("run --time-scale 1e-300", "--time-scale 1e-300"),
        ("results prune --keep " + "9" * 400, "--keep 999"),
    ],
)
def test_options_are_checked_whether_they_are_used_or_not(typed, says):
    done = invoke(*typed.split())
    assert done.exit_code == 2 and says in done.stderr, done.stderr


def test_usage_error_of_a_real_process():
    command = [sys.executable, "-m", "stress", "run", "--scenario", "nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --scenario 'nonsense'")


def test_options_reach_the_coordinator(run, coordinator):
    typed = (
        "--before v1 --after linux-3.16+P2 --after v3-F_OBO --cpus 3 --nodes 2 --seed 9 --serial "
        "--scenario pinned --set hold=1 --memory 64M --time-scale 10 --check-blocks --seconds 2"
    )
    assert run(*typed.split()).exit_code == 0
    o = coordinator.options
    assert (o.before, o.after) == ("v1", ("linux-3.16+P2", "v3-F_OBO"))
    assert (o.scenario, o.settings, o.command[:16]) == ("pinned", {"hold": "1"}, "python -m stress")
    assert o.world == World(cpus=3, nodes=2, memory=64 << 20, time_scale=10.0)
    assert o.measuring == Measuring(seconds=2.0, seed=9, serial=True, check_blocks=True)


def test_text_says_where_the_result_is(run, tmp_path):
    done = run()
    assert done.exit_code == 0
    (path,) = results(tmp_path)
    assert f"Page: {path.with_name('report.html')}" in done.stdout and "Trust: good." in done.stdout
    assert "What the figures say" not in done.stdout and len(done.stdout.splitlines()) <= 30
    assert read_result(path).scenario == "offline-storm"
    assert "playing" in done.stderr and "41 dead caches" not in done.stdout


def test_details_are_all_there_is_to_say(run, tmp_path):
    done = run("--details")
    (path,) = results(tmp_path)
    assert f"Result: {path}" in done.stdout and "What the figures say" in done.stdout


def test_details_are_of_the_text_alone(run, tmp_path):
    done = run("--details", "--format", "markdown")
    assert done.exit_code == 2 and "leave out --details or --format" in done.stderr
    assert done.stdout == "" and results(tmp_path) == []


def test_json_is_the_file_and_nothing_else(run, tmp_path):
    done = run("--format", "json")
    (path,) = results(tmp_path)
    assert done.stdout == path.read_text() and json.loads(done.stdout)["schema_version"] == "1"
    assert str(path) in done.stderr


def test_markdown(run):
    assert run("--format", "markdown").stdout.startswith("## offline-storm")


def test_quiet_says_nothing_beside_the_report(run):
    assert run("--quiet", "--format", "json").stderr == ""


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 0),
        ({"damage": "worker 1 was killed"}, 3),
        ({"interrupted": True}, 3),
        ({"censuses": [census("v1", violated=[("I2", "x")])]}, 1),
        ({"censuses": [census("v1", violated=[("I2", "x")])], "damage": "worker 1 was killed"}, 1),
    ],
)
def test_exit_status_and_result_even_of_bad_runs(run, coordinator, tmp_path, fields, status):
    coordinator.record = record(**fields)
    assert run().exit_code == status
    assert len(results(tmp_path)) == 1


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UsageError("--trace x: line 7: unknown event"), 2, "error: --trace x: line 7: unknown event\n"),
        (DamagedRun("no worker could be started"), 3, "error: no worker could be started\n"),
        (KeyboardInterrupt(), 3, "interrupted"),
    ],
)
def test_runs_that_end_without_a_record(run, coordinator, tmp_path, error, status, says):
    coordinator.error = error
    done = run("--quiet")
    assert (done.exit_code, done.stdout) == (status, "") and done.stderr.startswith(says)
    assert results(tmp_path) == []


def test_every_run_writes_its_page(run, tmp_path):
    done = run()
    (path,) = results(tmp_path)
    assert f"Page: {path.with_name('report.html')}" in done.stdout
    assert path.parent.name in path.with_name("report.html").read_text()


def test_a_run_without_room_for_a_page_is_still_a_run(run, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stress.report.page.write_atomically", full_disk)
    done = run("--format", "json")
    assert done.exit_code == 0 and json.loads(done.stdout) and "the page could not be written" in done.stderr
    said = run().stdout
    assert "Page:" not in said and "Result: " in said


def test_a_trace_is_told_of_and_one_of_nothing_is_not_written(run, coordinator, tmp_path, monkeypatch):
    path = tmp_path / "counted.json"
    assert f"--perfetto {path}: is not written" in run("--perfetto", str(path)).stderr and not path.exists()
    monkeypatch.setattr("stress.play.passes.Passes.encode", lambda *_: b"{}")
    monkeypatch.setattr("stress.play.passes.Passes.__init__", lambda self: setattr(self, "passes", 1))
    assert f"trace written to {path}; open it at" in run("--perfetto", str(path)).stderr and path.read_bytes() == b"{}"
    assert str(path) not in run("--perfetto", str(path), "--quiet").stderr
    full = run("--perfetto", "/dev/full/x.json")
    assert full.exit_code == 2 and "--perfetto /dev/full/x.json: it must name a file" in full.stderr


def test_list():
    everything = invoke("list").stdout
    for word in (
        "allocators:",
        "slub",
        "slob",
        "designs:",
        "linux-3.16",
        "eight patches",
        "scenarios:",
        "offline-storm",
    ):
        assert word in everything
    designs = invoke("list", "designs").stdout
    assert "v3" in designs and "F_OBO" in designs and "switches" in designs
    assert "offline-storm" not in invoke("list", "allocators").stdout
    scenarios = invoke("list", "scenarios").stdout
    assert "dead-free" in scenarios and "object_size" in scenarios and "default: 256" in scenarios
    assert invoke("list", "nonsense").exit_code == 2


def handed_over(monkeypatch, module: str, *arguments: str) -> tuple:
    """What a command gave to `main` of a module, whose exit status, 1, it must pass on."""
    calls = []
    stub = types.ModuleType(module)
    stub.__path__ = list(importlib.util.find_spec(module).submodule_search_locations or ())  # its parts are looked at
    stub.main = lambda *a, **k: calls.append((a, k)) or 1
    package, _, name = module.rpartition(".")
    monkeypatch.setitem(sys.modules, module, stub)
    monkeypatch.setattr(importlib.import_module(package), name, stub, raising=False)
    assert invoke(*arguments).exit_code == 1
    (call,) = calls
    return call


def test_conform_hands_over(monkeypatch):
    assert handed_over(monkeypatch, "stress.play.conform", "conform", __file__) == ((Path(__file__),), {})


def test_bench_hands_over(monkeypatch):
    given = handed_over(monkeypatch, "stress.bench", "bench", "--no-peers")
    assert given == ((), {"format": "text", "quiet": False, "page": None, "plan": None})
