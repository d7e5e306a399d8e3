"""The fixture `recorded`: no comparison with a kernel is left out unseen."""

from __future__ import annotations

import hashlib
import re

import pytest
from recordings import FOLDER, REQUIRE, SHIPPED, SUMS, Recordings

pytest_plugins = ["pytester"]
SPARE = ("-p", "no:cacheprovider", "-p", "no:unraisableexception")  # collects garbage for seconds
ABSENT = "linux-9.9-life.csv.zst"


def test_what_is_shipped_is_listed_and_unchanged():
    here = Recordings(SHIPPED, SHIPPED, required=True)
    shipped = {str(path.relative_to(SHIPPED)) for path in SHIPPED.rglob("*") if path.is_file()}
    assert set(here.sums) == shipped - {SUMS, "README.md"}
    for name in here.sums:
        assert here.path(name) == SHIPPED / name


@pytest.mark.parametrize("page", ["README.md", "docs/design.md", "docs/tutorial.md"])
def test_commands_of_the_documentation_name_files_that_are_shipped(page):
    root = SHIPPED.parents[1]
    names = re.findall(r"(?:--trace|conform) ([\w./-]+\.(?:csv|zst)\b[\w.]*)", (root / page).read_text())
    assert names and all(
        (root / name).is_file() and (root / name).name in Recordings(SHIPPED, root, required=True).sums
        for name in names
    )


@pytest.fixture
def small(tmp_path):
    """A repository that ships two recordings, one with metadata, and a folder of others."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shipped = {"x.csv.zst": b"rows", "x.meta.json": b"{}", "y.csv": b"1,2\n"}
    for name, content in shipped.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / SUMS).write_text(
        "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in shipped.items())
    )
    return tmp_path, elsewhere


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(
    "name, damaged", [("y.csv", "y.csv"), ("x.csv.zst", "x.csv.zst"), ("x.csv.zst", "x.meta.json")]
)
def test_what_is_shipped_must_be_there_and_as_it_was(small, required, name, damaged):
    """Whether or not others are required, and whatever another folder has of that name."""
    shipped, elsewhere = small
    assert Recordings(shipped, elsewhere, required=required).path(name) == shipped / name
    (elsewhere / damaged).write_bytes((shipped / damaged).read_bytes())
    (shipped / damaged).write_bytes(b"")
    with pytest.raises(pytest.fail.Exception, match=re.escape(f"{damaged} is not what was recorded")):
        Recordings(shipped, elsewhere, required=required).path(name)
    (shipped / damaged).unlink()
    with pytest.raises(pytest.fail.Exception, match=re.escape(f"{damaged} is part of the repository and is not there")):
        Recordings(shipped, elsewhere, required=required).path(name)


def test_metadata_belongs_to_a_recording(small):
    shipped, elsewhere = small
    (elsewhere / ABSENT).write_bytes(b"rows")
    here = Recordings(shipped, elsewhere, required=True)
    with pytest.raises(pytest.fail.Exception, match=r"needs the recording linux-9\.9-life\.meta\.json"):
        here.path(ABSENT)
    (elsewhere / "linux-9.9-life.meta.json").write_bytes(b"{}")
    assert here.path(ABSENT) == elsewhere / ABSENT


@pytest.fixture
def run(pytester, monkeypatch, tmp_path):
    """A session of two tests, one of a shipped recording, one of one that is not; its settings in the environment."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.delenv(REQUIRE, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # each would be imported anew every time
    pytester.makeconftest(
        f"import sys\nsys.path.insert(0, {str(SHIPPED.parent / 'helpers')!r})\n"
        "from recordings import pytest_terminal_summary, recorded"
    )
    pytester.makepyfile(
        test_it=f"""
        def test_shipped(recorded):
            assert recorded("linux-3.16-slub-base.csv.zst").stat().st_size > 1_000_000

        def test_other(recorded):
            assert recorded("{ABSENT}").read_bytes() == b"rows"
        """
    )
    return lambda *arguments: pytester.runpytest_inprocess("-q", "-p", "xdist", *SPARE, *arguments)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skipped_comparison_is_named_in_the_summary(run, workers):
    done = run("-n", workers)
    done.assert_outcomes(passed=1, skipped=1)
    said = re.search(r"=+ comparisons with a recorded kernel that were not made =+\n(.*)\n", done.stdout.str())
    assert (
        said and said[1].startswith("linux-9.9-life.csv.zst is not here") and said[1].endswith("test_it.py::test_other")
    )


def test_required_it_fails(run, monkeypatch):
    monkeypatch.setenv(REQUIRE, "1")
    done = run("-n", "0")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines([f"needs the recording {ABSENT}, which is not in *; {REQUIRE} is set"])


def test_where_all_is_there_nothing_is_said(run, tmp_path):
    (tmp_path / ABSENT).write_bytes(b"rows")
    (tmp_path / "linux-9.9-life.meta.json").write_bytes(b"{}")
    done = run("-n", "0")
    done.assert_outcomes(passed=2)
    assert "not made" not in done.stdout.str()
