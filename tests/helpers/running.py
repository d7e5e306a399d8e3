"""Runs of the program as a user has them, in processes that can be found again whatever became of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from forked import Forked
from typer.testing import CliRunner
from until import PATIENCE, until

from stress.commands.app import app
from stress.measure.evaluation import measure
from stress.play import coordinator
from stress.play.options import named
from stress.play.passes import Passes
from stress.result.data import Result
from stress.show.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
FEW = "2"  # launches


def small(operations: int = 20_000) -> tuple[str, ...]:
    """Options that make `offline-storm` a matter of milliseconds."""
    settings = {"operations": operations, "cgroups": 24, "active": 8, "rounds": 24, "burst": 64}
    return tuple(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))


class Run:
    """One `python -m stress run` in a session of its own, by which its processes are known.

    fresh: in a process that begins from nothing, as at a user's; else see `forked`.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: str = "run",
        env: dict[str, str] | None = None,
        fresh: bool = False,
    ) -> None:
        self.out = folder / "results"
        self.log = folder / "log"
        self.stderr_path = folder / "stderr"
        self.stdout_path = folder / "stdout"
        own = ("--out", str(self.out)) if command == "run" else ()
        environment, words = os.environ | (env or {}), [command, *own, *arguments]
        self.process: subprocess.Popen | Forked
        if not fresh:
            self.process = Forked(words, ROOT, environment, self.stdout_path, self.stderr_path)
            return
        with self.stdout_path.open("w") as out, self.stderr_path.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stress", *words],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=_default_signals,
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            process.kill()
        self.process.wait()

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text() if self.stderr_path.exists() else ""

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text() if self.stdout_path.exists() else ""

    @property
    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """All living processes of this run, the coordinator's own included."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, ProcessLookupError):
                pass
        return found

    def children(self) -> list[psutil.Process]:
        return [p for p in self.processes() if p.pid != self.process.pid]

    def named(self, name: str) -> psutil.Process:
        """The process that was the last to log "ready" under this name (`--log-level debug`), as long as it lives."""
        return self.until(lambda: self._living(name))

    def _living(self, name: str) -> psutil.Process | None:
        ready = [text for text in self.log_text.splitlines() if f" {name}[" in text and "ready" in text]
        try:
            return psutil.Process(int(ready[-1].split(f" {name}[")[1].split("]")[0])) if ready else None
        except psutil.NoSuchProcess:
            return None

    def kill(self, name: str) -> None:
        """Kill the process of this name, and who comes after it, until the run ends: one may have been about to end."""

        def once_more() -> None:
            if (process := self._living(name)) is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

        until(lambda: self.process.poll() is not None, once_more)

    def until(self, condition: Callable[[], object]):
        """Wait until the condition holds and return what it returned; the run must not end before."""

        def not_ended() -> None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.stderr}"

        return until(condition, not_ended)

    def until_says(self, text: str) -> None:
        """Wait for a text on stderr (the progress)."""
        self.until(lambda: text in self.stderr)

    def wait(self) -> int:
        """Wait for its end; returns the exit status."""
        return self.process.wait(PATIENCE)

    def wait_for_all(self) -> None:
        """Wait until all processes of the run are gone."""
        until(lambda: not self.processes(), self.process.poll, 0.05)  # poll reaps it

    def result(self) -> Result:
        """The only result this run has written."""
        (path,) = self.out.glob("*/result.json")
        return msgspec.json.decode(path.read_bytes(), type=Result)


def _default_signals() -> None:
    """A test runner in the background may have handed on that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(folder: Path, *arguments: str, status: int = 0, **named) -> Run:
    """A run from start to end; it must end with this status and leave no process and no traceback.

    It has few launches unless told otherwise: most tests ask for no interval.
    """
    if named.get("command", "run") == "run" and not {"--launches", "--until-sure", "--serial"} & set(arguments):
        arguments += ("--launches", FEW)
    with Run(folder, *arguments, **named) as run:
        assert run.wait() == status, run.stderr
        assert "Traceback" not in run.stderr
        run.wait_for_all()
        return run


def invoke(folder: Path, *arguments: str, command: str = "run"):
    """The command in this process, for what ends before anything is played; logging stays as it is."""
    own = ("--out", str(folder / "results")) if command == "run" else ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stress.play.session.setup_logging", lambda *_: None)
        patch.setattr("stress.play.session.close_logging", lambda: None)
        return CliRunner().invoke(app, [command, *own, *arguments], prog_name="python -m stress")


def play(*, settings: dict[str, object] | None = None, looked_at: Passes | None = None, **options) -> Result:
    """A run in this process, measured but written nowhere; serial and of few launches unless told otherwise.

    looked_at: takes what its counted passes do.
    """
    given = {"after": ("v3",), "serial": True, "seconds": 0.2} | options
    if not given["serial"] and not given.get("until_sure"):
        given.setdefault("launches", int(FEW))
    given["settings"] = [f"{key}={value}" for key, value in (settings or {}).items()]
    record = coordinator.run(named(**given), Progress(quiet=True), looked_at)
    return measure(record)


def counts(result: Result) -> dict[str, Any]:
    """Everything in a result but real time and the place it came from."""
    plain = msgspec.to_builtins(result)
    for name in ("run_id", "created", "seconds", "command", "machine"):
        del plain[name]
    return plain
