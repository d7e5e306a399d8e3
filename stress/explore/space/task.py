"""A task: one flow of control that the explorer steps, as a Machine of the interpreted engine.

Operations on *shared* words are scheduling points: the scheduler is asked before each. A word is shared
when one task writes it and another one touches it, in any execution seen so far; operations on all other
words commute with everything that other tasks do, so a switch before them would show nothing that a
switch before the next shared one does not. Three kinds of operations on shared words commute likewise
and are no points (Lipton, "Reduction", 1975): on words that in every execution so far were touched only
with one and the same lock held, interrupts off counting as the CPU's own lock (Savage et al., "Eraser",
1997); and releases of a lock. What is shared and what protected is learnt while exploring, and a search
starts again when it learns something (see `stress.explore.search`).

The end of a cache or of a page concerns all of its words. So the first operation on something that
another task may bring to its end is a point too, if the task has done anything visible since the last
one; and what is done to free memory (by the page allocator, say) does not make a word shared for those
who use it while it lives. The words of interrupts and grace periods are no points (`quiet`): they are how
this machine models them, and that they are taken at any point is modelled by tasks of their own.

`h` is the hash of all a task has read from shared words. Tasks are deterministic, so it identifies the
task's local state, which Python does not let us see.

TSO: stores to shared words, and the unlocked per-CPU compare-and-swap, enter the CPU's store buffer;
loads look there first; locked operations and smp_mb empty it, smp_rmb and smp_wmb do nothing, as on x86.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from greenlet import greenlet

from shm.machine import Machine
from stress.explore.space.bodies import Unwound, run_bodies
from stress.explore.space.violation import OWNER

MINUS_ONE = 0.5  # stands for -1 in hashes, where CPython cannot tell that from -2: no word holds it


class TaskSpace(Protocol):
    """What a task needs of the space it lives in; `Space` is one. Read on every operation, so plain attributes."""

    mem: list[int]
    features: frozenset[str]
    kernel: str
    guard: Any  # looks at operations on words that end, None without
    tso: bool
    crowded_preempt: bool  # tasks of one CPU preempt each other
    buffers: list[deque[tuple[int, int]]]
    shared: set[int]
    protected: dict[int, frozenset[int]]
    mortal: set[int]
    locks: frozenset[int]
    quiet: set[int]
    read: list[int]
    wrote: list[int]
    operations: int
    regular: bool
    last: Any
    log: Callable[..., None] | None
    exempt: frozenset[int]
    most: int
    clocks: Any  # `Clocks` where data races are looked for

    def decide(self, task: Any, on: bool) -> Any: ...
    def switch(self, task: Any) -> None: ...
    def wait(self, task: Any) -> None: ...
    def drain(self, cpu: int) -> None: ...
    def write(self, a: int, v: int) -> None: ...
    def touch(self, task: Any, a: int, key: int, write: bool) -> None: ...
    def still_protected(self, task: Any, key: int) -> bool: ...
    def endless(self, task: Any) -> None: ...
    def preemptible(self, cpu: int) -> bool: ...
    def name_of(self, a: int) -> str: ...


class Task(Machine):
    """See the module's text. id: its place in the space; n: decisions it has asked for in this execution."""

    __slots__ = (
        "space", "id", "bit", "name", "home", "body", "daemon", "interrupt",
        "n", "h", "seen", "own", "seen_guarded", "own_guarded", "reads", "watch",
        "done", "active", "greenlet", "buffer", "moved", "held", "stale", "asleep", "used", "midway",
    )  # fmt: skip

    def __init__(
        self, space: TaskSpace, number: int, name: str, cpu: int, body: Callable, daemon: bool, interrupt: bool
    ) -> None:
        super().__init__(space.mem, cpu, space.features, space.kernel)
        self.space, self.id, self.bit, self.name = space, number, 1 << number, name
        self.home, self.body, self.daemon, self.interrupt = cpu, body, daemon, interrupt
        self.seen: set[int] = set()  # words it may read without asking, in all executions
        self.own: set[int] = set()  # and write
        self.seen_guarded: set[int] = set()  # the same, of guarded words, by key (see Space.touch)
        self.own_guarded: set[int] = set()
        self.used = True
        self.greenlet: greenlet  # of `make_ready`, kept from execution to execution: making one costs more than that
        self.midway = False
        self.begin()

    def begin(self) -> None:
        """Back to the state before the first step; nothing to do for an interrupt that did not come."""
        if not self.used:
            return
        self.used = not self.interrupt
        self.n = self.h = 0
        self.reads: dict[int, int] = {}  # shared words read since the last turn of a wait, and their values
        self.watch: dict[int, int] | None = None  # waits until one of these has another value
        self.done = False
        self.active = False
        self.asleep = False  # waits for a mutex: a CPU that has nothing else to do is quiescent
        self.held: frozenset[int] = frozenset()  # locks
        self.stale = True  # has done something visible since it last asked before touching what may end
        self.moved = 0  # its decision's number when it was migrated last
        if self.cpu != self.home:
            self.move_to(self.home)
        self.buffer = self.space.buffers[self.home]

    def start(self) -> None:
        """Make it ready to be switched to."""
        self.used = True
        self.done = False
        self.active = True
        self.h = hash((self.h, 1))
        self.midway = True

    def make_ready(self) -> None:
        """Before the first execution, by the hub: a greenlet is made, and waits."""
        self.greenlet = greenlet(run_bodies)
        self.greenlet.switch()

    def unwind(self) -> None:
        """Let go of a body that will not be finished."""
        self.greenlet.throw(Unwound)

    def run(self) -> None:
        """From start to end."""
        self.body(self)
        self.done = True
        self.active = False
        self.watch = None
        self.h = hash((self.h, 2))
        self.space.last = self
        self.space.regular = False

    def _point(self) -> None:
        space = self.space
        chosen = space.decide(self, True)
        if chosen is not self:
            space.switch(chosen)

    def _enter(self, a: int, write: bool, release: bool = False) -> bool:
        """Before an operation on a word without a fast path: ask the scheduler if need be. True: the word is shared."""
        space, guard = self.space, self.space.guard
        key, mortal = a, False
        space.operations += 1
        if space.operations > space.most:
            space.endless(self)
        if guard is not None:
            owner = guard.owner(a)
            if owner is not None:
                if guard.dead(self, a, owner):
                    key = ~a
                mortal = self.stale and owner in space.mortal
        shared = space.shared
        if key in shared:
            if release or a in space.quiet or (key in space.protected and space.still_protected(self, key)):
                if mortal:
                    self._stale_point()
            else:
                chosen = space.decide(self, True)
                if chosen is not self:
                    space.switch(chosen)
                self.stale = True
        else:
            if mortal:
                self._stale_point()
            if key not in (self.own_guarded if write else self.seen_guarded):
                space.touch(self, a, key, write)
        if guard is not None:
            if owner in space.mortal:
                space.read.append(OWNER + owner)
            guard.check(self, a)
        if a in shared or ~a in shared:
            if write:
                space.wrote.append(a)
            else:
                space.read.append(a)
            return True
        return False

    def _stale_point(self) -> None:
        self._point()
        self.stale = False
        self.h = hash((self.h, 6))

    # Operations. The first line of load and store is the fast path: a word that concerns nobody else.

    def load(self, a: int) -> int:
        if a in self.seen:
            return self.mem[a]
        shared = self._enter(a, False)
        value = self.peek(a) if self.buffer else self.mem[a]
        if shared:
            self.h = hash((self.h, value if value != -1 else MINUS_ONE))
            self.reads[a] = value
        if self.space.log is not None:
            self.space.log(self, "load", a, value, value)
        return value

    def store(self, a: int, v: int) -> None:
        if a in self.own:
            self.mem[a] = v
            return
        space = self.space
        release = v == 0 and a in space.locks
        if self._enter(a, True, release):
            self.h = hash((self.h, a))
            if release:
                self.held -= {a}
            if space.tso and a in space.quiet:
                space.drain(self.cpu)
            elif space.tso and a not in space.protected:
                if space.log is not None:
                    space.log(self, "store, buffered", a, self.mem[a], v)
                self.buffer.append((a, v))
                space.regular = False
                return
        if space.log is not None:
            space.log(self, "store", a, self.mem[a], v)
        space.write(a, v)

    # Marked accesses are explored as plain ones; what may race matters to `stress.explore.space.clocks`.
    read_once = load_acquire = load
    write_once = store_release = store

    def cmpxchg(self, a: int, old: int, new: int) -> int:
        seen = self._locked(a)
        if self.space.log is not None:
            self.space.log(self, "cmpxchg" if seen == old else "cmpxchg, failed", a, seen, new if seen == old else seen)
        if seen == old:
            self.space.write(a, new)
            if a in self.space.locks:
                self.held |= {a}
        return seen

    def this_cpu_cmpxchg(self, a: int, old: int, new: int) -> int:
        space = self.space
        if not space.tso or a in self.own:
            return self.cmpxchg(a, old, new)
        shared = self._enter(a, True)
        seen = self.peek(a)
        if shared:
            self.h = hash((self.h, seen if seen != -1 else MINUS_ONE))
            self.reads[a] = seen
        if space.log is not None:
            space.log(
                self,
                "this_cpu_cmpxchg" + (", buffered" if seen == old else ", failed"),
                a,
                seen,
                new if seen == old else seen,
            )
        if seen == old:
            if shared and a not in space.protected:
                self.buffer.append((a, new))
                space.regular = False
            else:
                space.write(a, new)
        return seen

    def xchg(self, a: int, new: int) -> int:
        return self._modified("xchg", a, self._locked(a), new)

    def fetch_add(self, a: int, delta: int) -> int:
        seen = self._locked(a)
        return self._modified("fetch_add", a, seen, seen + delta)

    def fetch_or(self, a: int, bits: int) -> int:
        seen = self._locked(a)
        return self._modified("fetch_or", a, seen, seen | bits)

    def fetch_and(self, a: int, bits: int) -> int:
        seen = self._locked(a)
        return self._modified("fetch_and", a, seen, seen & bits)

    def _modified(self, name: str, a: int, seen: int, new: int) -> int:
        """The write half of a locked operation; returns what was there."""
        if self.space.log is not None:
            self.space.log(self, name, a, seen, new)
        self.space.write(a, new)
        return seen

    def _locked(self, a: int) -> int:
        """The read half of a locked operation: a full barrier."""
        if a in self.own and not self.buffer:
            return self.mem[a]
        shared = self._enter(a, True)
        if self.buffer:
            if not shared:
                self._point()
            self.space.drain(self.cpu)
        seen = self.mem[a]
        if shared:
            self.h = hash((self.h, seen if seen != -1 else MINUS_ONE))
            self.reads[a] = seen
        return seen

    def fence(self) -> None:
        if self.buffer:
            self._barrier()

    def _barrier(self) -> None:
        self._point()
        self.space.drain(self.cpu)
        self.h = hash((self.h, 3))

    def about_to_disable(self) -> None:
        """The last moment at which another task of this CPU may come; the next point may lie behind, where none may."""
        space = self.space
        if space.crowded_preempt and self.stale and not self.interrupt and space.preemptible(self.cpu):
            self._stale_point()

    def relax(self) -> None:
        """A turn of a wait: no step until a word that the last turn read has changed."""
        self.watch, self.reads = self.reads, {}
        self.space.read.extend(self.watch)
        self.h = hash((self.h, 4))
        self.space.wait(self)
        self.h = hash((self.h, 7))  # it goes on even if the word changes back
        self.space.read.extend(self.watch)  # that it may go on depends on all of them
        self.watch = None

    def sleep(self) -> None:
        self.asleep = True
        self.relax()
        self.asleep = False

    def changed(self) -> bool:
        """Has a word that the task waits for another value than it saw?"""
        watch = self.watch or {}
        if self.buffer:
            return any(self.peek(a) != v for a, v in watch.items())
        mem = self.mem
        for a, v in watch.items():
            if mem[a] != v:
                return True
        return False

    def peek(self, a: int) -> int:
        """What this CPU reads: the newest entry of its store buffer, or memory."""
        for address, value in reversed(self.buffer):
            if address == a:
                return value
        return self.mem[a]

    def migrate(self, cpu: int) -> None:
        """Go on as another CPU; the scheduler saw to it that interrupts and preemption are on."""
        self.move_to(cpu)
        self.buffer = self.space.buffers[cpu]
        self.h = hash((self.h, 5, cpu))
        self.moved = self.n

    def cycles(self) -> int:
        """Time stands still while interleavings are explored."""
        return 0

    def at(self, cpu: int) -> Machine:
        raise NotImplementedError("the explorer runs every CPU itself; no code may act as another one")
