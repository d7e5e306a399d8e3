"""`python -m stress record` against a tree that looks like tracefs: what it sets, and that nothing is left."""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from test_reading import COUNTED, EXPECTED, FIELD, read

from stress.process.errors import UsageError
from stress.recordings import record


@pytest.fixture
def tracefs(tmp_path, monkeypatch):
    """A tracefs whose instances have files from the moment they are made, and go with them, as the kernel's do."""
    root = tmp_path / "tracing"
    (root / "instances").mkdir(parents=True)
    plain = Path.mkdir

    def mkdir(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        if self.parent == root / "instances":
            for name in ("kmem/kmalloc", "kmem/kfree", "kmem/kmem_cache_alloc", "cgroup/cgroup_mkdir"):
                plain(self / "events" / name, parents=True)
            shutil.copy(FIELD / "ftrace-3.x.txt", self / "trace_pipe")

    real = os.rmdir

    def rmdir(path, **how):
        if how or Path(path).parent != root / "instances" or not list(Path(path).iterdir()):
            return real(path, **how)
        path = Path(path)
        removed.append({f: (path / f).read_text() for f in WATCHED if (path / f).is_file()})
        shutil.rmtree(path)

    removed: list = []
    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(os, "rmdir", rmdir)
    return root, removed


WATCHED = ("tracing_on", "events/enable", "buffer_size_kb", "events/kmem/kmalloc/filter", "events/kmem/kmalloc/enable",
           "events/cgroup/cgroup_mkdir/enable")  # fmt: skip


def test_a_recording_leaves_its_files_and_nothing_in_tracefs(tracefs, tmp_path):
    root, removed = tracefs
    record.main(tmp_path / "t.txt", 0.05, 512, root)
    assert tuple(read(tmp_path / "t.txt").counts[list(COUNTED)]) == EXPECTED["ftrace-3.x"]
    assert list((root / "instances").iterdir()) == []
    assert removed == [dict(zip(WATCHED, ("0", "0", "512", f"common_pid != {os.getpid()}", "1", "1"), strict=True))]


def test_what_a_killed_recorder_left_is_removed_and_what_others_made_is_not(tracefs, tmp_path):
    root, removed = tracefs
    for name in (f"{record.PREFIX}4194305", "someone", f"{record.PREFIX}1"):
        (root / "instances" / name).mkdir()
    record.main(tmp_path / "t.txt", 0.01, 512, root)
    assert {path.name for path in (root / "instances").iterdir()} == {"someone", f"{record.PREFIX}1"}
    assert len(removed) == 2


def test_a_recorder_is_killed_and_the_next_call_cleans_up(tracefs, tmp_path):
    """End to end: another process records and gets SIGKILL in the middle; then a second recording is made."""
    root, removed = tracefs
    first = os.fork()
    if first == 0:
        with contextlib.suppress(BaseException):
            record.main(tmp_path / "first.txt", 60, 512, root)
        os._exit(1)
    instance = root / "instances" / f"{record.PREFIX}{first}"
    on = instance / "tracing_on"
    for _ in range(1000):
        if on.is_file() and on.read_text() == "1":
            break
        time.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    _, status = os.waitpid(first, 0)
    assert os.WIFSIGNALED(status) and on.read_text() == "1"  # it traces on, and nobody reads
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".first.txt.")]
    record.main(tmp_path / "second.txt", 0.05, 512, root)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert list((root / "instances").iterdir()) == [] and len(removed) == 2
    assert [left["tracing_on"] for left in removed] == ["0", "0"] and removed[0]["events/enable"] == "0"
    assert read(tmp_path / "second.txt").events and not (tmp_path / "first.txt").exists()


def test_a_recording_that_breaks_off_leaves_nothing(tracefs, tmp_path, monkeypatch):
    root, _ = tracefs

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "_drain", broken)
    with pytest.raises(KeyboardInterrupt):
        record.record(tmp_path / "t.txt", 1, 512, root)
    assert list((root / "instances").iterdir()) == []
    assert not [
        path for path in tmp_path.iterdir() if path.name.startswith((".", "t.txt")) and "before" not in path.name
    ]


def test_without_tracefs_it_says_what_to_run_elsewhere(tmp_path):
    with pytest.raises(UsageError, match="mount -t tracefs .*trace-cmd record -e kmem:kmalloc .*perf record -a"):
        record.main(tmp_path / "t", 2, 512, tmp_path / "no")
    with pytest.raises(UsageError, match="--seconds 0: allowed"):
        record.main(tmp_path / "t", 0, 512, tmp_path)
