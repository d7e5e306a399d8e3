"""The beginning of a point as a trace for the Perfetto viewer: what each CPU did, operation by operation.

A point is played once more, an operation at a time, and the tables of virtual time are compared before and after. Of a
wait for a lock its length is known, not where inside its operation it was: it is drawn from the operation's beginning
on, one wait after another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from scenarios.tape import C_BITS, C_SHIFT, OP_ALLOC, OP_FREE, OP_KFREE_RCU, OP_MASK, OP_NAMES
from shm.locks import LOCK_CLASSES
from shm.virtual.words import LOCK_WAIT, WHATS, WHERES
from stress.play.virtual import VirtualTime
from stress.show.trace_events import Trace
from stress.simulate.point import Job, begun

MOST = 20_000  # steps of a point that are traced
PS_PER_US = 1e6
NAMES = (*WHATS, *(f"waits for {name}" for name in LOCK_CLASSES))


def encode(jobs: Sequence[Job], about: Mapping[str, str], most: int = MOST) -> bytes:
    """The first steps of each point, a process each."""
    trace = Trace()
    for number, job in enumerate(jobs, 1):
        trace.process(number, f"{job.design} on {job.cpus} CPUs")
        for cpu in range(job.cpus + 1):
            trace.row(number, cpu, f"cpu{cpu}" if cpu < job.cpus else "kworker")
        with begun(dataclasses.replace(job, step="operation")) as (arena, virtual, _):
            _Point(trace, number, virtual, arena.plays()).play(most)
    return trace.encode(about)


class _Point:
    """A point that is played: what each CPU's clock and table said when it was looked at last."""

    def __init__(self, trace: Trace, pid: int, virtual: VirtualTime, plays: np.ndarray) -> None:
        self.trace, self.pid, self.virtual, self.plays = trace, pid, virtual, plays
        self.spent, self.clocks = virtual.spent(), virtual.vcpus()["clock"]
        self.seen, self.looked = self.spent.copy(), self.clocks.copy()
        self.filled: dict[int, tuple[int, float]] = {}  # slot -> the row and the time of its allocation

    def play(self, most: int) -> None:
        words, tapes = self.virtual.arena.words, self.plays["tape"]
        workers = len(tapes)
        for _ in range(most):
            cpu = self.virtual.next_cpu()
            if cpu < 0:
                cpu = workers
            # What others did to it since: interrupts, or it was woken.
            self._since(cpu)
            at = int(tapes[cpu]) if cpu < workers else 0
            op = int(words[at]) if cpu < workers else 0
            if not self.virtual.step():
                break
            if cpu == workers:
                self._slice(cpu, "work")
            elif int(tapes[cpu]) == at:
                self._since(cpu)  # it waits for another CPU, or has ended
            else:
                self._operation(cpu, op)

    def _operation(self, cpu: int, op: int) -> None:
        code, slot = op & OP_MASK, op >> C_SHIFT & (1 << C_BITS) - 1
        start = int(self.looked[cpu]) / PS_PER_US
        if not self._slice(cpu, OP_NAMES[code]):
            return
        if code == OP_ALLOC:
            self.filled[slot] = cpu, start
        elif code in (OP_FREE, OP_KFREE_RCU):
            source = self.filled.pop(slot, (cpu, start))
            if source[0] != cpu:
                self.trace.arrow(self.pid, "object", source, (cpu, start))

    def _since(self, cpu: int) -> None:
        """Time that went by without an operation of this CPU's own."""
        spent = (self.spent[cpu] - self.seen[cpu]).sum(axis=0)
        if spent.any():
            self._slice(cpu, NAMES[int(spent.argmax())])

    def _slice(self, cpu: int, name: str) -> bool:
        """What this CPU did from when it was looked at until now; False when it took no time."""
        begin, end = int(self.looked[cpu]), int(self.clocks[cpu])
        spent = self.spent[cpu] - self.seen[cpu]
        self.looked[cpu], self.seen[cpu] = end, self.spent[cpu]
        if end <= begin:
            return False
        at = begin / PS_PER_US
        self.trace.slice(self.pid, cpu, name, at, (end - begin) / PS_PER_US, dict(_named(spent)))
        waits = spent.sum(axis=0)[LOCK_WAIT:]
        for kind in np.flatnonzero(waits).tolist():
            long = min(int(waits[kind]), end - begin) / PS_PER_US
            self.trace.slice(self.pid, cpu, NAMES[LOCK_WAIT + kind], at, long)
            at += long
        return True


def _named(spent: np.ndarray) -> Iterator[tuple[str, float]]:
    """ns by where and what."""
    for where, what in np.argwhere(spent).tolist():
        yield f"{WHERES[where]}: {NAMES[what]}, ns", int(spent[where, what]) / 1000
