"""What tasks share: which words, protected by which locks, and what may come to its end.

Learnt while exploring and never forgotten: an execution that learns something lacked scheduling points
(`learned`). See `stress.explore.space.task` for what follows from it.
"""

from __future__ import annotations

from shm.machine import CPU
from stress.explore.space.task import MINUS_ONE, Task
from stress.explore.space.violation import MAX_OPERATIONS, OWNER, Violation


class Sharing:
    """The words of a space, and what is known of them. guard and locks: see `Space`, which sets up what is declared
    here.
    """

    areas: list[int]
    services: set[int]
    exempt: frozenset[int]
    bodies: list[Task]
    interrupts: list[Task]

    fast = True  # operations on words that concern nobody else pass without a look, and are not counted
    most = MAX_OPERATIONS  # of those that are counted, in an execution

    def __init__(self, mem: list[int], guard, locks: frozenset[int]) -> None:
        self.mem, self.guard, self.locks = mem, guard, locks
        self.shared: set[int] = set()
        self.protected: dict[int, frozenset[int]] = {}  # shared words -> locks held whenever they were touched
        self.mortal: set = set()  # owners of words (see the guard) that one task touches and another one ends
        self._touched: dict = {}  # owner -> tasks that touch it
        self._ended: dict = {}  # owner -> tasks that end it
        self._readers: dict[int, int] = {}
        self._writers: dict[int, int] = {}
        self._base: dict[int, int] = {}  # every word ever written, and its value at the start
        self.digest = self.operations = 0
        self.read: list[int] = []
        self.wrote: list[int] = []
        self.learned = False
        self.regular = True

    def written(self) -> list[int]:
        """Every word that some execution has written; all others are as they were at the start."""
        return list(self._base)

    def touch(self, task: Task, a: int, key: int, write: bool) -> None:
        """First operation of a task on a word (or one that is always looked at): is the word shared?

        key: the word while its owner lives, ~a while it is free memory.
        """
        if write and a not in self._base:
            self._base[a] = self.mem[a]
        guarded = self.guard is not None and self.guard.guards(a)
        if guarded:
            self.touch_owner(task, self.guard.owner(a))
        if a not in self.exempt:
            readers, writers = self._readers, self._writers
            if write:
                writers[key] = writers.get(key, 0) | task.bit
            else:
                readers[key] = readers.get(key, 0) | task.bit
            wrote = writers.get(key, 0)
            both = wrote | readers.get(key, 0)
            if wrote and both & both - 1:
                self.share(a, key, self._held(task))
                return
        if not self.fast:
            return
        if guarded:
            task.seen_guarded.add(key)
            if write:
                task.own_guarded.add(key)
        else:
            task.seen.add(a)
            if write:
                task.own.add(a)

    def endless(self, task: Task) -> None:
        """Too many operations for an execution that ends."""
        raise Violation(
            "endless loop",
            f"{task.name} has made {self.most} operations: a cycle in a list, or a wait without cpu_relax?",
        )

    def _held(self, task: Task) -> frozenset[int]:
        if task.interrupt or self.mem[self.areas[task.cpu] + CPU.irq]:
            return task.held | {-1 - task.cpu}
        return task.held

    def still_protected(self, task: Task, key: int) -> bool:
        """Is a lock held that always was when this word was touched?"""
        held = self.protected[key] & self._held(task)
        if held:
            self.protected[key] = held
            return True
        del self.protected[key]
        self.learned = True
        return False

    def share(self, a: int, key: int, held: frozenset[int]) -> None:
        """From now on others are affected by operations on this word."""
        self.shared.add(key)
        if held and a not in self.locks:
            self.protected[key] = held
        self.learned = True
        self._base.setdefault(a, self.mem[a])
        self.forget(a, key)

    def touch_owner(self, task: Task, owner) -> None:
        """A task touches a word of what may come to its end."""
        self._touched[owner] = touched = self._touched.get(owner, 0) | task.bit
        ended = self._ended.get(owner, 0)
        if ended and (ended | touched) & (ended | touched) - 1:
            self._dies(owner)

    def end_owner(self, task: Task, owner) -> None:
        """A task brings it to its end."""
        self.wrote.append(OWNER + owner)
        self._ended[owner] = ended = self._ended.get(owner, 0) | task.bit
        touched = self._touched.get(owner, 0)
        if (ended | touched) & (ended | touched) - 1:
            self._dies(owner)

    def _dies(self, owner) -> None:
        if owner not in self.mortal:
            self.mortal.add(owner)
            self.learned = True

    def forget(self, a: int, key: int) -> None:
        """No task has a fast path to this word any more."""
        for task in (*self.bodies, *self.interrupts):
            task.seen.discard(a)
            task.own.discard(a)
            task.seen_guarded.discard(key)
            task.own_guarded.discard(key)

    def write(self, a: int, v: int) -> None:
        """Change memory."""
        mem = self.mem
        old = mem[a]
        if a in self.shared or ~a in self.shared:
            if a not in self._base:
                self._base[a] = old
            self.digest ^= hash((a, old if old != -1 else MINUS_ONE)) ^ hash((a, v if v != -1 else MINUS_ONE))
            if a in self.services:
                self.regular = False
        mem[a] = v
        if self.guard is not None:
            self.guard.written(a, old, v)
