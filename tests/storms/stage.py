"""A command as a process of its own, watched from outside until the last of its processes is gone.

Thousands of commands would each import for half a second. So a player imports everything once and forks: what runs
in the fork is `stress.__main__.main`, with arguments, environment, streams, limits, session and exit status of its own.
Some cases begin with a new interpreter all the same, as a user's do.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import errno
import multiprocessing.process
import os
import pty
import random
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.storms import no_work
from tests.storms.case import Case, Limits
from tests.storms.world import World

ROOT = Path(__file__).resolve().parents[2]
INTERPRETER = 64 << 20  # bytes that a new one needs before it comes to our code
GRACE = 10.0  # seconds that processes have to be gone after their first
MOST_TEXT = 4 << 20  # bytes of output that are looked at
_PDEATHSIG, _SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(slots=True)
class Ended:
    """How a command ended. status: as waitstatus_to_exitcode, None if it was still there at its limit.

    said: what it printed, the end of it. seconds: from its first moment. after: seconds from the first signal on.
    hit: name of each signal, and whether the first process got it.
    """

    status: int | None
    said: str
    seconds: float
    after: float = 0.0
    hit: list[tuple[str, bool]] = dataclasses.field(default_factory=list)


class Running:
    """A command that runs. number: of the command in its case; usual: seconds that it takes undisturbed."""

    def __init__(self, case: Case, line: tuple[str, ...], world: World, number: int) -> None:
        self.case, self.line, self.world, self.number = case, line, world, number
        self.output = world.base / f"output-{number}"
        self.errors = world.base / f"errors-{number}"
        self.traced = world.base / f"traced-{number}"
        for path in (self.output, self.errors, self.traced):
            path.write_bytes(b"")
        self.master, slave = pty.openpty() if case.streams == "terminal" else (-1, -1)
        self.began = time.monotonic()
        self.signalled = 0.0
        self.hit: list[tuple[str, bool]] = []
        self.pid = os.fork()
        if not self.pid:
            _become(case, line, world, self, slave)
        if slave >= 0:
            os.close(slave)
        self.handle = os.pidfd_open(self.pid)
        self.terminal = b""

    def drain(self) -> None:
        """Take what a terminal has to show."""
        while self.master >= 0 and select.select([self.master], [], [], 0)[0]:
            try:
                self.terminal += os.read(self.master, 1 << 16)
            except OSError:  # its other side is closed
                os.close(self.master)
                self.master = -1

    def ended(self, status: int | None) -> Ended:
        """What is known after its end."""
        now = time.monotonic()
        self.drain()
        if self.master >= 0:
            os.close(self.master)
        os.close(self.handle)
        parts = [self.terminal]
        for path in (self.output, self.errors, self.traced):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - MOST_TEXT))
                parts.append(file.read())
        said = b"\n".join(parts).decode(errors="replace")
        after = now - self.signalled if self.signalled else 0.0
        return Ended(status, said, now - self.began, after, self.hit)


def become_player() -> None:
    """Orphans of this process's children become its own, so that it sees what commands leave behind."""
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)


def family() -> dict[int, int]:
    """Living processes below this one, and their parents."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(name)] = int(parent)
    found: dict[int, int] = {}
    wave = {os.getpid()}
    while wave := {pid for pid, parent in parents.items() if parent in wave and pid not in found}:
        found.update((pid, parents[pid]) for pid in wave)
    return found


def below(first: int) -> list[int]:
    """A process and those below it, the first first."""
    members = family()
    found = [first] if first in members else []
    for pid in found:
        found += [one for one, parent in members.items() if parent == pid]
    return found


def play(case: Case, world: World, rng: random.Random, usual: float) -> tuple[list[Ended], list[str]]:
    """Play a case's commands at once in a world that is laid out; (how each ended, processes that were left).

    usual: seconds that a command takes undisturbed, for the moments of its signals.
    """
    running = [Running(case, line, world, number) for number, line in enumerate(case.lines)]
    poll = select.poll()
    for one in running:
        poll.register(one.handle, select.POLLIN)
        if one.master >= 0:
            poll.register(one.master, select.POLLIN)
    began = time.monotonic()
    due = [(began + usual * one.at, one.whom, one.number, one.on) for one in case.signals]
    resumed: list[tuple[float, int]] = []
    ended: dict[int, Ended] = {}
    while len(ended) < len(running):
        now = time.monotonic()
        if now > began + case.limit:
            break
        for moment in [one for one in resumed if one[0] <= now]:
            resumed.remove(moment)
            with contextlib.suppress(ProcessLookupError):
                os.kill(moment[1], signal.SIGCONT)
        for moment in [one for one in due if one[0] <= now]:
            due.remove(moment)
            alive = [one for one in running if one.number not in ended]
            _send(rng.choice(alive), rng, *moment[1:], resumed)
        waits = [began + case.limit, *(one[0] for one in due), *(one[0] for one in resumed)]
        poll.poll(max(1.0, 1000 * (min(waits) - now)))
        for one in running:
            one.drain()
            if one.number not in ended:
                pid, status = os.waitpid(one.pid, os.WNOHANG)
                if pid:
                    poll.unregister(one.handle)
                    ended[one.number] = one.ended(os.waitstatus_to_exitcode(status))
    for _, pid in resumed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    left = [] if len(ended) == len(running) else ["still there at the limit"]
    left = left or _outlive()
    sweep()
    for one in running:
        if one.number not in ended:
            ended[one.number] = one.ended(None)
    return [ended[number] for number in range(len(running))], left


def _send(
    one: Running, rng: random.Random, whom: str, number: int, on: float, resumed: list[tuple[float, int]]
) -> None:
    members = below(one.pid)
    if not members:
        return
    pid = one.pid if whom != "any" else rng.choice(members)
    one.signalled = one.signalled or time.monotonic()
    one.hit.append((signal.Signals(number).name, pid == one.pid))
    with contextlib.suppress(ProcessLookupError):
        if whom == "group":
            os.killpg(one.pid, number)
        else:
            os.kill(pid, number)
    if on:
        resumed.append((time.monotonic() + on, pid))


def _outlive() -> list[str]:
    """Processes that are there some time after the commands' ends, by their command lines."""
    deadline = time.monotonic() + GRACE
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = family()
        if not left or time.monotonic() > deadline:
            return [f"a process is left: {_named(pid)}" for pid in left]
        time.sleep(0.01)


