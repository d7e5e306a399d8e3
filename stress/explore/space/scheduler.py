"""Who runs next: the decisions of a space, the switches that follow, and the steps that have no task.

`Space` (see its module for what is scheduled, and what counts as a preemption) is a scheduler with a life
cycle of executions around it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import greenlet

from shm.ipi import SERVICE_CALL, SERVICE_IPI, SERVICE_IRQ_WORK, SERVICE_QS, serve_ipis
from shm.machine import CPU
from shm.rcu import quiescent_point
from stress.explore.space.footprint import Footprint
from stress.explore.space.sharing import Sharing
from stress.explore.space.task import Task


class Step:
    """A step without a task: a flush (of a CPU's buffer) or a migration (cpu -1)."""

    __slots__ = ("id", "name", "cpu", "n", "h", "step", "ready")

    def __init__(self, number: int, name: str, cpu: int, ready: Callable[[], bool], step: Callable[[], None]) -> None:
        self.id, self.name, self.cpu, self.ready, self.step = number, name, cpu, ready, step
        self.n = self.h = 0

    def begin(self) -> None:
        self.n = 0


class Scheduler(Sharing):
    """See the module's text. The attributes are those that `Space` sets up: `Space`, `Scheduler` and `Sharing` are one
    class in three files, so that a decision, 20,000 times a second, asks nobody.
    """

    flows: list
    steps: list[Step]
    buffers: list[deque]
    live: list[Task]
    running: list[Task | None]
    deviations: dict[tuple[int, int], int]
    last: Any  # the task that ran last; at first the step that stands for the start
    hub: greenlet
    pick: Callable
    log: Callable | None
    on_switch: Callable | None
    preempt: bool
    crowded: bool
    stuck: bool
    points: int
    preemptions: int

    def decide(self, task, on: bool):
        """Who runs next? on: `task` asks before an operation and could go on. None: nobody can run."""
        task.n += 1
        while True:
            if self.regular:
                options = self.live
            else:
                options = self._enabled()
            if len(options) > 1:
                self.points += 1
                chosen = self.pick(task, options, on)
                default = task if on else options[0]
                if chosen is not default:
                    self.deviations[task.id, task.n] = chosen.id
                    if on:
                        self.preemptions += 1
            elif options:
                chosen = options[0]
                self.forced.append(chosen.id)
            else:
                return None
            if chosen.__class__ is not Step:
                return chosen
            if self.on_switch is not None:
                self.on_switch(chosen)
            chosen.n += 1
            chosen.step()
            task, on = chosen, False

    def switch(self, task: Task) -> None:
        """Leave the current greenlet for a task's."""
        if not task.interrupt:
            if self.running[task.cpu] is not task:
                self.running[task.cpu] = task
        if not task.active:
            task.start()
        if self.on_switch is not None:
            self.on_switch(task)
        self.last = task
        task.greenlet.switch(task)
        # Back in the greenlet that left, or in the hub because a task has ended.

    def wait(self, task: Task) -> None:
        """`task` waits until a word changes."""
        if task.changed():
            return  # it asks again before its next operation
        self.regular = False
        chosen = self.decide(task, False)
        if chosen is None:
            self.stuck = True
            self.hub.switch()
        elif chosen is not task:
            self.switch(chosen)

    def _enabled(self) -> list:
        """All that can run now, in the order of their numbers."""
        options: list = []
        regular = not self.crowded
        mem = self.mem
        waiting = False
        for task in self.bodies:
            if task.done:
                continue
            if task.watch is not None:
                regular = False
                if not task.changed():
                    waiting = True
                    continue
            handler = self.interrupts[task.cpu]
            if handler.active and not handler.asleep:
                continue
            other = self.running[task.cpu]
            if other is not None and other is not task and not other.done and not self._may_switch(other):
                continue
            options.append(task)
        for task in self.interrupts:
            if task.active:
                regular = False
                if task.watch is None or (task.changed() and (not task.asleep or self._lets_in(task.cpu))):
                    options.append(task)
            else:
                service = mem[self.areas[task.cpu] + CPU.service]
                if service:
                    regular = False
                    if self._interruptible(task.cpu, service):
                        options.append(task)
        for step in self.steps:
            if step.ready():
                regular = False
                options.append(step)
        if regular and not waiting:
            self.live = [t for t in self.bodies if not t.done]
            self.regular = True
        return options

    def preemptible(self, cpu: int) -> bool:
        """Are interrupts and preemption on?"""
        area = self.areas[cpu]
        return self.mem[area + CPU.irq] == 0 and self.mem[area + CPU.preempt] == 0

    def _may_switch(self, running: Task) -> bool:
        """May the CPU of `running` run another task now?"""
        return self._quiescent(running)

    def _lets_in(self, cpu: int) -> bool:
        """May work that slept on a CPU (a worker thread of PREEMPT_RT) go on there?"""
        running = self.running[cpu]
        return running is None or running.done or self._quiescent(running)

    def _interruptible(self, cpu: int, service: int) -> bool:
        running = self.running[cpu]
        if running is None or running.done:
            return True
        if service & (SERVICE_IPI | SERVICE_IRQ_WORK) and self.mem[self.areas[cpu] + CPU.irq] == 0:
            return True
        return bool(service & (SERVICE_QS | SERVICE_CALL)) and self._quiescent(running)

    def _quiescent(self, running: Task) -> bool:
        """May the CPU switch to another task (or to idle) from this one now?"""
        return (self.preempt or running.asleep) and self.preemptible(running.cpu)

    def _interrupt(self, m: Task) -> None:
        if self._lets_in(m.cpu):
            quiescent_point(m)
        else:
            serve_ipis(m)

    def _may_migrate(self, task: Task, cpu: int) -> bool:
        if (
            task.cpu == cpu
            or task.done
            or not task.active
            or task.moved == task.n
            or self.interrupts[task.cpu].active
            or self.interrupts[cpu].active
        ):
            return False
        there = self.running[cpu]
        return self.preempt and self.preemptible(task.cpu) and (there is None or there.done)

    def _migrate(self, task: Task, cpu: int) -> None:
        self.drain(task.cpu)  # a context switch is a full barrier
        self.running[task.cpu] = None
        task.migrate(cpu)
        self.running[cpu] = task

    # Segments, from one decision to the next.

    def begin_segment(self) -> None:
        """A decision has been made."""
        self.read: list[int] = []
        self.wrote: list[int] = []
        self.forced: list[int] = []  # flows that ran because nothing else could

    def end_segment(self, chosen: int) -> Footprint:
        """What has been touched since the flow that was chosen then went on."""
        flows = frozenset((chosen, *self.forced))
        cpus = 0
        for flow in flows:
            cpu = self.flows[flow].cpu
            cpus = cpus | 1 << cpu if cpu >= 0 and cpus >= 0 else -1
        return Footprint(frozenset(self.read), frozenset(self.wrote), flows, cpus, self.flows[chosen].cpu)

    # Store buffers, and the state.

    def flush(self, cpu: int) -> None:
        """The oldest entry of a CPU's store buffer reaches memory."""
        a, v = self.buffers[cpu].popleft()
        self.wrote.append(a)
        if self.log is not None:
            self.log(self.running[cpu] or self.bodies[0], f"flush of cpu{cpu}", a, self.mem[a], v)
        self.write(a, v)

    def drain(self, cpu: int) -> None:
        """A full barrier of a CPU."""
        while self.buffers[cpu]:
            self.flush(cpu)
