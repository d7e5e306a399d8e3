"""`python -m stress`, or another module, in a process forked off one that has imported everything: a second of CPU time
less.

The server is multiprocessing's own: a process without threads, started once for each process of pytest, in which no
command ever ran. What is not the same as at a user's: modules are imported already, and hashes of strings are those of
the server. `Run` takes a process that begins from nothing where that could hide a fault.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["everything"])


def _serve() -> None:
    """Start the server if there is none, or somebody killed it. It finds modules by PYTHONPATH only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()


class Forked:
    """As a `subprocess.Popen` of `python -m MODULE ARGUMENTS`, leader of a session, with the streams in files.

    append: to what is in the files.
    """

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        env: dict[str, str],
        stdout: Path,
        stderr: Path,
        *,
        module: str = "stress",
        append: bool = False,
    ) -> None:
        _serve()
        self._process: ForkServerProcess = _context.Process(
            target=_main, args=(module, arguments, cwd, env, stdout, stderr, append), name="MainProcess"
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("stress", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended since, and the server has waited for it
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """All of its session, if any is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _main(
    module: str, arguments: list[str], cwd: Path, env: dict[str, str], stdout: Path, stderr: Path, append: bool
) -> None:
    """Become what a shell would have started."""
    assert "everything" in sys.modules, "the server could not import it"
    multiprocessing.set_start_method(None, force=True)  # Python's own, not the server's
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    written = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, stdout, written), (2, stderr, written)):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    # The descriptors stay open whatever becomes of these objects.
    sys.stdin, sys.stdout = (io.TextIOWrapper(open(n, mode, closefd=False)) for n, mode in ((0, "rb"), (1, "wb")))
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), errors="backslashreplace", line_buffering=True)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