def _named(pid: int) -> str:
    with contextlib.suppress(OSError):
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode(errors='replace')}"
    return str(pid)


def sweep() -> None:
    """End everything below this process."""
    while left := family():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(case: Case, line: tuple[str, ...], world: World, running: Running, slave: int) -> None:
    """In the child: be the command. Never returns."""
    status = 70  # of a fault of this file
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        _libc.prctl(_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update({"TMPDIR": str(world.temporary), "HOME": str(world.home), "PYTHONPATH": str(ROOT)})
        os.environ.pop("XDG_CACHE_HOME", None)
        if "tmp" in case.limits.full:
            os.environ["TMPDIR"] = str(world.full)
        if case.cold:
            os.environ["SLAB_STRESS_CACHE"] = str(world.cold)
        for name, value in case.environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.chdir(world.path)
        _streams(case.streams, running, slave)
        _limit(case.limits, case.fresh)
        if case.fresh:
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
            os.execv(sys.executable, [sys.executable, "-m", "stress" if case.work else no_work.__name__, *line])
        status = _main(case, line, running.traced)
    except BaseException:
        with contextlib.suppress(BaseException):
            running.traced.write_text("of the storm itself: " + traceback.format_exc())
    finally:
        os._exit(status)


def _streams(how: str, running: Running, slave: int) -> None:
    """Descriptors 0, 1 and 2 as the command finds them."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    output = os.open(running.output, os.O_WRONLY)
    errors = os.open(running.errors, os.O_WRONLY)
    if how == "terminal":
        output = errors = slave  # not the session's own: a shell would lead the session, and outlive the command
    elif how == "full":
        output = os.open("/dev/full", os.O_WRONLY)
    elif how == "full-err":
        errors = os.open("/dev/full", os.O_WRONLY)
    elif how == "broken":
        read, output = os.pipe()
        os.close(read)
    chosen = [slave if how == "terminal" else nowhere, output, errors]
    for number, source in enumerate(chosen):
        os.dup2(source, number)
    os.closerange(3, 256)
    for number in {"closed-in": [0], "closed-out": [1], "closed-err": [2], "closed-all": [0, 1, 2]}.get(how, []):
        os.close(number)


def _limit(limits: Limits, fresh: bool) -> None:
    if limits.memory >= 0:
        with open("/proc/self/statm", encoding="ascii") as file:
            here = INTERPRETER if fresh else int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (here + limits.memory,) * 2)
    if limits.file >= 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python has it
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file,) * 2)
    if limits.files >= 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits.files,) * 2)


def _main(case: Case, line: tuple[str, ...], traced: Path) -> int:
    """`python -m stress` with these words in this process; its exit status as the interpreter would give it."""
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        try:
            os.fstat(number)
        except OSError:
            setattr(sys, name, None)
            continue
        errors = "backslashreplace" if number == 2 else "strict"
        buffering = 1 if number == 2 or os.isatty(number) else -1
        setattr(sys, name, open(number, mode, encoding="utf-8", errors=errors, closefd=False, buffering=buffering))
        setattr(sys, f"__{name}__", getattr(sys, name))
    sys.argv = [str(ROOT / "stress" / "__main__.py"), *line]
    random.seed()
    tempfile.tempdir = None  # which the player has looked up for itself
    multiprocessing.process._children.clear()  # type: ignore[attr-defined]
    from stress.__main__ import main

    with contextlib.ExitStack() as stack:
        if not case.work:
            stack.enter_context(no_work.no_work())
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
            main("python -m stress")
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except no_work.NoWork:
            status = 0
        except BaseException as error:
            status = 130 if isinstance(error, KeyboardInterrupt) else 1
            with contextlib.suppress(Exception):
                traced.write_text(traceback.format_exc())
    with _traced(traced):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()  # type: ignore[attr-defined]
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            if stream is sys.stdout and error.errno != errno.EBADF:
                status = 120
        except ValueError:
            pass
    return status


@contextlib.contextmanager
def _traced(traced: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            traced.write_text(f"at the end: {traceback.format_exc()}")
