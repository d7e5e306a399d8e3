"""The players, seen from the coordinator: started together, asked one at a time, ended for sure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import msgspec

from stress.bench.peers.catalogue import Program
from stress.process import ending
from stress.process.errors import DamagedRun, UsageError

PATIENCE = 120.0  # seconds for any one answer
_TICK = 0.2
_ROOT = Path(__file__).resolve().parents[3]
# A library with more thread-local data than the loader keeps room for cannot be loaded later (jemalloc); so it keeps
# more.
_TUNABLES = "glibc.rtld.optional_static_tls=65536"


Answer = dict[str, Any]  # JSON of a player


class Member:
    """One player's process and the coordinator's end of its socket."""

    def __init__(self, program: Program, library: str | None) -> None:
        self.program = program
        self.missing: str | None = None  # why it does not play
        self.about = ""
        self._connection, theirs = Pipe()
        tunables = ":".join(filter(None, (os.environ.get("GLIBC_TUNABLES"), _TUNABLES)))
        # NumPy's threads would make the C library lock where it need not.
        environment = {**os.environ, "GLIBC_TUNABLES": tunables, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [
            sys.executable,
            "-m",
            "stress.bench.peers.player",
            str(theirs.fileno()),
            str(os.getpid()),
            program.name,
        ]
        with ending.held():
            self.process = subprocess.Popen(
                command + ([library] if library else []), cwd=_ROOT, env=environment,
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )  # fmt: skip
        theirs.close()

    def hear(self) -> Answer:
        """The answer to the last command, or the one that says it has started.

        Raises DamagedRun when it reports an error, dies or hangs.
        """
        waited = 0.0
        try:
            while not self._connection.poll(_TICK):
                ending.check()
                waited += _TICK
                if waited > PATIENCE:
                    raise DamagedRun(f"the benchmark's player of {self.program.name} did not answer for {PATIENCE:g} s")
            found = msgspec.json.decode(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise DamagedRun(self._epitaph()) from None
        if "error" in found:
            raise (UsageError if found.get("usage") else DamagedRun)(found["error"])
        return found

    def ask(self, name: str, *arguments: object) -> Answer:
        """A command and its answer. Raises DamagedRun."""
        try:
            self._connection.send_bytes(msgspec.json.encode([name, *arguments]))
        except OSError:
            raise DamagedRun(self._epitaph()) from None
        return self.hear()

    def _epitaph(self) -> str:
        return f"the benchmark's player of {self.program.name} died with status {self.process.wait()}"

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self.process.kill()
        self.process.wait()


class Players:
    """All players; a context manager that leaves no process behind. `missing` cannot play and have ended."""

    def __init__(self, programs: Iterable[Program], libraries: Mapping[str, str]) -> None:
        self.members: list[Member] = []
        self.missing: list[Member] = []
        started: list[Member] = []
        try:
            for program in programs:
                started.append(Member(program, libraries.get(program.name)))
                self.members.append(started[-1])
            for member in started:
                found = member.hear()
                member.about, member.missing = found.get("about", ""), found.get("missing")
                if member.missing:
                    self.members.remove(member)
                    self.missing.append(member)
                    member.close()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Players:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ask_all(self, name: str, *arguments: object) -> list[Answer]:
        """The same command to one after the other, as they share a CPU; their answers."""
        return [member.ask(name, *arguments) for member in self.members]

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.members = []
