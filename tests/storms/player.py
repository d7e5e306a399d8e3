"""One of the processes that play cases: takes numbers, plays, tells what was wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import importlib
import json
import os
import pkgutil
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path
from typing import Any

import typer

from stress.commands.app import app
from tests.storms import inputs, judge, kills, lines, originals, stage
from tests.storms.case import Case
from tests.storms.world import World

STORMS: dict[str, Callable[[int, int], Case]] = {
    "lines": lines.case,
    "inputs": inputs.case,
    "kills": kills.kill,
    "limits": kills.limit,
    "neighbours": kills.neighbours,
}
USUAL = 3.0  # seconds of a command that is not timed
MOST_OF_WRITING = 25  # times what writing a partial result takes that the end may take after Ctrl-C
LONG = 6.0  # seconds of a command from which on it is not repeated after it was disturbed


def make(storm: str, seed: int, number: int) -> Case:
    """A case by its name: the same every time."""
    return kills.usual(number) if storm == "usual" else STORMS[storm](seed, number)


class Player:
    """usual: seconds of each of `kills.COMMANDS` undisturbed, 0 if nobody has timed it; shared by all players."""

    def __init__(self, base: Path, kept: tuple[Path, ...], usual: SynchronizedArray[float]) -> None:
        stage.become_player()
        self.base = base
        self.world = World(base, kept)
        self.usual = usual

    def play(self, storm: str, seed: int, number: int) -> dict[str, Any]:
        """Play a case; what to tell of it. Faults have a text each, `told` repeats the commands."""
        case = make(storm, seed, number)
        before = time.monotonic(), _cpu()
        told: dict[str, Any] = {"storm": storm, "seed": seed, "number": number}
        if storm == "usual":
            self._time(case.usual)
        elif case.signals and not self.usual[case.usual]:
            self._time(case.usual)
        self._lay_out(storm, case)
        rng = random.Random(f"{storm}:{seed}:{number}:hit")
        ended, left = stage.play(case, self.world, rng, self._usual(case))
        found = judge.faults(case, ended, left, self.world)
        if case.again and not found and self._usual(case) < LONG:
            found += self._again(case)
        if case.signals and any(name == "SIGINT" for one in ended for name, first in one.hit if first):
            writing = self._writing(case) if case.usual in (0, 8) else 0.0
            told["ctrl_c"] = [case.usual, ended[0].after, writing]
            if writing and ended[0].after > MOST_OF_WRITING * writing:
                found.append(f"Ctrl-C took {ended[0].after / writing:.0f} times what writing its result does")
        if found:
            told["faults"] = found
            told["told"] = case.told()
            told["hit"] = [one.hit for one in ended]
            told["said"] = "\n---\n".join(judge.tail(one.said) for one in ended)
        told["sent"] = sum(bool(one.hit) for one in ended)
        told["status"] = [one.status for one in ended]
        told["seconds"], told["cpu"] = time.monotonic() - before[0], _cpu() - before[1]
        return told

    def _time(self, number: int) -> None:
        """How long a command takes that finds everything compiled."""
        case = kills.usual(number)
        for _ in range(2):
            self.world.renew(case.files)
            ended, _ = stage.play(case, self.world, random.Random(0), 1.0)
        self.usual[number] = ended[0].seconds

    def _lay_out(self, storm: str, case: Case) -> None:
        files = originals.everything() | case.files if storm == "lines" else case.files
        self.world.renew(files, case.limits.full)
        if storm == "lines":
            self.world.traps()

    def _usual(self, case: Case) -> float:
        if case.usual < 0:
            return USUAL
        seconds = self.usual[case.usual] or USUAL
        return seconds + (12.0 if case.cold else 0.0) + (0.5 if case.fresh else 0.0)

    def _again(self, case: Case) -> list[str]:
        """The next run, in what the disturbed one left: what was wrong with that."""
        lines = case.lines
        if case.lines[0][0] == "campaign" and (self.world.path / "campaigns/small/catalogue.sqlite").exists():
            lines = (("campaign", "resume", "campaigns/small", "--workers", "2", "--quiet"),)
        for path in self.world.temporary.iterdir():  # what a killed process could not remove
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self.world.path.rglob(".new-*"):
            path.unlink()
        then = dataclasses.replace(case, lines=lines[:1], signals=(), again=False, streams="files", fresh=False)
        ended, left = stage.play(then, self.world, random.Random(0), 1.0)
        found = judge.faults(then, ended, left, self.world)
        return [f"the next run: {wrong}; it said: {judge.tail(ended[0].said)}" for wrong in found]

    def _writing(self, case: Case) -> float:
        """Seconds that a command takes which writes what is there of an interrupted one; 0 if there is nothing."""
        line = "report last --format html" if case.usual == 0 else "calibrate --runs 0 --samples s.json"
        then = Case((tuple(line.split()),), work=True)
        ended, _ = stage.play(then, self.world, random.Random(0), 1.0)
        return ended[0].seconds if ended[0].status == 0 else 0.0


def _cpu() -> float:
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


def be_player(
    base: Path,
    kept: tuple[Path, ...],
    take: Callable[[], tuple[str, int, int] | None],
    pipe: int,
    usual: SynchronizedArray[float],
) -> None:
    """In a fork: play until nothing is left to take, or SIGTERM. Never returns."""
    try:
        parent = os.getppid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else _stop)
        player = Player(base, kept, usual)
        sys.stdin = open(os.devnull)
        while (taken := take()) is not None and os.getppid() == parent:
            _tell(pipe, {"starts": list(taken)})
            try:
                told = player.play(*taken)
            except Exception:
                stage.sweep()
                told = dict(zip(("storm", "seed", "number"), taken, strict=True))
                told |= {"faults": ["of the storm itself"], "said": traceback.format_exc(), "told": "", "seconds": 0.0}
            _tell(pipe, told)
        _tell(pipe, {"mounted": player.world.mounted})
    finally:
        with contextlib.suppress(BaseException):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            stage.sweep()
        os._exit(0)


def _stop(*_: object) -> None:
    """An exception would be lost where this comes in the middle of a callback."""
    stage.sweep()
    os._exit(0)


def _tell(pipe: int, told: dict[str, Any]) -> None:
    data = json.dumps(told, default=str).encode("utf-8", "backslashreplace") + b"\n"
    while data:
        data = data[os.write(pipe, data) :]


def import_everything() -> None:
    """What any command imports, once for all forks; what needs a library that is not here is left out."""
    for package in ("shm", "allocators", "scenarios", "stress"):
        for module in pkgutil.walk_packages([str(stage.ROOT / package)], f"{package}."):
            if not module.name.endswith(("__main__", "pytest_plugin")):
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)
    for name in ("scipy.stats", "rich.live", "rich.table", "pyarrow.parquet", "distributed", "multiprocessing_logging"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    typer.main.get_command = functools.cache(typer.main.get_command)  # else every fork builds all commands anew
    typer.main.get_command(app)
    gc.collect()
    gc.freeze()


def taker(plan: list[tuple[str, int, int]], next_: Any) -> Callable[[], tuple[str, int, int] | None]:
    """A function by which players take the cases of a plan, each once."""

    def take() -> tuple[str, int, int] | None:
        with next_.get_lock():
            at = next_.value
            next_.value += 1
        return plan[at] if at < len(plan) else None

    return take


def spread(counts: dict[str, int], seed: int) -> Iterator[tuple[str, int, int]]:
    """All cases of all storms, each storm spread evenly over the whole; the commands' usual times first."""
    if counts.get("kills", 0) >= len(kills.COMMANDS):
        yield from (("usual", 0, number) for number, one in enumerate(kills.COMMANDS) if one.possible())
    heavy = ("kills", "limits", "neighbours")
    keyed = [
        ((0.06 if name in heavy else 0.0) + (number + 0.5) / count * (0.94 if name in heavy else 1.0), name, number)
        for name, count in counts.items()
        for number in range(count)
    ]
    yield from ((name, seed, number) for _, name, number in sorted(keyed))
