"""Conformance: the deterministic steps that a real kernel did, played on our allocator.

After every step every counter must equal the kernel's: totals, per-CPU columns, slabs, partial, CPU
slabs and the cache's constants. Two recordings of the kernel, one with truly parallel CPUs, agreed
in every number, so there is no tolerance.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from allocators.caches.kinds import KINDS
from allocators.catalogue import ALLOCATORS
from allocators.core.world import WORLD, WORLD_AT
from allocators.designs import parse_design
from scenarios.tape import EV_SHRINK_CACHE, OP_ALLOC, OP_FREE, OP_ROUND, CacheSpec, Event, Workload, concatenate, op
from scenarios.traces.errors import TraceError
from scenarios.traces.steps import Alloc, Free, Initial, Pairs, Shrink, Step, StepTable, free_order, read_steps
from stress.engine import serial_ordered
from stress.play.arena import Arena, BlockSettings
from stress.process.errors import DamagedRun, UsageError

MEMORY = 256 << 20
RECORDER_CPU = 0  # the recorder wrote to sysfs from here, so this CPU's own flush came last


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One counter after one step: the kernel's value and ours."""

    cache: str
    step: int
    text: str
    counter: str
    theirs: int
    ours: int


@dataclasses.dataclass(frozen=True, slots=True)
class Conformance:
    """steps and counters compared, and what differed."""

    steps: int
    counters: int
    differences: tuple[Difference, ...]


class _Script:
    """The steps of one cache as a workload in exact order, with the number of operations of each step."""

    def __init__(self, steps: tuple[Step, ...], cpus: int, allocator: str) -> None:
        self.sysfs = ALLOCATORS[allocator].sysfs
        self.parts: list[list[np.ndarray]] = [[] for _ in range(cpus)]
        self.order: list[np.ndarray] = []
        self.lengths: list[int] = []
        self.events: list[Event] = []
        self.handles: dict[int, np.ndarray] = {}
        self.slots = 1
        self.cpus = cpus
        for step in steps:
            before = sum(map(len, self.order))
            self._add(step)
            self.lengths.append(sum(map(len, self.order)) - before)
        first = steps[0]
        self.load = Workload(
            name=first.cache,
            caches=(CacheSpec(first.cache, first.object_size, size=first.expected[KINDS[allocator].stride]),),
            tapes=tuple(concatenate(p) for p in self.parts),
            events=tuple(self.events),
            slots=self.slots,
            cgroups=0,
            order=np.concatenate(self.order).astype(np.uint8),
        )

    def _emit(self, cpu: int, operations: np.ndarray) -> None:
        self.parts[cpu].append(operations)
        self.order.append(np.full(len(operations), cpu))

    def _fresh(self, count: int) -> np.ndarray:
        slots = np.arange(self.slots, self.slots + count)
        self.slots += count
        return slots

    def _add(self, step: Step) -> None:
        action = step.action
        if isinstance(action, Alloc):
            self.handles[action.handle] = self._fresh(action.count)
            self._emit(action.cpu, op(OP_ALLOC, c=self.handles[action.handle]))
        elif isinstance(action, Free):
            held = self.handles[action.handle]
            self._emit(action.cpu, op(OP_FREE, c=held[free_order(action.order, len(held))]))
        elif isinstance(action, Pairs):
            slot = self._fresh(1)[0]
            self._emit(action.cpu, np.tile(np.r_[op(OP_ALLOC, c=slot), op(OP_FREE, c=slot)], action.count))
        elif isinstance(action, Shrink):
            if not self.sysfs:
                return  # the recorder shrinks through sysfs, which has no folder for such caches
            # The schedule's next event runs as soon as every CPU has reached its round.
            self.events.append(Event(EV_SHRINK_CACHE, 0, len(self.events) + 1, cpu=RECORDER_CPU))
            for cpu in range(self.cpus):
                self._emit(cpu, op(OP_ROUND, c=len(self.events)))
        else:
            assert isinstance(action, Initial)


def observe(arena: Arena, features: frozenset[str], cpus: int) -> dict[str, int]:
    """Everything sysfs or slabinfo shows of the only cache, by the names of the recorded columns."""
    m = arena.machine(features, 0)
    return KINDS[arena.allocator].shown(m, m.mem[WORLD_AT + WORLD.slab_caches], cpus)


def conform(table: StepTable, design: str = "linux-3.16") -> Conformance:
    """Play every step of a table; raises DamagedRun when the engine cannot play one of them."""
    parsed = parse_design(design)
    features = parsed.features(table.allocator) | {"STATS"}
    compared, counters = 0, 0
    differences: list[Difference] = []
    for steps in table.steps.values():
        script = _Script(steps, table.cpus, table.allocator)
        arena = Arena(script.load, table.allocator, sheaves=parsed.sheaves(), memory=MEMORY, serial=True)
        try:
            arena.reset(features, BlockSettings(step_ns=0))
            kworker = arena.machine(features, arena.kworker_cpu)
            at = arena.plan["order"]
            for step, length in zip(steps, script.lengths):
                stuck = serial_ordered(kworker, arena.run, at, length, 0)
                if stuck >= 0:
                    raise DamagedRun(
                        f"{step.cache} step {step.number} ({step.text}): operation {stuck} of {length} cannot be played"
                    )
                at += length
                ours = observe(arena, features, table.cpus)
                for counter, theirs in step.expected.items():
                    counters += 1
                    if ours.get(counter) != theirs:
                        differences.append(
                            Difference(step.cache, step.number, step.text, counter, theirs, ours.get(counter, -1))
                        )
                compared += 1
        finally:
            arena.close()
    return Conformance(compared, counters, tuple(differences))


def main(path: Path) -> int:
    """The command: 0 when all counters are equal, 1 otherwise. Raises UsageError for a bad file."""
    try:
        table = read_steps(path)
    except TraceError as error:
        raise UsageError(str(error)) from None
    print(
        f"playing {len(table)} steps of {table.kernel} ({len(table.steps)} caches, {table.cpus} CPUs)", file=sys.stderr
    )
    result = conform(table)
    for d in result.differences:
        print(f"{d.cache} step {d.step} ({d.text}): {d.counter} is {d.theirs} in the kernel, {d.ours} here")
    wrong = {(d.cache, d.step) for d in result.differences}
    equal = result.counters - len(result.differences)
    print(f"{result.steps - len(wrong)} of {result.steps} steps equal, {equal} of {result.counters} counters")
    return 1 if wrong else 0
