"""Worker processes: each is a CPU (or the kworker) that plays turns on command, in one world or in several by turns.

Forked from the coordinator after everything is compiled. They die with it: the kernel sends them
SIGKILL when their parent's thread ends (PR_SET_PDEATHSIG), and they hold nothing that has a name.
Commands and answers are byte strings of text over a pipe; nothing is unpickled.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from resource import RUSAGE_SELF, getrusage

from shm import preemption
from shm.machine import Machine
from shm.preemption import watch
from stress.engine import kworker_main, play_block, program_of
from stress.engine.words import note_switches, watch_sections
from stress.process import ending, host

log = logging.getLogger(__name__)

READY_SECONDS = 30.0  # in which every worker must have started
_GRACE = 0.5  # seconds an idle worker gets to end by itself
_LEAST_SHARE = 0.001  # of the time waited: CPU time below which, with hardly any nap, a worker was not let run
_LEAST_NAPS = 100
_LENIENCY = 5  # how many times the patience a machine gets that does not let the workers run


@dataclass(slots=True)
class _Job:
    """What a worker process is: a CPU or the kworker, and the machines that a command can name.

    padding: before the compiled code that it loads; see `shm.placement`. watched: note in which timed sections the CPU
    was taken away. populate: maps the worlds' memory.
    """

    machines: list[Machine]
    run: int
    kworker: bool
    pinned: int | None
    parent: int
    padding: int
    watched: bool
    populate: Callable[[], None]


def _serve(
    job: _Job,
    connection: multiprocessing.connection.Connection,
    inherited: list[multiprocessing.connection.Connection],
) -> None:
    """Play turns until the pipe is closed. A command is the indices of machines of the job, a turn each.

    inherited: the coordinator's ends of pipes, copies of which would keep the pipes open without it.
    """
    ending.live_with_parent(job.parent)
    gc.disable()  # it would be a pause in somebody's turn, and copy what is the coordinator's
    for end in inherited:
        end.close()
    if job.pinned is not None:
        os.sched_setaffinity(0, {job.pinned})
    host.fine_timers()
    log.debug("ready, %s", "not pinned" if job.pinned is None else f"pinned to real CPU {job.pinned}")
    main = kworker_main if job.kworker else play_block
    for machine in job.machines:
        program_of(machine, kworker=job.kworker).compile(machine.kernel, machine.features, job.padding)
    watched = watch() if job.watched else None
    if not job.kworker:
        job.populate()
    try:
        connection.send_bytes(b"ready")
        while True:
            command = [job.machines[int(index)] for index in connection.recv_bytes().split()]
            played = 0
            for machine in command:
                if watched is not None:
                    watch_sections(machine, job.run, watched)
                before = getrusage(RUSAGE_SELF).ru_nivcsw
                played += main(machine, job.run)
                if not job.kworker:
                    note_switches(machine, job.run, getrusage(RUSAGE_SELF).ru_nivcsw - before)
            log.debug("%d turns: %d %s", len(command), played, "events" if job.kworker else "operations")
            connection.send_bytes(str(played).encode())
    except (EOFError, OSError):
        log.debug("the coordinator closed the pipe")


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

    def activity(self) -> tuple[float, int]:
        """CPU seconds and voluntary switches so far; every wait of a worker spends the one or makes the other."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            times = process.cpu_times()
            return times.user + times.system, process.num_ctx_switches().voluntary
        except psutil.Error:
            return 0.0, 0

    def starved(self, before: tuple[float, int], seconds: float) -> bool:
        """Has the machine hardly let it run for so many seconds, since `activity` returned `before`?

        Not if somebody stopped the process (SIGSTOP, a debugger).
        """
        import psutil

        ran, napped = self.activity()
        try:
            stopped = psutil.Process(self.pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        except psutil.Error:
            return False
        return not stopped and ran - before[0] < _LEAST_SHARE * seconds and napped - before[1] < _LEAST_NAPS

    def describe(self) -> str:
        """Its name, and what the system says of the process if that is not running or sleeping."""
        import psutil

        try:
            status = psutil.Process(self.pid).status()
        except psutil.Error:
            status = "gone"
        usual = status in (psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
        return f"{self.name} (pid {self.pid}{'' if usual else ', ' + status})"


class Silence:
    """How long there has been no sign of life, and whether that means that a block hangs.

    patience: seconds. Whom the machine does not let run does not hang: such a worker gets a few times the patience.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._seen: object = None
        self._since = time.monotonic()
        self._waits = 0
        self._before: dict[
            int, tuple[float, int]
        ] = {}  # each silent worker's activity when the silence began, by its CPU

    def judge(self, sign: object, silent: list[Worker]) -> None:
        """A look at what shows life, and at the workers that have not answered. Raises TimeoutError when nothing
        moves."""
        if sign != self._seen:
            self._seen, self._since, self._waits, self._before = sign, time.monotonic(), 0, {}
        elif not self._before:
            self._before = {worker.cpu: worker.activity() for worker in silent}
        elif time.monotonic() - self._since > self.patience:
            self._waits += 1
            starved = [w.name for w in silent if w.starved(self._before[w.cpu], self.patience)]
            seconds = self._waits * self.patience
            if not starved or self._waits == _LENIENCY:
                names = ", ".join(worker.describe() for worker in silent)
                why = f"; the machine has not let {', '.join(starved)} run" if starved else ""
                raise TimeoutError(f"nothing moved for {seconds:g} s; no answer from {names}{why}")
            log.warning("the machine has not let %s run for %g s", ", ".join(starved), seconds)
            self._since, self._before = time.monotonic(), {}


class Lost(Exception):
    """A worker died; the text says which and how."""


class Crew:
    """All worker processes of a run; a context manager that leaves no process behind.

    machines: per simulated CPU (the kworker's last), the machines a command can name.
    placement: the real CPU of each worker; the kworker floats. paddings: of the code that each loads, in bytes.
    populate: called in each but the kworker before it is ready.
    """

    def __init__(
        self,
        machines: list[list[Machine]],
        run: int,
        placement: list[int],
        *,
        paddings: Sequence[int] | None = None,
        populate: Callable[[], None] = lambda: None,
    ) -> None:
        self.members: list[Worker] = []
        self.ready_seconds = 0.0
        began = time.monotonic()
        try:
            for cpu, views in enumerate(machines):
                kworker = cpu == len(machines) - 1
                pinned = None if kworker else placement[cpu]
                padding = paddings[cpu] if paddings else 0
                watched = not kworker and preemption.works()
                with ending.held():
                    self._start(cpu, _Job(views, run, kworker, pinned, os.getpid(), padding, watched, populate))
            self.collect(READY_SECONDS)
        except BaseException:
            self.close()
            raise
        self.ready_seconds = time.monotonic() - began
        log.info("%d workers ready after %.0f ms", len(self.members), 1000 * self.ready_seconds)

    def _start(self, cpu: int, job: _Job) -> None:
        name = "kworker" if job.kworker else f"worker of CPU {cpu}"
        context = multiprocessing.get_context("fork")
        try:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve,
                args=(job, theirs, [*(w.connection for w in self.members), ours]),
                name=name.replace(" ", "-"),
                daemon=True,
            )
            process.start()
        except OSError as error:
            raise Lost(f"{name} could not be started: {error.strerror}") from None
        theirs.close()
        self.members.append(Worker(name, cpu, job.pinned, process, ours))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Processes of the worker CPUs, without the kworker."""
        return [w.pid for w in self.members[:-1]]

    def command(self, *indices: int) -> None:
        """Start turns on all of them: in the worlds, and under the designs, of these machines. Raises Lost."""
        text = " ".join(map(str, indices)).encode()
        for worker in self.members:
            try:
                worker.connection.send_bytes(text)
            except OSError:
                raise Lost(worker.epitaph()) from None

    def collect(
        self,
        patience: float,
        tick: Callable[[], None] | None = None,
        progress: Callable[[], object] = lambda: None,
    ) -> list[bytes]:
        """Wait for one answer of each; calls `tick` about ten times a second.

        Raises Lost when a worker dies, TimeoutError when `patience` seconds have passed in which
        nobody answered and what `progress` returns stayed the same. A busy machine may leave a worker
        unscheduled for that long; such a one does not hang, and gets a few times the patience.
        """
        answers: dict[int, bytes] = {}
        silence = Silence(patience)
        while len(answers) < len(self.members):
            self._wait(answers)
            ending.check()
            if tick is not None:
                tick()
            silent = [worker for i, worker in enumerate(self.members) if i not in answers]
            silence.judge((len(answers), progress()), silent)
        return [answers[i] for i in range(len(self.members))]

    def _wait(self, answers: dict[int, bytes]) -> None:
        """Take what answers there are within a tenth of a second, by the index of a member. Raises Lost."""
        waiting = [w.connection for i, w in enumerate(self.members) if i not in answers]
        sentinels = [w.process.sentinel for w in self.members]
        ready = multiprocessing.connection.wait([*waiting, *sentinels], timeout=0.1)
        for index, worker in enumerate(self.members):
            if worker.connection in ready:
                try:
                    answers[index] = worker.connection.recv_bytes()
                except (EOFError, OSError):
                    raise Lost(worker.epitaph()) from None
            if worker.process.sentinel in ready and (index in answers or not worker.connection.poll()):
                raise Lost(worker.epitaph())

    def close(self) -> None:
        """End every process: by closing its pipe if it is idle, by SIGKILL after a moment otherwise."""
        for worker in self.members:
            worker.connection.close()
        deadline = time.monotonic() + _GRACE
        for worker in self.members:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                log.debug("killing %s: it did not end by itself", worker.name)
                worker.process.kill()
                worker.process.join()
        self.members = []
