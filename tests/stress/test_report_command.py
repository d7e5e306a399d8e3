"""`report`: a run that has ended, in every format."""

import csv
import io
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from stress_records import record
from typer.testing import CliRunner
from until import PATIENCE

from stress.commands.app import app
from stress.measure.evaluation import measure
from stress.report import export, mmtests
from stress.result.files import read_result, write_result
from stress.result.folder import prune

ROOT = Path(__file__).resolve().parents[2]


def invoke(*arguments: str):
    return CliRunner().invoke(app, list(arguments), prog_name="python -m stress")


@pytest.fixture
def out(tmp_path):
    write_result(measure(record(live_ns={"v3": 12.5})), tmp_path)
    return tmp_path


def report(out, format):
    done = invoke("report", "last", "--out", str(out), "--format", format)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_text_markdown_and_json(out):
    (path,) = out.glob("*/result.json")
    short = report(out, "text")
    assert "A live free takes 10.0 ns under linux-3.16" in short and f"report {path.parent} --details" in short
    whole = invoke("report", "last", "--out", str(out), "--details").stdout
    assert "What the figures say" in whole and str(path) in whole
    assert report(out, "markdown").startswith("## offline-storm")
    assert report(out, "json") == path.read_text()


@pytest.mark.parametrize("format", ["markdown", "json", "html", "csv", "parquet"])
def test_details_of_another_format_are_refused(out, format):
    done = invoke("report", "last", "--out", str(out), "--details", "--format", format)
    assert done.exit_code == 2 and f"{format} has everything without it: leave out" in done.stderr
    assert done.stdout == "" and not list(out.glob("*/report.html"))


def test_html_renews_the_page(out):
    (folder,) = out.iterdir()
    (folder / "report.html").write_text("old")
    assert report(out, "html").strip() == str(folder / "report.html")
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "result.json"]


def test_csv_has_a_row_per_block(out):
    rows = list(csv.DictReader(io.StringIO(report(out, "csv"))))
    assert tuple(rows[0]) == export.COLUMNS and len(rows) == 27
    assert {row["warmup"] for row in rows[:3]} == {"1"} and {row["warmup"] for row in rows[3:]} == {"0"}
    (path,) = out.glob("*/result.json")
    rates = [float(row["frees_per_second_live"]) for row in rows if row["design"] == "v3" and row["warmup"] == "0"]
    assert statistics.median(rates) == pytest.approx(read_result(path).designs["v3"].frees_per_second.live)


def test_benchstat_reads_as_a_go_benchmark(out):
    lines = report(out, "benchstat").splitlines()
    assert lines[:4] == ["cpu: Model CPU", "kernel: Linux 6.1", "allocator: slub", "scenario: offline-storm"]
    for line in lines[4:]:
        assert re.fullmatch(r"Benchmark[A-Z]\S+-2 1 \d+\.\d+ ns/op", line), line
    assert lines[4] == "BenchmarkFree/live/design=linux-3.16-2 1 5.0000 ns/op"  # 10 ns on each of 2 CPUs
    assert (
        sum("Free/live/design=v3-2 " in line for line in lines)
        == 8
        == sum("Free/dead/design=v1-2 " in line for line in lines)
    )


def test_mmtests_columns(out):
    lines = report(out, "mmtests").splitlines()
    assert lines[0].split() == ["linux-3.16", "v1", "v3"] and len({len(line) for line in lines}) == 1
    rows = {tuple(line.split()[:2]): line for line in lines[1:]}
    assert "199750312.11 (   0.00%)" in rows["Hmean", "free-live/s"]
    # 12.5 ns instead of 10: surely slower. The dead frees take the same time: no stars.
    assert "*" not in rows["Hmean", "free-dead/s"] and "* -20.00%*" in rows["Hmean", "free-live/s"]
    assert rows["Lat", "50.0th-free-dead"].split()[2] == "120.00"
    assert "41.00 (   0.00%)" in rows["Ops", "dead-caches-left"] and "( 100.00%)" in rows["Ops", "dead-caches-left"]


def test_gains_from_nothing_have_no_percentage():
    assert (
        mmtests._cell(0, 3, True, False) == "3.00 (       -)" and mmtests._cell(0, 0, True, False) == "0.00 (   0.00%)"
    )
    assert mmtests._cell(10.0, None, False, False) == "-"


def test_parquet_has_the_samples_of_the_result(out):
    tables = pytest.importorskip("pyarrow.parquet")
    paths = report(out, "parquet").splitlines()
    blocks, latency, course = (tables.read_table(path).to_pylist() for path in paths)
    (path,) = out.glob("*/result.json")
    result = read_result(path)
    assert tuple(blocks[0]) == export.COLUMNS and len(blocks) == len(result.blocks)
    assert {row["run_id"] for row in (*blocks, *latency, *course)} == {result.run_id}
    assert [row["ns"] for row in latency if row["design"] == "v3" and row["path"] == "free_dead"][-1] == result.designs[
        "v3"
    ].latency_ns["free_dead"].max
    assert [row["pages_pinned"] for row in course if row["design"] == "v1"] == result.designs[
        "v1"
    ].over_time.pages_pinned
    assert prune(out, keep=0, dry_run=True).kept == [], "the files belong to the run"


def test_parquet_without_pyarrow_says_how_to_get_it(out, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = invoke("report", "last", "--out", str(out), "--format", "parquet")
    assert done.exit_code == 2 and "slab-stress[parquet]" in done.stderr


def test_names_of_benchmarks_have_no_spaces():
    assert export._name("live", "linux-3.16+P2 x/y") == "Free/live/design=linux-3.16+P2_x_y"


@pytest.mark.parametrize(
    "arguments", [("report",), ("report", "nonsense"), ("report", "last"), ("report", "last", "--format", "pdf")]
)
def test_errors_say_what_to_do(tmp_path, arguments):
    done = invoke(*arguments, *(["--out", str(tmp_path)] if len(arguments) > 1 else []))
    assert done.exit_code == 2 and ("RUN" in done.stderr or "--format" in done.stderr) and done.stdout == ""


def test_a_reader_that_has_seen_enough(out):
    """`report … | head -1`: no traceback, and the status of a command that did its work."""
    command = [sys.executable, "-m", "stress", "report", "last", "--out", str(out), "--format", "csv"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(PATIENCE)) == ("", 0)


def test_a_page_that_cannot_be_written_is_an_error_of_report(out, monkeypatch):
    monkeypatch.setattr("stress.report.page.write_atomically", _full_disk)
    done = invoke("report", "last", "--out", str(out), "--format", "html")
    assert done.exit_code == 2 and "No space left" in done.stderr


def _full_disk(*_):
    raise OSError(28, "No space left on device")
