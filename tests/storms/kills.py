"""What is done to commands that start processes: signals, little memory, full disks, neighbours, an empty cache."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import random
import shutil
import signal

from tests.storms import originals
from tests.storms.case import Case, Limits, Signal
from tests.storms.lines import SMALL

LIMIT = 120.0  # seconds within which a command ends, after a signal too
COLD = 40  # every so manieth kill begins with an empty compile cache
FRESH = 5  # every so manieth kill is of a new interpreter
only = ""  # how the commands begin that are disturbed
STORM = " ".join(SMALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A small one. line: as it is typed. files: what it reads. statuses: undisturbed. weight: how often it comes up.

    fresh: only by a new interpreter, because it starts others that import its main module. needs: a module or a program
    without which it is left out.
    """

    line: str
    files: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (0,)
    weight: int = 4
    fresh: bool = False
    needs: str = "sys"

    def possible(self) -> bool:
        """Has this machine what it needs?"""
        return bool(importlib.util.find_spec(self.needs) or shutil.which(self.needs))


COMMANDS = (
    Command(f"run --seconds 0.3 --launches 2 --cpus 2 --before v3 --after v3-P8v3 {STORM}", weight=14),
    Command(f"run --serial --quiet --cpus 2 --before v3 --after v3-P8v3 {STORM}", weight=2),
    Command("explore R9 --design v3+F_NRP --jobs 3 --budget 5 --schedules 200 --out s.json", weight=8),
    Command(
        "explore R9 --strategy random --jobs 2 --budget 5 --schedules 100 --out s.json --page p.html", statuses=(0, 1)
    ),
    Command(
        f"explore offline-vs-free --like {originals.RUN} --jobs 2 --preemptions 1 --budget 0.2",
        (f"{originals.RUN}/result.json",), (0, 1),
    ),
    Command("explore --all --jobs 2 --preemptions 0 --budget 0.1 --out races.txt", statuses=(0, 1), weight=1),
    Command("simulate --cpus 1,2 --operations 2000 --jobs 2 --after v3 --page p.html --perfetto p.json", weight=6),
    Command("machine --seconds 0.2 --cpus 0,1 --out m.toml", weight=6),
    Command(f"calibrate --runs 1 --seconds 0.3 --slowdown 0 --samples s.json --design v3 {STORM}", weight=3),
    Command("campaign run study.toml --workers 2", ("study.toml",), weight=2, fresh=True, needs="distributed"),
    Command("claims 2 --quick --seconds 0.1", weight=1),
    Command("conform steps.csv", ("steps.csv",), weight=2),
    Command("bench --no-peers", weight=1, needs="cc"),
)  # fmt: skip


@functools.cache
def _files() -> dict[str, bytes]:
    return originals.everything() | {"steps.csv": originals.steps()}


def usual(number: int) -> Case:
    """A command undisturbed."""
    command = COMMANDS[number]
    return Case(
        (tuple(command.line.split()),), files={name: _files()[name] for name in command.files}, work=True, usual=number,
        fresh=command.fresh, limit=600.0,
    )  # fmt: skip


def _drawn(rng: random.Random) -> int:
    some = [n for n, command in enumerate(COMMANDS) if command.line.startswith(only) and command.possible()]
    return rng.choices(some, [COMMANDS[number].weight for number in some])[0]


def kill(seed: int, number: int) -> Case:
    """The so manieth kill: signals to one, another or all processes of a command, at a moment of its life."""
    rng = random.Random(f"kills:{seed}:{number}")
    at = rng.uniform(0.0, 0.9)
    match rng.randrange(8):
        case 0 | 1:
            signals = [Signal(at, "any", signal.SIGKILL)]
        case 2:
            signals = [Signal(at, rng.choice(("first", "any", "any")), signal.SIGSTOP, rng.uniform(0.1, 1.5))]
        case 3:
            signals = [Signal(at, rng.choice(("first", "any", "group")), signal.SIGTERM)]
        case 4:
            signals = [Signal(at, "any", signal.SIGINT)]
        case 5:
            signals = [Signal(at, rng.choice(("first", "group")), rng.choice((signal.SIGKILL, signal.SIGHUP)))]
        case 6:  # somebody is impatient
            signals = [Signal(at + part, "group", signal.SIGINT) for part in (0.0, 0.02, 0.05)]
        case _:
            signals = [Signal(at, "group", signal.SIGINT)]
    cold = number % COLD == COLD - 1
    case = usual(_drawn(rng))
    streams = rng.choice(("files", "files", "files", "terminal"))
    return dataclasses.replace(
        case, signals=tuple(signals), again=number % 2 == 0, cold=cold, streams=streams, limit=LIMIT,
        fresh=case.fresh or number % FRESH == 0,
    )  # fmt: skip


def limit(seed: int, number: int) -> Case:
    """The so manieth command on a machine that has too little of something."""
    rng = random.Random(f"limits:{seed}:{number}")
    match rng.randrange(4):
        case 0:
            limits = Limits(memory=int(2 ** rng.uniform(20, 31)))
        case 1:
            limits = Limits(file=rng.choice((0, 1, 100, 4096, 65536)))
        case 2:
            limits = Limits(files=rng.randrange(8, 64))
        case _:
            limits = Limits(full=rng.choice((("results",), ("campaigns",), ("tmp",), ("results", "campaigns", "tmp"))))
    case = usual(_drawn(rng))
    if rng.randrange(3) == 0 and not limits.full:  # other commands have no room either
        kind = rng.choice(("report last --format html", "results index", "replay schedule.json --page p.html"))
        files = {name: _files()[name] for name in (f"{originals.RUN}/result.json", "schedule.json")}
        case = Case((tuple(kind.split()),), files=files, work=True)
    return dataclasses.replace(case, limits=limits, limit=LIMIT, fresh=case.fresh or number % FRESH == 0)


def neighbours(seed: int, number: int) -> Case:
    """Two or four commands at once on one results folder; every fifth time with one empty compile cache."""
    rng = random.Random(f"neighbours:{seed}:{number}")
    cold = number % 5 == 0
    some = [COMMANDS[0].line, COMMANDS[1].line, COMMANDS[8].line]
    looks = ["results", "results prune --keep 1", "results index", "report last"]
    typed = [some[0], *(rng.choice(some if cold else some + looks) for _ in range(rng.choice((1, 3))))]
    signals = () if number % 3 else (Signal(rng.uniform(0, 1), "any", signal.SIGKILL),)
    return Case(
        tuple(tuple(line.split()) for line in typed), work=True, cold=cold, signals=signals, again=True, usual=0,
        limit=2 * LIMIT,
    )  # fmt: skip
