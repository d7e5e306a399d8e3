"""A scheduler and workers of Dask as processes, standing in for hosts; they may be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from running import ROOT
from until import until


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """See the module's text. `processes` by name: "scheduler", "worker-0", …; a context manager that leaves none."""

    def __init__(self, folder: Path, workers: int, *arguments: str) -> None:
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self.folder, self.workers, self.arguments = folder, workers, arguments
        self.processes: dict[str, subprocess.Popen] = {}
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

    def _start(self, name: str) -> subprocess.Popen:
        port = self.address.rpartition(":")[2]
        local = str(self.folder / "dask")
        own = {
            "scheduler": ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"],
        }.get(
            name,
            [
                "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-dashboard", "--name", name,
                "--local-directory", local, "--death-timeout", "10", *self.arguments,
            ],
        )  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *own], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """SIGKILL, to all of it: a worker's nanny too, as if its host were gone."""
        process = self.processes[name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def client(folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """`python -m stress campaign …` in a session of its own."""
    with (folder / "client.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stress", "campaign", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen) -> None:
    """SIGKILL to a whole session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def data(folder: Path) -> dict[str, bytes]:
    """The data set of a campaign: its files' bytes by name."""
    root = folder / "data"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def wait_until(condition, process: subprocess.Popen, cluster: Cluster) -> None:
    """Wait for it; the process must not end before. Who found no scheduler in time, or was killed, comes back."""

    def check() -> None:
        assert process.poll() is None, "it has ended"
        cluster.tend()

    until(condition, check)
