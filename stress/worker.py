"""Worker processes: each is a CPU (or the kworker) that plays one block after another on command.

Forked from the coordinator after everything is compiled. They die with it: the kernel sends them
SIGKILL when their parent's thread ends (PR_SET_PDEATHSIG), and they hold nothing that has a name.
Commands and answers are one byte strings of text over a pipe; nothing is unpickled.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from dataclasses import dataclass

from shm.machine import Machine
from stress.engine import cpu_main, kworker_main

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; exit at once if that has happened."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _serve(connection: multiprocessing.connection.Connection, machines: list[Machine], run: int, kworker: bool, cpu: int | None, parent: int) -> None:
    """Play blocks until the pipe is closed. A command is the index of a machine in `machines`."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    main = kworker_main if kworker else cpu_main
    connection.send_bytes(b"ready")
    while True:
        try:
            command = connection.recv_bytes()
        except (EOFError, OSError):
            return
        played = main(machines[int(command)], run)
        connection.send_bytes(str(played).encode())


@dataclass(slots=True)
class Worker:
    """One process and the coordinator's end of its pipe. cpu: simulated; pinned: real, None if not."""

    name: str
    cpu: int
    pinned: int | None
    process: multiprocessing.process.BaseProcess
    connection: multiprocessing.connection.Connection

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def epitaph(self) -> str:
        """How the process ended, in words."""
        self.process.join(1.0)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"{self.name} (pid {self.pid}) was killed by {signal.Signals(-code).name}"
        return f"{self.name} (pid {self.pid}) ended with status {code}"


class Lost(Exception):
    """A worker died; the text says which and how."""


class Crew:
    """All worker processes of a run; a context manager that leaves no process behind.

    machines: per simulated CPU (the kworker's last), the machines a command can name.
    placement: the real CPU of each worker; the kworker floats.
    """

    def __init__(self, machines: list[list[Machine]], run: int, placement: list[int]) -> None:
        context = multiprocessing.get_context("fork")
        self.members: list[Worker] = []
        self.ready_seconds = 0.0
        began = time.monotonic()
        try:
            for cpu, views in enumerate(machines):
                kworker = cpu == len(machines) - 1
                ours, theirs = context.Pipe()
                name = "kworker" if kworker else f"worker of CPU {cpu}"
                pinned = None if kworker else placement[cpu]
                process = context.Process(
                    target=_serve, args=(theirs, views, run, kworker, pinned, os.getpid()), name=name.replace(" ", "-"), daemon=True
                )
                process.start()
                theirs.close()
                self.members.append(Worker(name, cpu, pinned, process, ours))
            self.collect(10.0)
        except BaseException:
            self.close()
            raise
        self.ready_seconds = time.monotonic() - began
        log.info("%d workers ready after %.0f ms", len(self.members), 1000 * self.ready_seconds)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Processes of the worker CPUs, without the kworker."""
        return [w.pid for w in self.members[:-1]]

    def command(self, index: int) -> None:
        """Start a block on all of them. Raises Lost."""
        for worker in self.members:
            try:
                worker.connection.send_bytes(str(index).encode())
            except OSError:
                raise Lost(worker.epitaph()) from None

    def collect(self, timeout: float, tick=None) -> list[bytes]:
        """Wait for one answer of each; calls `tick` about ten times a second.

        Raises Lost when a worker dies, TimeoutError after `timeout` seconds.
        """
        answers: dict[int, bytes] = {}
        by_connection = {w.connection: i for i, w in enumerate(self.members)}
        by_sentinel = {w.process.sentinel: i for i, w in enumerate(self.members)}
        deadline = time.monotonic() + timeout
        while len(answers) < len(self.members):
            waiting = [c for c, i in by_connection.items() if i not in answers]
            for source in multiprocessing.connection.wait([*waiting, *by_sentinel], timeout=0.1):
                index = by_connection.get(source, by_sentinel.get(source))
                worker = self.members[index]
                if source not in by_connection:
                    if index in answers or not worker.connection.poll():
                        raise Lost(worker.epitaph())
                    continue
                try:
                    answers[index] = source.recv_bytes()
                except (EOFError, OSError):
                    raise Lost(worker.epitaph()) from None
            if tick is not None:
                tick()
            if time.monotonic() > deadline:
                silent = ", ".join(w.name for i, w in enumerate(self.members) if i not in answers)
                raise TimeoutError(f"no answer after {timeout:.0f} s from {silent}")
        return [answers[i] for i in range(len(self.members))]

    def close(self) -> None:
        """End every process: by closing its pipe if it is idle, by SIGKILL after a moment otherwise."""
        for worker in self.members:
            worker.connection.close()
        deadline = time.monotonic() + 1.0
        for worker in self.members:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self.members = []
