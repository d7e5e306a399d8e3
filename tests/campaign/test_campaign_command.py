"""The command without Dask, without heavy imports, and on a study that is under way elsewhere."""

import contextlib
import json
import sqlite3
import subprocess
import sys

import filelock
import pytest
from campaigns import SMALL, create, play_all, reply
from running import ROOT
from typer.testing import CliRunner

from stress.commands.app import app

HEAVY = ("numpy", "numba", "msgspec", "distributed", "dask", "pyarrow")


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["campaign", *map(str, arguments)], prog_name="python -m stress")


@pytest.mark.parametrize("missing", ["distributed", "pyarrow"])
def test_without_the_extra_it_says_how_to_get_it(missing, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    done = invoke("run", tmp_path / "study.toml")
    assert done.exit_code == 2 and "pip install 'slab-stress[campaign]'" in done.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nsys.argv = ['stress', 'campaign', 'run', '--help']\nfrom stress.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n" and "--scheduler ADDRESS" in done.stdout


def test_a_dry_run_writes_nothing(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(SMALL)
    done = invoke("run", study, "--dry-run", "--out", tmp_path / "campaigns" / "small")
    assert done.exit_code == 0 and "6 serial jobs, of which 0 are in" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_status_and_report_of_a_campaign_that_another_process_works_on(tmp_path):
    campaign, _ = create(tmp_path / "one")
    play_all(campaign, "serial")
    campaign.close()
    with filelock.FileLock(tmp_path / "one" / ".lock"):
        found = json.loads(invoke("status", tmp_path / "one", "--format", "json").stdout)
        assert (found["working"], found["counts"], found["left"]) == (True, {"all": 6, "done": 6}, 0)
        assert "2 cells, of 3 seeds each" in invoke("report", tmp_path / "one").stdout
        page = invoke("report", tmp_path / "one", "--format", "html")
        assert page.stdout.strip() == str(tmp_path / "one" / "report.html") and page.exit_code == 0
        refused = invoke("resume", tmp_path / "one")
        assert refused.exit_code == 2 and "another process is at work on it" in refused.stderr
    nowhere = invoke("status", tmp_path)
    assert nowhere.exit_code == 2 and "there is no campaign" in nowhere.stderr


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE jobs SET point = '{'", "UPDATE jobs SET job = x'00'", "UPDATE facts SET value = 1.5",
        "DELETE FROM facts WHERE name = 'store'", "DROP TABLE failures", "",
    ],
)  # fmt: skip
def test_a_damaged_catalogue_is_said_to_be(damage, tmp_path):
    with contextlib.closing(create(tmp_path / "one")[0]) as campaign:
        campaign.keep([reply(key, {}) for _, key, _, _ in campaign.to_do()], "serial")
    path = tmp_path / "one" / "catalogue.sqlite"
    if damage:
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute(damage)
    else:
        data = bytearray(path.read_bytes())
        data[4096:8192] = bytes(4096)
        path.write_bytes(data)
    ends = [invoke(typed, tmp_path / "one") for typed in ("status", "report")]
    assert all(isinstance(done.exception, SystemExit) for done in ends if done.exit_code), [e.exception for e in ends]
    assert "damaged" in ends[0].stderr + ends[1].stderr, [done.output for done in ends]


def test_a_campaign_of_other_sources_is_not_gone_on_with(tmp_path):
    campaign, _ = create(tmp_path / "one")
    campaign.note(identity='{"sources": "0000000000000000", "versions": {}}')
    campaign.close()
    done = invoke("resume", tmp_path / "one")
    assert done.exit_code == 2 and "was planned by another version" in done.stderr
