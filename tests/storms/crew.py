"""Players side by side: hands out cases, gathers what was wrong, and ends in time."""

from __future__ import annotations

import collections
import dataclasses
import json
import multiprocessing
import os
import selectors
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.storms import inputs, kills, originals, player, world

LATE = 10.0  # seconds that players have to end
SAY = 10.0  # seconds between two words of how far it is


@dataclasses.dataclass(slots=True)
class Report:
    """What became of a storm. played: how many of each; sent: cases whose signals came in time; seconds: of players,
    by storm; cpu: seconds of their commands' processes. faults: as `player.Player.play` tells them. ctrl_c: (command,
    seconds to its end, seconds that writing what was there takes, or 0). mounted: whether full disks and /dev/shm were
    looked at."""

    seed: int
    asked: dict[str, int]
    jobs: int
    played: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    seconds: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    cpu: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    sent: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    faults: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    ctrl_c: list[tuple[int, float, float]] = dataclasses.field(default_factory=list)
    usual: list[float] = dataclasses.field(default_factory=list)
    statuses: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    mounted: bool = True
    took: float = 0.0

    def take(self, told: dict[str, Any]) -> None:
        """Count a case."""
        storm = told["storm"]
        self.played[storm] += 1
        self.seconds[storm] += told.get("seconds", 0.0)
        self.cpu[storm] += told.get("cpu", 0.0)
        self.sent[storm] += bool(told.get("sent"))
        for status in told.get("status", ()):
            self.statuses[f"{storm} {status}"] += 1
        if "ctrl_c" in told:
            which, after, writing = told["ctrl_c"]
            self.ctrl_c.append((which, after, writing))
        if told.get("faults"):
            self.faults.append(told)


