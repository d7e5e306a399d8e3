"""The space of interleavings of a scene: memory, tasks, and the scheduler that owns every step.

What is scheduled:

- *bodies*, the tasks of a scene, each on a CPU. Tasks of different CPUs run concurrently; of those on
  one CPU, one runs, and another may preempt it where interrupts and preemption are on (feature PREEMPT)
  or go on while it waits;
- *interrupts*, a handler per CPU: an IPI is taken before any step of the CPU's task at which
  interrupts are on; an idle CPU (or, with PREEMPT, one at a preemptible step: a context switch is a
  quiescent state) also answers grace periods;
- *flushes* of the oldest entry of a CPU's store buffer (TSO);
- *migrations* of a task that may be preempted to a CPU that has nothing to run.

A decision is made before every operation on a shared word, when a task begins to wait, and when one
ends; where tasks of one CPU preempt each other, also before interrupts or preemption go off. Going on with another task
although the current one could run is a *preemption*; everything else is free, a flush or a migration included once it
was switched to. A schedule is the set of its *deviations* from the default (go on; else the first of the enabled):
(task, its decision's number) -> task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from greenlet import getcurrent, greenlet

from shm.machine import CPU, MACHINE, Bug
from stress.explore.space.bodies import over
from stress.explore.space.clocks import ClockedTask, Clocks
from stress.explore.space.scheduler import Scheduler, Step
from stress.explore.space.task import Task
from stress.explore.space.violation import Violation

_MECHANISM = (CPU.service, CPU.qs_done, CPU.ipi_lock, CPU.ipi_func, CPU.ipi_arg, CPU.ipi_pending)


class Pruned(Exception):
    """The strategy knows all that can follow."""


class Body(NamedTuple):
    """A task of a scene. daemon: it may wait for ever. cpus: where it may be migrated to."""

    name: str
    cpu: int
    run: Callable
    daemon: bool = False
    cpus: tuple[int, ...] = ()


class Outcome(NamedTuple):
    """How an execution ended. kind: "" when nothing was wrong, "pruned", or the violation's."""

    kind: str
    text: str
    points: int
    preemptions: int
    deviations: dict[tuple[int, int], int]
    learned: bool  # about shared words: what was explored with fewer of them is not complete
    end: int  # hash of the final state, good within this process and those it forks
    # Digest of the operations on shared words, where rows were asked for (`stress.explore.found.trace`).
    history: str = ""


