"""The folder of compiled code: pruning takes old folders of ours and nothing else."""

import gc
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import filelock
import hypothesis.strategies as st
import llvmlite
import numba
import pytest
from hypothesis import given, settings

from shm import code_cache, entry

DAY = 24 * 3600
TAG = "CACHEDIR.TAG"
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n"

# What may lie in the folder that SLAB_STRESS_CACHE names. Only "ours" may ever go.
KINDS = (
    "ours", "renamed", "no marker", "somebody's marker", "marker is a link", "marker is a folder", "a file",
    "a link to ours", "a user's folder",
)  # fmt: skip


@entry.entry
def program(m, n):
    return n + 1 if m.has("A") else n


@pytest.fixture(scope="module")
def marker():
    """The text of our own marker file."""
    with tempfile.TemporaryDirectory() as folder:
        return (use(Path(folder)) / TAG).read_text()


def use(parent: Path) -> Path:
    """What a process does that needs compiled code for these sources."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLAB_STRESS_CACHE", str(parent))
        code_cache.cache_folder.cache_clear()
        try:
            return code_cache.cache_folder()
        finally:
            code_cache.cache_folder.cache_clear()


def put(root: Path, number: int, kind: str, age: float, marker: str) -> Path:
    """An entry of the cache's folder, `age` seconds old, that holds something."""
    name = f"{number:016x}" if kind not in ("renamed", "a user's folder") else f"{number:016X}-thesis"
    path = root / "cache" / name
    if kind == "a file":
        path.write_text("mine")
    elif kind == "a link to ours":
        target = put(root, number, "ours", age, marker).rename(root / f"elsewhere-{number}")
        path.symlink_to(target, target_is_directory=True)
        os.utime(path, (time.time() - age,) * 2, follow_symlinks=False)
        return path
    else:
        (path / "cpu_main-slub-plain").mkdir(parents=True)
        (path / "cpu_main-slub-plain" / "data").write_text("mine")
        if kind in ("ours", "renamed"):
            (path / TAG).write_text(marker)
        elif kind == "somebody's marker":
            (path / TAG).write_text(SIGNATURE + "# Made by a program of somebody else, not by slab-stress.\n")
        elif kind == "marker is a link":
            (root / "marker").write_text(marker)
            (path / TAG).symlink_to(root / "marker")
        elif kind == "marker is a folder":
            (path / TAG).mkdir()
    os.utime(path, (time.time() - age,) * 2)
    return path


def content(path: Path) -> list[tuple[str, str]]:
    """Everything at and below a path, with the files' texts."""
    below = path.rglob("*") if path.is_dir() else ()
    return [(str(p), p.read_text() if p.is_file() else "") for p in (path, *sorted(below))]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.sampled_from((*KINDS, *["ours"] * 9)), st.integers(0, 96)),
        max_size=16,
        unique_by=lambda entry: entry[1],
    )
)
def test_only_old_folders_of_ours_go(marker, entries):
    """Ages in hours, all different: after a use, the newest of ours, that in use among them, and those of the last day
    are there.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "cache").mkdir()
        began = time.time()
        there = {
            put(root, i, kind, hours * 3600 + 60, marker): (kind, hours) for i, (kind, hours) in enumerate(entries)
        }
        before = {path: content(path) for path in there}
        linked = {path: content(path) for path in root.glob("elsewhere-*")}
        now = use(root / "cache")
        ours = sorted(hours for kind, hours in there.values() if kind == "ours")
        newest = set(ours[: code_cache.KEPT_FOLDERS - 1])
        for path, (kind, hours) in there.items():
            stays = kind != "ours" or hours in newest or hours < 24
            assert os.path.lexists(path) == stays, (kind, hours)
            assert not stays or content(path) == before[path]
        assert all(content(path) == text for path, text in linked.items())
        assert now.is_dir() and (now / TAG).read_text() == marker and now.stat().st_mtime > began - 1


def test_the_marker_is_that_of_the_cache_directory_tagging_specification(marker):
    assert marker.startswith(SIGNATURE) and "slab-stress" in marker.splitlines()[1]


def old_ones(root: Path, marker: str) -> list[Path]:
    """Nine folders of ours, all to go but five."""
    (root / "cache").mkdir()
    return [put(root, i, "ours", (i + 2) * DAY, marker) for i in range(9)]


def test_while_another_process_prunes_nothing_goes(tmp_path, marker):
    old = old_ones(tmp_path, marker)
    with filelock.FileLock(tmp_path / "cache" / code_cache.PRUNE_LOCK):
        use(tmp_path / "cache")
        assert all(path.exists() for path in old)
    use(tmp_path / "cache")
    assert [path.exists() for path in old] == [True] * 5 + [False] * 4


def test_what_cannot_be_removed_stays_marked_and_the_others_go(tmp_path, marker, monkeypatch):
    old = old_ones(tmp_path, marker)

    def stubborn(path, *rest, remove=code_cache.shutil.rmtree, **options):
        if path.parent == old[7]:
            raise PermissionError(13, "Permission denied", str(path))
        remove(path, *rest, **options)

    monkeypatch.setattr(code_cache.shutil, "rmtree", stubborn)
    use(tmp_path / "cache")
    assert [path.exists() for path in old] == [True] * 5 + [False, False, True, False]
    assert (old[7] / TAG).read_text() == marker, "it can go another time"


def test_nothing_but_our_folder_is_made_where_there_is_nothing_to_prune(tmp_path):
    folder = use(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_half_a_marker_is_made_whole(tmp_path, marker):
    """A process may be killed while it writes it; the folder would never be pruned."""
    folder = use(tmp_path)
    (folder / TAG).write_text(marker[:60])
    assert (
        use(tmp_path) == folder
        and (folder / TAG).read_text() == marker
        and [path.name for path in folder.iterdir()] == [TAG]
    )


def test_another_numba_or_llvmlite_has_code_of_its_own(monkeypatch):
    found = {code_cache.source_hash()}
    for module in (numba, llvmlite):
        with monkeypatch.context() as patch:
            patch.setattr(module, "__version__", "0.0.1")
            found.add(code_cache.source_hash())
    assert len(found) == 3


def test_compiling_leaves_numba_and_python_as_they_were(tmp_path, monkeypatch):
    """Those who test code of their own on `shm` have these settings from nobody but themselves; two threads may
    compile.
    """
    monkeypatch.setattr(entry, "cache_folder", lambda: tmp_path / "ours")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "the user's")
    limit = sys.getrecursionlimit()
    threads = [threading.Thread(target=program.compile, args=("", frozenset({feature}))) for feature in ("A", "B")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numba.config.CACHE_DIR == "the user's" and sys.getrecursionlimit() == limit and gc.isenabled()
    assert len(list((tmp_path / "ours").glob("*/*/*.nbi"))) == 2, "and still it is kept where it belongs"
