"""A scheduler and workers of Dask as processes, standing in for hosts; they may be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from forked import Forked
from running import ROOT
from until import until


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """See the module's text. `processes` by name: "scheduler", "worker-0", …; a context manager that leaves none."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self.folder, self.workers = folder, workers
        self.processes: dict[str, Forked] = {}
        self.tend()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)

    def tend(self) -> None:
        """Start whoever is not there (any more), as a service manager would."""
        for name in ("scheduler", *(f"worker-{number}" for number in range(self.workers))):
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                self.processes[name] = self._start(name)

    def _start(self, name: str) -> Forked:
        if name == "scheduler":
            port = self.address.rpartition(":")[2]
            module, own = "distributed.cli.dask_scheduler", ["--host", "127.0.0.1", "--port", port]
        else:
            local = str(self.folder / "dask")
            own = ["--nthreads", "1", "--no-nanny", "--name", name, "--local-directory", local, "--death-timeout", "10"]
            module, own = "distributed.cli.dask_worker", [self.address, *own]
        return _forked(self.folder / f"{name}.log", "--no-dashboard", *own, module=module)

    def kill(self, name: str) -> None:
        """SIGKILL, as if its host were gone."""
        end(self.processes[name])


@contextlib.contextmanager
def client(folder: Path, *arguments: str) -> Iterator[Forked]:
    """`python -m stress campaign …` in a session of its own."""
    process = _forked(folder / "client.log", "campaign", *arguments)
    try:
        yield process
    finally:
        end(process)


def _forked(log: Path, *arguments: str, module: str = "stress") -> Forked:
    return Forked(list(arguments), ROOT, dict(os.environ), log, log, module=module, append=True)


def end(process: Forked) -> None:
    """SIGKILL to a whole session, or to a process that has none yet."""
    process.signal_group(signal.SIGKILL)
    process.kill()
    process.wait()


def data(folder: Path) -> dict[str, bytes]:
    """The data set of a campaign: its files' bytes by name."""
    root = folder / "data"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def wait_until(condition, process: Forked, cluster: Cluster) -> None:
    """Wait for it; the process must not end before. Who found no scheduler in time, or was killed, comes back."""

    def check() -> None:
        assert process.poll() is None, "it has ended"
        cluster.tend()

    until(condition, check)
