"""A failing execution for people: a column per CPU, every operation that others can see, with its source line.

An execution is run once more with the log on. Operations on words that concern only one task are left out;
what a switch was for stands between the rows.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from stress.explore.search.strategies import Follow
from stress.explore.space.space import Outcome, Space

ROOT = Path(__file__).resolve().parents[3]
WIDTH = 46
PLUMBING = ("/shm/atomics.py", "/shm/machine.py", "/shm/waiting.py", "/core/lists.py")


class Row(NamedTuple):
    """An operation (kind is its name), or a switch (kind "switch")."""

    cpu: int
    task: str
    kind: str
    word: str
    values: str
    where: str


def rows(
    space: Space, outcome: Outcome, value: Callable[[int, int], str] = lambda a, v: str(v)
) -> tuple[list[Row], Outcome]:
    """Every row of an execution, and how it ended this time, with its history. value(a, v): a value in a word, for
    people.
    """
    found: list[Row] = []
    history = hashlib.blake2b(digest_size=8)
    state = {"last": None}

    def log(task, kind: str, a: int, old: int, new: int) -> None:
        if kind.startswith("flush") or a in space.shared or ~a in space.shared:
            history.update(f"{task.id} {task.cpu} {kind} {a} {old} {new}\n".encode())
            values = value(a, new) if old == new else f"{value(a, old)} -> {value(a, new)}"
            found.append(
                Row(task.cpu, task.name, kind, space.name_of(a), values, "" if kind.startswith("flush") else _where())
            )

    def on_switch(flow) -> None:
        last = state["last"]
        if last is not None and last is not flow:
            found.append(Row(-1, flow.name, "switch", "", "", why_switched(space, last)))
        state["last"] = flow

    strategy = Follow(outcome.deviations)
    strategy.begin()
    space.log, space.on_switch = log, on_switch
    try:
        again = space.execute(strategy.pick)
    finally:
        space.log = space.on_switch = None
    return found, again._replace(history=history.hexdigest())


def why_switched(space: Space, last) -> str:
    """Why the flow that ran last does not go on."""
    if getattr(last, "done", False):
        return f"{last.name} has ended"
    if getattr(last, "watch", None) is not None:
        return (
            f"{last.name} waits for {space.name_of(next(reversed(last.watch)))}" if last.watch else f"{last.name} waits"
        )
    if hasattr(last, "step"):
        return f"after the {last.name}"
    return f"{last.name} is preempted"


def _where() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if "/stress/explore/" not in name and not name.endswith(PLUMBING):
            path = Path(name)
            short = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
            return f"{frame.f_code.co_name} {short}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def render(found: list[Row], outcome: Outcome, cpus: int) -> str:
    """The rows as text, a column per CPU, and what went wrong."""
    used = sorted({row.cpu for row in found if row.cpu >= 0}) or list(range(cpus))
    lines = ["".join(f"cpu{cpu}".ljust(WIDTH) for cpu in used).rstrip()]
    for row in found:
        if row.kind == "switch":
            lines.append(f"-- {row.where}: {row.task} goes on")
            continue
        left = " " * (WIDTH * used.index(row.cpu))
        lines.append(f"{left}{row.kind} {row.word} {row.values}".rstrip())
        if row.where:
            lines.append(f"{left}    {row.where}")
    lines.append(f"** {outcome.kind}: {outcome.text}")
    return "\n".join(lines)
