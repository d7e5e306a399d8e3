"""`compare`: the same work on different designs, machines or sources; other work is refused with the reason."""

import pytest
from stress_records import SWITCHES, block, leak, record
from typer.testing import CliRunner

from stress.commands.app import app
from stress.measure.evaluation import measure
from stress.measure.records import SectionSum
from stress.process.errors import UsageError
from stress.report import comparison as reporting
from stress.report.compare import compare
from stress.result.files import write_result


def plain(**fields):
    return measure(record(**{"live_ns": {"v3": 12.5}} | fields))


def rows(comparison, label):
    return [row.cells for group in comparison.groups for row in group.rows if row.label == label]


def test_columns_are_runs_and_designs():
    faster = plain(
        live_ns={"linux-3.16": 5.0, "v1": 5.0, "v3": 5.0}, machine={"cpu": "Other CPU", "kernel": "Linux 6.1"}
    )
    both = compare([plain(), faster])
    assert both.columns == ["1: linux-3.16 (before)", "1: v1", "1: v3", "2: linux-3.16 (before)", "2: v1", "2: v3"]
    assert rows(both, "frees/s, live caches") == [("200 M", "200 M", "160 M", "400 M", "400 M", "400 M")]
    assert rows(both, "left") == [("41", "3", "0") * 2]
    assert "machine: cpu: Model CPU (1), Other CPU (2)" in both.differences
    assert any(
        said.startswith("v3 against linux-3.16, frees into live caches: run 1 0.800") and "DO NOT OVERLAP" in said
        for said in both.findings
    )
    assert any(said.startswith("v1 against") and "intervals overlap" in said for said in both.findings)


def test_rows_of_the_same_name_stay_apart():
    """Both list_lock and page CAS have a row "… into dead caches only"."""
    assert [len(cells) for cells in rows(compare([plain(), plain()]), "… into dead caches only")] == [6, 6]


def test_a_row_is_compared_with_that_of_the_same_kind():
    """A run without frees into live caches has no verdict on them; that on frees into dead ones stays what it is."""
    slow = {"linux-3.16": 20.0, "v1": 20.0, "v3": 30.0}
    dead_only = [block(design, pair, dead_ns=slow[design]) for pair in range(8) for design in SWITCHES]
    for one in dead_only:
        one.sections["live"] = [SectionSum() for _ in one.sections["live"]]
    verdicts = rows(compare([plain(), plain(blocks=dead_only)]), "… verdict (±2 %)")
    assert verdicts == [
        ("", "equivalent", "slower", "", "equivalent", "slower"),  # all frees
        ("", "equivalent", "slower", "–", "–", "–"),  # into live caches
        ("", "equivalent", "equivalent", "", "equivalent", "slower"),  # into dead ones
    ]


def test_runs_of_different_designs():
    one = plain(switches={"linux-3.16": [], "v1": SWITCHES["v1"]}, blocks=[block("v1", 0)], censuses=[leak()])
    both = compare([one, plain(allocator="slab", seed=2, serial=True)])
    assert both.columns[:2] == ["1: linux-3.16 (before)", "1: v1"] and len(both.columns) == 5
    said = "; ".join(both.differences)
    assert (
        "allocator: slub (1), slab (2)" in said and "seed" in said and "stepped by one process: no (1), yes (2)" in said
    )
    assert all(len(row.cells) == 5 for group in both.groups for row in group.rows)
    assert "counted passes differ" in said


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"scenario": "pinned"}, "scenarios offline-storm and pinned"),
        ({"parameters": {"cgroups": 65}}, "cgroups is 64 and 65"),
        ({"parameters": {"cgroups": 64, "burst": 2}}, "burst is not set and 2"),
        ({"cpus": 4, "blocks": []}, "model CPUs are 2 and 4"),
        ({"nodes": 2}, "nodes are 1 and 2"),
    ],
)
def test_other_work_is_refused(fields, why):
    with pytest.raises(UsageError, match=f"cannot be compared: .*{why}"):
        compare([plain(), plain(**fields)])


def test_each_ratio_is_compared_with_its_verdict_and_margin():
    said = "\n".join(compare([plain(live_ns={"v3": 12.5}), plain(margin=0.005)]).findings)
    assert (
        "v3 against linux-3.16, frees into live caches: "
        "run 1 0.800 [0.800, 0.800] slower (±2 %); run 2 0.800 [0.800, 0.800] slower (±0.5 %)" in said
    )


def test_doubtful_runs_are_named():
    said = "; ".join(compare([plain(damage="worker 1 was killed"), plain(oversubscribed=True)]).differences)
    assert "run 1 is partial: worker 1 was killed" in said and "run 2's timing is poor" in said


@pytest.fixture
def out(tmp_path):
    for cpu in ("Model CPU", "<b>CPU|2</b>"):
        write_result(plain(machine={"cpu": cpu}), tmp_path)
    return tmp_path


def invoke(out, *arguments):
    return CliRunner().invoke(app, ["compare", "--out", str(out), *arguments], prog_name="python -m stress")


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
def test_formats(out, format):
    done = invoke(out, *sorted(path.name for path in out.iterdir()), "--format", format)
    assert done.exit_code == 0, done.stderr
    for text in (
        "offline-storm, 2 CPUs, 1 node: 2 runs",
        "1: linux-3.16 (before)",
        "2: v3",
        "frees/s, dead caches",
        "What the runs differ in",
    ):
        assert text in done.stdout, text
    assert ("<b>" in done.stdout) == (format == "text")
    if format == "text":
        assert max(map(len, (line for line in done.stdout.splitlines() if "free" in line and "_" in line))) < 200
        assert "1.000 [1.000, 1.000]" in done.stdout  # no cell is folded
    if format == "markdown":
        table = [line for line in done.stdout.splitlines() if line.startswith("| frees/s")]
        assert {line.count("|") for line in table} == {8}


def test_what_cannot_be_compared_ends_with_status_2(out):
    one, other = sorted(path.name for path in out.iterdir())
    for arguments, said in (
        ((one,), "at least two"),
        ((one, one), "at least two"),
        ((one, other, one), "named twice"),
        ((one, "nothing"), "no such file"),
    ):
        done = invoke(out, *arguments)
        assert done.exit_code == 2 and said in done.stderr and done.stdout == "", done.stderr
    assert reporting.UNPAIRED in invoke(out, one, other).stdout
