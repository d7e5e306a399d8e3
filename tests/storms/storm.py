"""The storms: command lines, inputs, kills, limits and neighbours. Each is a function of a seed that returns faults."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import msgspec
import psutil
from calibrations import samples
from stress_records import record

from scenarios.traces.errors import TraceError
from scenarios.traces.steps import read_steps
from stress.calibrate.samples import read_samples
from stress.measure.evaluation import measure
from stress.process.failures import as_stress_error
from stress.profiles.load import read as read_profile
from stress.result.files import read_result, write_result
from tests.storms import inputs, lines

ROOT = Path(__file__).resolve().parents[2]
END = 120.0  # seconds within which a command ends, after a signal too
# Commands that start processes, each some seconds of work.
CROWDS = (
    "explore R9 --design v3+F_NRP --jobs 3 --budget 20 --out s.json",
    "explore --all --jobs 2 --preemptions 1 --budget 5 --out races.txt",
    "simulate --cpus 1,2,4 --operations 20000 --jobs 3 --page p.html",
    "run --seconds 2 --cpus 2 --quiet --out results",
    "machine --seconds 1 --out m.toml",
)


@contextlib.contextmanager
def world() -> Iterator[lines.Folder]:
    """A folder to be in, with what commands find there."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        path = Path(folder)
        _, result = write_result(measure(record()), path / "made")
        schedule = (ROOT / "tests/storms/R8.schedule.json").read_bytes()
        place = lines.Folder(path, result.read_bytes(), schedule)
        place.renew()
        os.chdir(path)
        try:
            yield place
        finally:
            os.chdir(before)
            (path / "locked").chmod(0o700)


def command_lines(seed: int, count: int) -> tuple[int, list[str]]:
    """Play so many lines; (how many were played, faults)."""
    played = 0
    faults: list[str] = []
    with world() as place, lines.no_work():

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count, derandomize=False, database=None, deadline=None, report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(lines.lines(), lines.ENVIRONMENTS)
        def play(line: list[str], environment: dict[str, str | None]) -> None:
            nonlocal played
            played += 1
            place.renew()
            wrong = lines.invoke(line, environment)
            assert not wrong, f"{wrong}\n  {lines.repeat(line, environment)}"

        try:
            play()
        except AssertionError as error:
            faults.append(str(error))
    return played, faults


def _reads(text: bytes) -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    steps = b"\n".join((ROOT / "tests/data/linux-3.16-slub-steps.csv").read_bytes().split(b"\n")[:30]) + b"\n"
    profile = (ROOT / "stress/profiles/epyc-2022.toml").read_bytes()
    return {
        "result.json": (text, read_result),
        "samples.json": (msgspec.json.encode(samples(0.0)), read_samples),
        "profile.toml": (profile, read_profile),
        "steps.csv": (steps, read_steps),
    }


def input_files(seed: int, count: int) -> tuple[int, list[str]]:
    """Read so many mutated files, results and schedules by the commands that read them; (how many, faults)."""
    faults = []
    with world() as place, lines.no_work():
        kinds = _reads(place.result)
        for number in range(count):
            name = [*kinds, "report", "schedule.json"][number % (len(kinds) + 2)]
            told = f"{seed}:{number}"
            if name in ("report", "schedule.json"):
                original = place.result if name == "report" else place.schedule
                path = inputs.write(place.path / f"{name}.mutated", original, told)
                command = ["report", "--details"] if name == "report" else ["replay"]
                if wrong := lines.invoke([*command, str(path)], {}):
                    faults.append(f"{wrong}\n  {name} mutated by {told}")
                continue
            original, read = kinds[name]
            try:
                read(inputs.write(place.path / f"mutated-{name}", original, told))
            except Exception as error:
                if as_stress_error(error) is None and not isinstance(error, TraceError):
                    faults.append(f"{type(error).__name__}: {error}\n  {name} mutated by {told}")
    return count, faults


def _limit(memory: int, file: int) -> Callable[[], None]:
    def limit() -> None:
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        if file >= 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))

    return limit


