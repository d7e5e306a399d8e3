"""`python -m stress record`: this machine's allocations and frees, in a tracing instance of our own.

Nothing else's tracing is touched. The instance bears our pid; what a killed recorder left behind, the next call
removes. Our own process is filtered out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stress.process.errors import DamagedRun, UsageError
from stress.process.files import write_atomically

TRACEFS = Path("/sys/kernel/tracing")
PREFIX = "slab-stress-"
FILTERED = ("kmalloc", "kmalloc_node", "kmem_cache_alloc", "kmem_cache_alloc_node", "kfree", "kmem_cache_free")
OTHERS = (
    "cgroup/cgroup_mkdir", "cgroup/cgroup_rmdir", "cgroup/cgroup_attach_task", "sched/sched_process_fork",
    "sched/sched_process_exit",
)  # fmt: skip
STATES = {"slabinfo": Path("/proc/slabinfo"), "cgroup.stat": Path("/sys/fs/cgroup/cgroup.stat")}
LEAST_DISK = 1 << 28  # bytes that stay free


def elsewhere(seconds: float) -> str:
    """The commands that record where there are the rights."""
    events = " ".join(f"-e kmem:{name}" for name in ("kmalloc", "kfree", "kmem_cache_alloc", "kmem_cache_free"))
    return (
        f"as root: `trace-cmd record {events} sleep {seconds:g}; trace-cmd report > trace.txt`, or `perf record -a "
        f"{events} -- sleep {seconds:g}; perf script > trace.txt`; then `python -m stress import trace.txt`"
    )


def record(out: Path, seconds: float, buffer_kb: int, tracefs: Path = TRACEFS) -> tuple[int, list[Path]]:
    """Record for so many seconds into `out`, with the states before and after beside it.

    buffer_kb: of each CPU's ring. Returns (bytes written, files). Raises UsageError without the rights, which tells
    what to run elsewhere; DamagedRun when the disk fills. Whatever happens, the instance is removed.
    """
    instances = tracefs / "instances"
    if not instances.is_dir():
        mount = f"mount -t tracefs none {tracefs}"
        raise UsageError(f"{tracefs} is no tracefs: mount it (`{mount}`), or record {elsewhere(seconds)}")
    if not os.access(instances, os.W_OK):
        raise UsageError(f"{instances} may not be written: run as root, or record {elsewhere(seconds)}")
    clean(instances)
    clean_unfinished(out.parent)
    files = _states(out, "before")
    handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.{PREFIX}{os.getpid()}.", dir=out.parent)
    try:
        with os.fdopen(handle, "wb") as stream, _instance(instances, buffer_kb, seconds) as instance:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(f"#                                #P:{os.cpu_count()}\n".encode())
            written = _drain(instance, stream, seconds, out)
        os.replace(temporary, out)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return written, [out, *files, *_states(out, "after")]


def clean(instances: Path) -> list[str]:
    """Remove instances of recorders that are no more; returns their names."""
    gone = []
    for path in instances.glob(f"{PREFIX}*"):
        pid = path.name.removeprefix(PREFIX)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _remove(path)
            gone.append(path.name)
    return gone


def clean_unfinished(folder: Path) -> None:
    """Remove what recorders that are no more had written so far into this folder."""
    for path in folder.glob(f".*.{PREFIX}*.*"):
        pid = path.name.rpartition(PREFIX)[2].partition(".")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def _remove(instance: Path) -> None:
    for name in ("tracing_on", "events/enable"):
        with contextlib.suppress(OSError):
            (instance / name).write_text("0")
    with contextlib.suppress(OSError):
        os.rmdir(instance)


@contextlib.contextmanager
def _instance(instances: Path, buffer_kb: int, seconds: float) -> Iterator[Path]:
    instance = instances / f"{PREFIX}{os.getpid()}"
    try:
        instance.mkdir()
        try:
            (instance / "tracing_on").write_text("0")
            (instance / "buffer_size_kb").write_text(str(buffer_kb))
            enabled = 0
            for name in FILTERED:
                event = instance / "events" / "kmem" / name
                if event.is_dir():
                    (event / "filter").write_text(f"common_pid != {os.getpid()}")
                    (event / "enable").write_text("1")
                    enabled += 1
            if not enabled:
                raise UsageError(f"{instance}: this kernel has no kmem events; record {elsewhere(seconds)}")
            for name in OTHERS:
                if (event := instance / "events" / name).is_dir():
                    (event / "enable").write_text("1")
            (instance / "tracing_on").write_text("1")
            yield instance
        finally:
            _remove(instance)
    except OSError as error:
        raise UsageError(f"{instance}: {error.strerror or error}; record {elsewhere(seconds)}") from None


def _drain(instance: Path, stream, seconds: float, out: Path) -> int:
    """Copy trace_pipe until the time is over, then what is left in the rings."""
    end, written, stopped = time.monotonic() + seconds, 0, False
    pipe = os.open(instance / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            if not stopped and time.monotonic() >= end:
                (instance / "tracing_on").write_text("0")
                stopped = True
            try:
                data = os.read(pipe, 1 << 20)
            except BlockingIOError:
                data = b""
            if data:
                stream.write(data)
                written += len(data)
                if shutil.disk_usage(out.parent).free < LEAST_DISK:
                    raise DamagedRun(f"{out.parent} has less than {LEAST_DISK >> 20} MiB left; record for less time")
            elif stopped:
                return written
            else:
                time.sleep(0.02)
    finally:
        os.close(pipe)


def _states(out: Path, when: str) -> list[Path]:
    files = []
    for name, path in STATES.items():
        with contextlib.suppress(OSError):
            target = out.with_name(f"{out.name}.{when}.{name}")
            write_atomically(target, path.read_bytes())
            files.append(target)
    return files


def main(out: Path, seconds: float, buffer_kb: int, tracefs: Path = TRACEFS) -> int:
    """Record and say what to do next. Returns 0."""
    if not 0 < seconds <= 3600:
        raise UsageError(f"--seconds {seconds:g}: allowed is above 0 to 3600")
    if not 64 <= buffer_kb <= 1 << 20:
        raise UsageError(f"--buffer-kb {buffer_kb}: allowed is 64 to {1 << 20}, for each CPU")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise UsageError(f"-o {out}: {out.parent} is no folder that can be written")
    written, files = record(out, seconds, buffer_kb, tracefs)
    print(f"{written:,} bytes in {out}; beside it {', '.join(path.name for path in files[1:]) or 'no states'}")
    print(f"Next: python -m stress import {out}")
    return 0
