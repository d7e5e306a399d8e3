"""A schedule replayed with every access noted: who, in which function and line, on which word, from what to what, which
write a read saw, the locks held, the store buffers, and the state of the world after it.

As in `stress.explore.found.trace` only words that others touch are noted; what a step does to others is part of the
state after it, that is: when the next step begins.
"""

from __future__ import annotations

import linecache
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from stress.explore.found.trace import PLUMBING, ROOT, why_switched
from stress.explore.page.state import State
from stress.explore.space.space import Outcome, Space

DEEPEST = 6  # frames of a stack that are kept
MOST = 3000  # steps that are noted: an endless loop makes many more
FAILED = "failed"


class Where(msgspec.Struct, frozen=True):
    """A line of a function. file: from the project's root. text: the line itself."""

    function: str
    file: str
    line: int
    text: str


class Buffered(msgspec.Struct, frozen=True):
    """An entry of a store buffer; step: that put it there."""

    word: str
    value: str
    step: int


class Step(msgspec.Struct):
    """An access (kind is its name), or a switch: kind "switch", `text` says why, `task` goes on.

    old, new: the word's value before and after, for people. stack: innermost first. saw: the step whose write this one
    read, -1: none in this execution. by: of a flush, the step that stored. held: locks, as (name, task).
    irq: CPUs whose interrupts are off. posted: CPUs that an interrupt is on its way to. state: number of the state
    after it. buffers: of each CPU, after it.
    """

    cpu: int
    task: str
    kind: str
    word: str = ""
    old: str = ""
    new: str = ""
    text: str = ""
    stack: tuple[Where, ...] = ()
    writes: bool = False
    preempts: bool = False
    saw: int = -1
    by: int = -1
    ipi: bool = False
    held: tuple[tuple[str, str], ...] = ()
    irq: tuple[int, ...] = ()
    posted: tuple[int, ...] = ()
    buffers: tuple[tuple[Buffered, ...], ...] = ()
    state: int = -1


class LockHeld(msgspec.Struct):
    """A lock from the step that took it to the one that let it go (-1: it never did)."""

    name: str
    cpu: int
    task: str
    first: int
    last: int = -1


class Execution(msgspec.Struct):
    """One execution. cpus: those that did anything. kind, text: what went wrong, "" for nothing."""

    kind: str
    text: str
    preemptions: int
    decisions: int
    cpus: list[int]
    steps: list[Step]
    locks: list[LockHeld]
    states: list[State]
    preempting: list[tuple[int, int]]  # the deviations that were preemptions
    left_out: int = 0  # steps after the last one that is noted