class Played:
    """A command in a session and with temporary files of its own, watched from outside."""

    def __init__(self, typed: str, folder: Path, name: str, limit: Callable[[], None] | None = None) -> None:
        self.typed, self.folder = typed, folder
        self.temporary = folder / f"tmp-{name}"
        self.temporary.mkdir()
        self.errors = folder / f"err-{name}"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stress", *shlex.split(typed)], cwd=folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True, preexec_fn=limit,
                env=os.environ | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def members(self) -> list[psutil.Process]:
        """Every living process of the session."""
        found = []
        for process in psutil.process_iter(["pid", "status"]):
            with contextlib.suppress(OSError):
                if os.getsid(process.pid) == self.process.pid and process.info["status"] != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def faults(self, killed: bool, sent: int = 0) -> list[str]:
        """Wait for its end; what did not hold. killed: the first process got SIGKILL, and so could clean up nothing."""
        try:
            status = self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.end()
            return [f"still there after {END:g} s"]
        found = []
        if status not in lines.STATUSES and not (status == -sent and sent in (signal.SIGKILL, signal.SIGTERM)):
            found.append(f"exit status {status}")
        if b"Traceback" in (said := self.errors.read_bytes()):
            found.append("a traceback: " + said.decode(errors="replace")[-600:])
        deadline = time.monotonic() + 10
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left:
            found.append(f"{len(left)} processes left")
            self.end()
        if not killed:
            found += [f"left in the temporary folder: {path.name}" for path in self.temporary.iterdir()]
            found += [f"half a file: {path}" for path in self.folder.rglob(".new-*")]
        for path in self.folder.glob("results/*/result.json"):
            try:
                read_result(path)
            except Exception as error:
                found.append(f"half a result: {error}")
        return found

    def end(self) -> None:
        """End what is left of the session."""
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                process.kill()


def kill(seed: int, crowds: tuple[str, ...] = CROWDS, most: float = 6.0, alone: bool = False) -> list[str]:
    """Send a signal to one process of a command, at a moment; faults.

    alone: nothing else on this machine uses /dev/shm, so what is new there is the command's.
    """
    rng = random.Random(seed)
    typed, sent = rng.choice(crowds), rng.choice((signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT))
    shared = set(os.listdir("/dev/shm"))
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        played = Played(typed, Path(folder), "1")
        time.sleep(rng.uniform(0.3, most))
        members = sorted(played.members(), key=lambda process: process.pid)
        first = False
        if members:
            hit = rng.choice(members)
            first = hit.pid == played.process.pid
            with contextlib.suppress(psutil.Error):
                hit.send_signal(sent)
                if sent == signal.SIGSTOP:
                    time.sleep(rng.uniform(0.1, 2.0))
                    hit.send_signal(signal.SIGCONT)
        found = played.faults(first and sent in (signal.SIGKILL, signal.SIGTERM), int(sent) if first else 0)
        if alone:
            found += [f"left in /dev/shm: {name}" for name in sorted(set(os.listdir("/dev/shm")) - shared)]
    return [f"{wrong}\n  {sent.name} to {'the first' if first else 'another'} process of: {typed}" for wrong in found]


def limits(seed: int) -> list[str]:
    """A command with little memory, or on a disk that is full after some bytes; faults."""
    rng = random.Random(seed)
    typed = rng.choice(CROWDS)
    memory, file = rng.choice(((rng.randrange(64, 3000) << 20, -1), (0, rng.choice((0, 1, 100, 4096, 65536)))))
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        found = Played(typed, Path(folder), "1", _limit(memory, file)).faults(False)
    found = [wrong for wrong in found if not wrong.startswith("exit status -")]  # LLVM aborts where memory is short
    return [f"{wrong}\n  ulimit of memory {memory}, of files {file}: {typed}" for wrong in found]


def neighbours(seed: int) -> list[str]:
    """Two or four commands at once on one folder of results; faults."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        path = Path(folder)
        typed = [
            rng.choice((CROWDS[2], CROWDS[3], "results", "results prune --keep 1")) for _ in range(rng.choice((2, 4)))
        ]
        (path / "results").mkdir()
        played = [Played(one, path, str(number)) for number, one in enumerate(typed)]
        found = [f"{wrong}\n  of {typed}" for one in played for wrong in one.faults(True)]
        names = [p for p in path.glob("results/*") if not (p / "result.json").exists()]
        return found + [f"a folder without a result: {name.name}" for name in names]
