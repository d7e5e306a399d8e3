"""A folder of results: finding runs by name, listing them, removing old ones."""

import datetime

import pytest
from stress_records import record
from typer.testing import CliRunner

from stress.commands.app import app
from stress.measure.evaluation import measure
from stress.process.errors import UsageError
from stress.result.files import write_result
from stress.result.folder import find, prune, runs

NOON = datetime.datetime(2026, 1, 10, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), prog_name="python -m stress")


@pytest.fixture
def out(tmp_path):
    """Five runs, a day between them, the newest made at NOON; beside them what is no run."""
    for days in range(5):
        write_result(measure(record(pairs=5)), tmp_path / "out", NOON - days * DAY)
    folder = tmp_path / "out"
    (folder / "notes.txt").write_text("mine")
    (folder / "20260101-claims").mkdir()
    (folder / "20260101-claims" / "claims.json").write_text("{}")
    return folder


def ids(out):
    return [run.id for run in runs(out)]


def test_runs_come_oldest_first_and_others_are_none(out):
    assert len(ids(out)) == 5 and ids(out) == sorted(ids(out))
    assert runs(out)[-1].created == NOON and set(runs(out)[0].summary.designs) == {"linux-3.16", "v1", "v3"}


def test_names(out):
    last = ids(out)[-1]
    path = out / last / "result.json"
    for name in (last, last[-4:], last[:15], "last", str(path), str(path.parent)):
        assert find(name, out) == path, name
    with pytest.raises(UsageError, match="fits 5 runs.*give more of the id"):
        find("2026", out)
    with pytest.raises(UsageError, match=f"no such file.*{last}"):
        find("nonsense", out)
    with pytest.raises(UsageError, match="has no runs"):
        find("last", out / "nowhere")


def test_list(out):
    (out / "20260111-damaged").mkdir()
    (out / "20260111-damaged" / "result.json").write_text('{"scenario": 3}')
    for done in (invoke("results", "--out", out), invoke("results", "list", "--out", out)):
        assert done.exit_code == 0
        assert [line.split()[0] for line in done.stdout.splitlines()[2:8]] == ids(out)
        assert "linux-3.16 v1 v3" in done.stdout and "unreadable" in done.stdout and "claims" not in done.stdout


def test_an_empty_and_a_missing_folder(tmp_path):
    assert "has no runs" in invoke("results", "--out", tmp_path).stdout
    done = invoke("results", "--out", tmp_path / "none")
    assert done.exit_code == 2 and "--out" in done.stderr and "No such file" in done.stderr


def test_show(out):
    done = invoke("results", "--out", out, "show", "last")
    assert done.exit_code == 0 and "Trust: good." in done.stdout and ids(out)[-1] in done.stdout
    done = invoke("results", "--out", out, "show", "last", "--details")
    assert done.exit_code == 0 and "What the figures say" in done.stdout and ids(out)[-1] in done.stdout
    assert invoke("results", "show", "nonsense", "--out", out).exit_code == 2


def test_prune_keeps_the_newest(out):
    before = ids(out)
    dry = invoke("results", "prune", "--keep", 2, "--dry-run", "--out", out)
    assert dry.stdout.count("would remove") == 4 and ids(out) == before
    done = invoke("results", "prune", "--keep", 2, "--out", out)
    assert done.exit_code == 0 and "removed 3 runs" in done.stdout
    assert all(f"removed {out / run}" in done.stdout for run in before[:3])
    assert (
        ids(out) == before[-2:] and (out / "notes.txt").exists() and (out / "20260101-claims" / "claims.json").exists()
    )


def test_prune_by_age_and_by_both(out):
    now = NOON + DAY / 2
    assert [run.id for run in prune(out, older_than_days=2, dry_run=True, now=now).removed] == ids(out)[:3]
    oldest, *others = ids(out)
    assert [run.id for run in prune(out, keep=4, older_than_days=2, now=now).removed] == [oldest] and ids(out) == others
    assert prune(out, keep=10).removed == [] and prune(out, keep=0, older_than_days=90, now=now).removed == []


def test_a_folder_with_files_of_others_stays(out):
    oldest = runs(out)[0].folder
    (oldest / "my notes.txt").write_text("kept")
    (oldest / "report.html").write_text("ours")
    for dry_run in (True, False):
        pruned = prune(out, keep=4, dry_run=dry_run)
        assert pruned.removed == [] and pruned.kept == [(runs(out)[0], "it also holds my notes.txt")]
    assert {path.name for path in oldest.iterdir()} == {"my notes.txt", "report.html", "result.json"}


NOT_RUNS = ('{"accuracy": 0.97}', '{"scenario": 3}', "no JSON", "")


@pytest.mark.parametrize("text", NOT_RUNS)
def test_a_folder_whose_result_is_not_known_as_ours_stays(out, text):
    """`result.json` is a name that other programs use too."""
    other = out / "experiment"
    other.mkdir()
    (other / "result.json").write_text(text)
    for dry_run in (True, False):
        ((run, why),) = prune(out, keep=0, dry_run=dry_run).kept
        assert run.folder == other and "cannot be read" in why
    assert (other / "result.json").read_text() == text and len(ids(out)) == 1


def link(path, elsewhere):
    path.unlink(missing_ok=True)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("report.html", lambda path, elsewhere: path.mkdir()),
        ("report.html", link),
        ("result.json", lambda path, elsewhere: link(path, elsewhere.with_name("result.json"))),
    ],
)
def test_what_a_run_does_not_write_stays_whatever_its_name(out, tmp_path, name, make):
    """A run writes plain files: no folder, no link goes by their names."""
    (tmp_path / "result.json").write_bytes((runs(out)[0].folder / "result.json").read_bytes())
    oldest = runs(out)[0].folder
    make(oldest / name, tmp_path / "elsewhere")
    before = sorted(oldest.iterdir())
    for dry_run in (True, False):
        pruned = prune(out, keep=4, dry_run=dry_run)
        assert [(run.folder, why) for run, why in pruned.kept] == [
            (oldest, f"it also holds {name}")
        ] and not pruned.removed
    assert sorted(oldest.iterdir()) == before


def test_a_folder_that_cannot_be_listed_stays(out, monkeypatch):
    """Also in a dry run."""
    oldest = runs(out)[0].folder

    listed = type(oldest).iterdir

    def refuse(folder):
        if folder == oldest:
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(type(oldest), "iterdir", refuse)
    for dry_run in (True, False):
        ((run, why),) = prune(out, keep=4, dry_run=dry_run).kept
        assert run.folder == oldest and why == "it cannot be removed: Permission denied"


def test_links_are_not_followed(out, tmp_path):
    elsewhere = out.rename(tmp_path / "elsewhere")
    out.mkdir()
    (out / "link").symlink_to(runs(elsewhere)[0].folder)
    assert runs(out) == [] and prune(out, keep=0).removed == [] and len(runs(elsewhere)) == 5


@pytest.mark.parametrize(
    "arguments", [(), ("--keep", "-1"), ("--older-than", "-2"), ("--older-than", "nan"), ("--keep", "few")]
)
def test_prune_needs_a_sensible_limit(out, arguments):
    done = invoke("results", "prune", "--out", out, *arguments)
    assert done.exit_code == 2 and (arguments or ("--keep",))[0] in done.stderr and len(ids(out)) == 5