class _Recorder:
    """Notes what a space says while it executes."""

    def __init__(self, space: Space, value: Callable[[int, int], str], look: Callable[[], State]) -> None:
        self.space, self.value, self.look = space, value, look
        self.steps: list[Step] = []
        self.locks: list[LockHeld] = []
        self.states: list[State] = []
        self.numbers: dict[State, int] = {}
        self.open: dict[int, LockHeld] = {}
        self.written: dict[int, int] = {}  # word -> the step that wrote it last
        self.pending: list[deque[tuple[int, int, int]]] = [deque() for _ in range(space.cpus)]  # word, value, step
        self.preempting: list[tuple[int, int]] = []
        self.last: Any = None
        self.closed = self.left_out = 0

    def _full(self) -> bool:
        self.left_out += len(self.steps) >= MOST
        return self.left_out > 0

    def close(self) -> None:
        """The steps before now are over: what do they leave?"""
        space = self.space
        if self.closed == len(self.steps):
            return
        state = self.look()
        number = self.numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
        # A task lets go of a lock before it says so: what it has not said is held still.
        held = tuple(
            sorted(
                {(space.name_of(a), t.name) for t in (*space.bodies, *space.interrupts) for a in t.held}
                | {(lock.name, lock.task) for lock in self.open.values()}
            )
        )
        irq = tuple(c for c, area in enumerate(space.areas) if not space.preemptible(c))
        posted = tuple(c for c, area in enumerate(sorted(space.services)) if space.mem[area])
        buffers = tuple(
            tuple(Buffered(space.name_of(a), self.value(a, v), step) for a, v, step in buffer)
            for buffer in self.pending
        )
        for step in self.steps[self.closed :]:
            step.state, step.held, step.irq, step.posted, step.buffers = number, held, irq, posted, buffers
        self.closed = len(self.steps)

    def log(self, task, kind: str, a: int, old: int, new: int) -> None:
        """`Space.log`: called before the operation takes effect."""
        space = self.space
        flush = kind.startswith("flush")
        if not (flush or a in space.shared or ~a in space.shared):
            return
        if not self.left_out:
            self.close()
        if self._full():
            return
        number = len(self.steps)
        cpu = int(kind.removeprefix("flush of cpu")) if flush else task.cpu
        step = Step(
            cpu, task.name, kind, space.name_of(a), self.value(a, old), self.value(a, new),
            stack=() if flush else _stack(), ipi=a in space.services,
            writes=flush or not (kind.startswith("load") or kind.endswith(FAILED)),
        )  # fmt: skip
        self.steps.append(step)
        buffered = [entry for entry in self.pending[cpu] if entry[0] == a]
        if flush and buffered:
            step.by = buffered[0][2]
            self.pending[cpu].remove(buffered[0])
        elif not flush and not kind.startswith("store"):
            step.saw = buffered[-1][2] if buffered else self.written.get(a, -1)
        if kind.endswith("buffered") and (a in space.shared or ~a in space.shared) and a not in space.protected:
            self.pending[cpu].append((a, new, number))
        elif step.writes:
            self.written[a] = number
        if a in space.locks and step.writes:
            self._lock(task, a, new, number)

    def _lock(self, task, a: int, new: int, number: int) -> None:
        if new:
            self.open[a] = LockHeld(self.space.name_of(a), task.cpu, task.name, number)
            self.locks.append(self.open[a])
        elif a in self.open:
            self.open.pop(a).last = number

    def on_switch(self, flow) -> None:
        """`Space.on_switch`."""
        last, self.last = self.last, flow
        if last is None or last is flow:
            return
        if not self.left_out:
            self.close()
        if self._full():
            return
        why = why_switched(self.space, last)
        preempted = why.endswith("is preempted") and not hasattr(flow, "step")  # a flush takes nothing from anybody
        self.steps.append(Step(-1, flow.name, "switch", text=why, preempts=preempted))

    def note(self, pick: Callable) -> Callable:
        """A strategy's `pick`, whose preemptions are noted."""

        def noted(task, options, on):
            chosen = pick(task, options, on)
            if on and chosen is not task:
                self.preempting.append((task.id, task.n))
            return chosen

        return noted


def record(
    space: Space,
    pick: Callable,
    value: Callable[[int, int], str],
    look: Callable[[], State],
) -> Execution:
    """Execute once under a strategy and note all of it.

    pick: a strategy's that has begun. value(a, v): a value in a word, for people. look(): the state of memory now.
    """
    recorder = _Recorder(space, value, look)
    space.log, space.on_switch = recorder.log, recorder.on_switch
    try:
        outcome: Outcome = space.execute(recorder.note(pick))
    finally:
        space.log = space.on_switch = None
    if not recorder.left_out:
        recorder.close()
    return Execution(
        outcome.kind, outcome.text, outcome.preemptions, outcome.points,
        sorted({step.cpu for step in recorder.steps if step.cpu >= 0}),
        recorder.steps, recorder.locks, recorder.states, recorder.preempting,
        recorder.left_out,
    )  # fmt: skip


def _stack() -> tuple[Where, ...]:
    """The code that asked for the access, innermost first."""
    frame: FrameType | None = sys._getframe(2)
    found: list[Where] = []
    while frame is not None and len(found) < DEEPEST:
        name = frame.f_code.co_filename
        if "/stress/explore/" in name:
            if found:
                break  # where the task's body begins
        elif not name.endswith(PLUMBING):
            path = Path(name)
            short = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
            text = linecache.getline(name, frame.f_lineno).strip()
            found.append(Where(frame.f_code.co_name, short, frame.f_lineno, text))
        frame = frame.f_back
    return tuple(found)