class Space(Scheduler):
    """See the module's text.

    mem: the words at the start of every execution. guard: looks at each operation on words that it
    guards (`stress.explore.world.guard`). exempt: words that are no memory of the kernel (irq state, the
    laboratory's own bookkeeping): never a scheduling point. locks: words that are locks, 0 meaning free. begin: called
    before each execution; end: called at quiescence, raises Violation. races: look for data races
    (`stress.explore.space.clocks`), which is slower.
    """

    def __init__(
        self,
        mem: list[int],
        bodies: list[Body],
        *,
        features: frozenset[str] = frozenset(),
        kernel: str = "",
        tso: bool = False,
        guard=None,
        exempt: frozenset[int] = frozenset(),
        locks: frozenset[int] = frozenset(),
        begin: Callable[[], None] = lambda: None,
        end: Callable[[Space], None] = lambda space: None,
        races: bool = False,
    ) -> None:
        super().__init__(mem, guard, locks)
        self.features, self.kernel, self.tso = features, kernel, tso
        self.at_begin, self.at_end = begin, end
        self.log: Callable | None = None
        self.on_switch: Callable | None = None
        self.pick: Callable = lambda task, options, on: task if on else options[0]
        self.ends: set[int] = set()  # final states that `at_end` has passed
        self.cpus = mem[MACHINE.nr_cpus]
        self.areas = [mem[MACHINE.percpu_base] + c * mem[MACHINE.percpu_stride] for c in range(self.cpus)]
        self.services = {area + CPU.service for area in self.areas}
        self.quiet = {area + word for area in self.areas for word in _MECHANISM} | {MACHINE.gp_seq}
        self.exempt = exempt | {area + word for area in self.areas for word in (CPU.irq, CPU.preempt)}
        self.buffers: list[deque] = [deque() for _ in range(self.cpus)]
        self.hub: greenlet | None = None  # the greenlet that executes, those of all tasks are its children
        self.failure: BaseException | None = None  # what a task has raised
        self.preempt = "PREEMPT" in features
        self.clocks = Clocks(self.cpus) if races else None
        kind = ClockedTask if races else Task
        self.bodies = [kind(self, i, b.name, b.cpu, b.run, b.daemon, False) for i, b in enumerate(bodies)]
        number = len(bodies)
        self.interrupts = [
            kind(self, number + c, f"interrupt of cpu{c}", c, self._interrupt, True, True) for c in range(self.cpus)
        ]
        number += self.cpus
        self.steps: list[Step] = []
        if tso:
            for c in range(self.cpus):
                buffer = self.buffers[c]
                self.steps.append(
                    Step(number + c, f"flush of cpu{c}", c, partial(bool, buffer), partial(self.flush, c))
                )
            number += self.cpus
        for task, body in zip(self.bodies, bodies, strict=True):
            for cpu in body.cpus:
                self.steps.append(
                    Step(
                        number,
                        f"migration of {task.name} to cpu{cpu}",
                        -1,
                        partial(self._may_migrate, task, cpu),
                        partial(self._migrate, task, cpu),
                    )
                )
                number += 1
        self.flows: list = [*self.bodies, *self.interrupts, *self.steps]
        self.crowded = len({b.cpu for b in bodies}) < len(bodies) or any(b.cpus for b in bodies)
        self.crowded_preempt = self.crowded and self.preempt
        self.boot = Step(-1, "start", -1, lambda: False, lambda: None)

    # One execution.

    def execute(self, pick: Callable) -> Outcome:
        """Run all tasks once under a strategy: `pick(task, options, may_go_on)` names the next of `options`."""
        self.pick = pick
        if self.hub is None:
            self.hub = getcurrent()
            for task in (*self.bodies, *self.interrupts):
                task.make_ready()
        self._reset()
        kind = text = ""
        end = 0
        try:
            chosen = self.decide(self.boot, False)
            while chosen is not None:
                self.switch(chosen)
                if self.failure is not None:
                    raise self.failure
                if self.stuck:
                    break
                chosen = self.decide(self.last, False)
            end = self.key(None)
            self._finish(end)
        except Violation as found:
            kind, text = found.kind, found.text
        except Pruned:
            kind = "pruned"
        except Bug as failed:
            kind, text = "assertion", str(failed)
        except (IndexError, ZeroDivisionError, OverflowError) as wild:
            kind, text = "wild access", f"{type(wild).__name__}: {wild}"
        finally:
            self._unwind()
        if self.learned:
            self.ends.clear()  # they were told apart by less than is known now
        return Outcome(kind, text, self.points, self.preemptions, self.deviations, self.learned, end)

    def _unwind(self) -> None:
        """End the tasks that have not ended; what they still do on their way out is no step of anything."""
        self.failure = None
        # Tasks that unwind ask once more. An attribute hides the method, and costs no other decision anything.
        self.decide = over  # type: ignore[method-assign]  # to hide the method is what it is for
        for task in (*self.bodies, *self.interrupts):
            if task.midway:
                task.unwind()
        del self.decide

    def _reset(self) -> None:
        mem = self.mem
        for a, v in self._base.items():
            mem[a] = v
        for flow in self.flows:
            flow.begin()
        for buffer in self.buffers:
            buffer.clear()
        self.boot.n = 0
        self.running: list[Task | None] = [None] * self.cpus
        self.digest = self.points = self.preemptions = self.operations = 0
        self.deviations: dict[tuple[int, int], int] = {}
        self.learned = self.stuck = False
        self.regular = not self.crowded
        self.live = list(self.bodies)  # enabled tasks while nothing is irregular
        self.last = self.boot
        self.begin_segment()
        if self.guard is not None:
            self.guard.begin()
        if self.clocks is not None:
            self.clocks.begin()
        self.at_begin()

    def _finish(self, end: int) -> None:
        """Nothing can run any more: is that quiescence, and a sound one?"""
        for task in self.bodies:
            if not task.done and not task.daemon:
                waits = "; ".join(
                    f"{t.name} waits for {self.name_of(next(reversed(t.watch)))}" for t in self.bodies if t.watch
                )
                raise Violation(
                    "deadlock", f"nothing can run and {task.name} has not ended ({waits or 'it is never let run'})"
                )
        if end not in self.ends or self.log is not None:
            self.at_end(self)
            self.ends.add(end)

    def name_of(self, a: int) -> str:
        """What a word is, for people."""
        return self.guard.name_of(a) if self.guard is not None else f"word {a}"

    def key(self, task) -> int:
        """Identifies the state: shared words, each task's local state, and who runs.

        A 64-bit hash of it, by Python's `hash` because that is fast. Another Python may hash otherwise: it goes into no
        file.
        """
        parts = [self.digest, task.id if task is not None else -1]
        parts += [t.h for t in self.bodies]
        parts += [t.h for t in self.interrupts]
        if self.tso:
            parts += [tuple(b) for b in self.buffers]
        if self.crowded:
            parts += [-1 if t is None else t.id for t in self.running]
        return hash(tuple(parts))
