"""Data races by vector clocks: two accesses to one word, one of them a write, one of them plain, in no order.

Order comes from marked accesses: what a marked write (write_once, store_release, any atomic) published is
known to whoever reads that word by a marked read (read_once, load_acquire, any atomic) afterwards. That is
what x86 gives them; kernel code for weaker machines needs more, which this does not check. A clock belongs
to a CPU, not to a task: what one CPU does, interrupts included, is in order, and a task that migrates takes
what its old CPU knew to its new one.

A race does not have to happen: the clocks tell that two accesses *could* have met, in whichever order they
came (Flanagan, Freund, "FastTrack", PLDI 2009, with all readers of a word kept). So random executions find
races well, and they are looked for in those only (`stress.explore.search.search.races`): depth-first search goes
without clocks, which are no part of the states that it tells apart.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import NamedTuple

from stress.explore.space.task import Task
from stress.explore.space.violation import Violation

_SELF = ("/stress/explore/", "/shm/atomics.py")


class _Access(NamedTuple):
    cpu: int
    time: int  # of the CPU's own clock
    what: str
    where: tuple


class Clocks:
    """What each CPU knows of the others, and who touched which word last. cpus: how many."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.begin()

    def begin(self) -> None:
        """An execution begins: nobody knows anything of anybody."""
        self.now = [[0] * self.cpus for _ in range(self.cpus)]
        for cpu in range(self.cpus):
            self.now[cpu][cpu] = 1
        self.published: dict[int, list[int]] = {}
        self.writes: dict[tuple[int, bool], _Access] = {}  # (word, plain) -> the last one
        self.reads: dict[tuple[int, bool], dict[int, _Access]] = {}  # and each CPU's last read

    def acquire(self, cpu: int, a: int) -> None:
        """A CPU learns what was published by word `a`."""
        known = self.published.get(a)
        if known is not None:
            self.now[cpu] = [max(mine, theirs) for mine, theirs in zip(self.now[cpu], known)]

    def release(self, cpu: int, a: int, add: bool) -> None:
        """A CPU publishes what it knows; `add`: to what the word published before, as an atomic does."""
        known = self.published.get(a) if add else None
        mine = self.now[cpu]
        self.published[a] = [max(m, k) for m, k in zip(mine, known)] if known is not None else list(mine)
        mine[cpu] += 1

    def hand_over(self, old: int, new: int) -> None:
        """A task goes from one CPU to another."""
        self.now[new] = [max(a, b) for a, b in zip(self.now[old], self.now[new])]
        self.now[old][old] += 1

    def read(self, cpu: int, a: int, plain: bool, what: str) -> _Access | None:
        """Note a read; a write that it races with, if there is one."""
        access = _Access(cpu, self.now[cpu][cpu], what, _where())
        self.reads.setdefault((a, plain), {})[cpu] = access
        return self._unordered(cpu, [self.writes.get((a, True)), self.writes.get((a, False)) if plain else None])

    def write(self, cpu: int, a: int, plain: bool, what: str) -> _Access | None:
        """Note a write; an access that it races with, if there is one."""
        others = [self.writes.get((a, True)), *self.reads.get((a, True), {}).values()]
        if plain:
            others += [self.writes.get((a, False)), *self.reads.get((a, False), {}).values()]
        self.writes[a, plain] = _Access(cpu, self.now[cpu][cpu], what, _where())
        return self._unordered(cpu, others)

    def _unordered(self, cpu: int, others: list[_Access | None]) -> _Access | None:
        mine = self.now[cpu]
        for other in others:
            if other is not None and other.cpu != cpu and other.time > mine[other.cpu]:
                return other
        return None


def _where() -> tuple:
    """The code that asked for the access: up to three (function, line), innermost first."""
    frame: FrameType | None = sys._getframe(2)
    found: list[tuple[str, int]] = []
    while frame is not None and len(found) < 3:
        name = frame.f_code.co_filename
        if not any(part in name for part in _SELF):
            found.append((frame.f_code.co_name, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


class ClockedTask(Task):
    """A task whose accesses are looked at. `space.clocks` is there, and begins with every execution."""

    __slots__ = ()

    def load(self, a: int) -> int:
        value = super().load(a)
        self._note(a, "plain load", plain=True)
        return value

    def store(self, a: int, v: int) -> None:
        super().store(a, v)
        self._note(a, "plain store", plain=True, write=True)

    def read_once(self, a: int) -> int:
        value = super().load(a)
        self._note(a, "marked load")
        return value

    load_acquire = read_once

    def write_once(self, a: int, v: int) -> None:
        super().store(a, v)
        self._note(a, "marked store", write=True)

    store_release = write_once

    def cmpxchg(self, a: int, old: int, new: int) -> int:
        seen = super().cmpxchg(a, old, new)
        self._note(a, "cmpxchg", write=seen == old, atomic=True)
        return seen

    def this_cpu_cmpxchg(self, a: int, old: int, new: int) -> int:
        if not self.space.tso or a in self.own:
            return self.cmpxchg(a, old, new)
        seen = super().this_cpu_cmpxchg(a, old, new)
        self._note(a, "this_cpu_cmpxchg", write=seen == old, atomic=True)
        return seen

    def _modified(self, name: str, a: int, seen: int, new: int) -> int:
        super()._modified(name, a, seen, new)
        self._note(a, name, write=True, atomic=True)
        return seen

    def migrate(self, cpu: int) -> None:
        old = self.cpu
        super().migrate(cpu)
        self.space.clocks.hand_over(old, cpu)

    def _note(self, a: int, what: str, *, plain: bool = False, write: bool = False, atomic: bool = False) -> None:
        space, cpu = self.space, self.cpu
        if a in space.exempt:
            return
        clocks = space.clocks
        what = f"{self.name}'s {what}"
        if not plain and (atomic or not write):
            clocks.acquire(cpu, a)
        other = (clocks.write if write else clocks.read)(cpu, a, plain, what)
        if other is not None:
            mine = f"{what} of {space.name_of(a)} in {_said(_where())}"
            raise Violation("data race", f"{mine} is not ordered with {other.what} in {_said(other.where)}")
        if write and not plain:
            clocks.release(cpu, a, atomic)


def _said(where: tuple) -> str:
    return " < ".join(f"{function}:{line}" for function, line in where)