def play(
    report: Report,
    seconds: float,
    said: Callable[[dict[str, Any]], None] = lambda _: None,
    plan: list[tuple[str, int, int]] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> None:
    """Play what a report asks for, for so many seconds at most, and fill it. said: of every fault. progress: every ten
    seconds, of how many have passed."""
    began = time.monotonic()
    plan = plan if plan is not None else list(player.spread(report.asked, report.seed))
    player.import_everything()
    originals.everything()
    inputs.kinds()
    kept = (world.compile_cache(),)
    base = world.base_folder()
    context = multiprocessing.get_context("fork")
    next_ = context.Value("q", 0)
    usual = context.Array("d", len(kills.COMMANDS))
    take = player.taker(plan, next_)
    selector = selectors.DefaultSelector()
    playing: dict[int, _Playing] = {}
    made = 0

    def start() -> None:
        nonlocal made
        made += 1
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(read)
            for other in playing:
                os.close(other)
            player.be_player(base / str(made), kept, take, write, usual)
        os.close(write)
        playing[read] = _Playing(pid)
        selector.register(read, selectors.EVENT_READ)

    try:
        for _ in range(min(report.jobs, len(plan))):
            start()
        stopping, told_at = False, began
        while playing:
            now = time.monotonic()
            if now - told_at > SAY:
                told_at = now
                progress(now - began)
            late = now - began - seconds
            if late > 0 and not stopping:
                stopping = True
                for one in playing.values():
                    os.kill(one.pid, signal.SIGTERM)
            if late > LATE:
                for one in playing.values():
                    os.kill(one.pid, signal.SIGKILL)  # and with it what it plays, which wants to live no longer
            for key, _ in selector.select(0.5):
                one = playing[key.fd]
                data = os.read(key.fd, 1 << 16)
                if data:
                    one.rest += data
                    *whole, one.rest = one.rest.split(b"\n")
                    for line in whole:
                        _heard(json.loads(line), one, report, said)
                    continue
                selector.unregister(key.fd)
                os.close(key.fd)
                del playing[key.fd]
                _, status = os.waitpid(one.pid, 0)
                if status and not stopping:
                    storm, its_seed, number = one.plays
                    faults = [f"the player ended: {os.waitstatus_to_exitcode(status)}"]
                    told = {"storm": storm, "seed": its_seed, "number": number, "told": "", "said": ""}
                    _heard(told | {"faults": faults}, one, report, said)
                    start()
    finally:
        for one in playing.values():
            os.kill(one.pid, signal.SIGKILL)
        for one in playing.values():
            os.waitpid(one.pid, 0)
        shutil.rmtree(base, ignore_errors=True)
        report.usual = list(usual)
        report.took = time.monotonic() - began


@dataclasses.dataclass(slots=True)
class _Playing:
    pid: int
    rest: bytes = b""
    plays: list[Any] = dataclasses.field(default_factory=lambda: ["", 0, 0])


def _heard(told: dict[str, Any], one: _Playing, report: Report, said: Callable[[dict[str, Any]], None]) -> None:
    if "starts" in told:
        one.plays = told["starts"]
    elif "mounted" in told:
        report.mounted = report.mounted and told["mounted"]
    else:
        report.take(told)
        if told.get("faults"):
            said(told)


def again(told: dict[str, Any]) -> str:
    """The command that repeats a case."""
    return f"python -m tests.storms {told['storm']} --seed {told['seed']} --case {told['number']}"


def shown(told: dict[str, Any]) -> str:
    """A fault as text."""
    lines = [*(f"FAULT {fault}" for fault in told["faults"]), f"  again: {again(told)}", f"  {told['told']}"]
    if told.get("hit") and any(told["hit"]):
        lines.append(f"  signals, and whether the first process got them: {told['hit']}")
    lines += [f"  | {line}" for line in told["said"].strip().splitlines()]
    return "\n".join(lines)


def so_far(report: Report, passed: float) -> str:
    """How far it is after so many seconds."""
    parts = [f"{report.played[name]:,} of {count:,} {name}" for name, count in report.asked.items() if count]
    return f"{passed:.0f} s: {', '.join(parts)}; {len(report.faults)} with faults"


def figures(report: Report) -> str:
    """What was played, what it took, and how long Ctrl-C did."""
    lines = [f"seed {report.seed}, {report.jobs} players, {report.took:.0f} s"]
    if not report.mounted:
        lines.append("no mounts are allowed here: nothing lay on a full disk, and nobody looked at /dev/shm")
    if missing := [command.line for command in kills.COMMANDS if not command.possible()]:
        lines.append(f"left out, for what is not installed here: {'; '.join(missing)}")
    for name in [*report.asked, *(["usual"] if report.played["usual"] else [])]:
        count, asked = report.played[name], report.asked.get(name, len(kills.COMMANDS))
        each = report.cpu[name] / count if count else 0.0
        wrong = sum(told["storm"] == name for told in report.faults)
        hit = f", {report.sent[name]:,} hit by a signal before their end" if report.sent[name] else ""
        statuses = {key.split()[1]: n for key, n in sorted(report.statuses.items()) if key.split()[0] == name}
        lines.append(
            f"{name}: {count:,} of {asked:,}, {wrong} with faults{hit}; {report.seconds[name]:.0f} s of players, "
            f"{report.cpu[name]:.0f} s of CPU, {1000 * each:.0f} ms each; exit statuses {statuses}"
        )
    for which, command in enumerate(kills.COMMANDS):
        ends = sorted(after for number, after, _ in report.ctrl_c if number == which)
        if not ends:
            continue
        ratios = sorted(after / writing for number, after, writing in report.ctrl_c if number == which and writing)
        name, alone = " ".join(command.line.split()[:2]), report.usual[which]
        text = f"Ctrl-C, {name}: {len(ends)}, ends after {_spread(ends)} s (undisturbed {alone:.1f} s)"
        if ratios:
            text += f"; {len(ratios)} with a result, × {_spread(ratios)} of what writing that takes"
        lines.append(text)
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    at = [values[int(share * (len(values) - 1))] for share in (0.5, 0.95, 1.0)]
    return " / ".join(f"{value:.2g}" for value in at) + " (median, 95 %, most)"


def write(report: Report, path: Path) -> None:
    """All faults, and the figures, into a file."""
    path.write_text("\n\n".join([figures(report), *map(shown, report.faults)]) + "\n")
