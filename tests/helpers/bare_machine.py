"""A machine with nothing on it but per-CPU areas, and a kernel whose interrupts and callbacks leave marks."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable

from until import until

from shm.atomics import cpu_area, fetch_add, load, store, this_cpu
from shm.compiler import dual
from shm.layout import Plan
from shm.locks import PERCPU_WORDS
from shm.machine import CPU, MACHINE, MAGIC, Machine, register_vectors
from shm.segment import Segment

STRIDE = -(-PERCPU_WORDS // 64) * 64
# Words of the marks: calls, then for the newest call its argument, the CPU it ran on and its irq state.
CALLS, ARGUMENT, RAN_ON, IRQ = range(4)


@dual
def _mark(m, func: int, arg: int) -> None:
    """The IPI and the callback: `arg` is the word of the marks."""
    fetch_add(m, arg + CALLS, 1)
    store(m, arg + ARGUMENT, func)
    store(m, arg + RAN_ON, this_cpu(m))
    store(m, arg + IRQ, load(m, cpu_area(m) + CPU.irq))


register_vectors("bare", ipi=_mark, rcu=_mark)


class BareMachine:
    """`words` maps names of regions to sizes; `at` has their addresses."""

    def __init__(
        self, cpus: int = 2, *, serial: bool = False, features: frozenset[str] = frozenset(), **words: int
    ) -> None:
        plan = Plan()
        plan.reserve("header", MACHINE.SIZE)
        percpu = plan.reserve("percpu", STRIDE * cpus, 64)
        self.at = {name: plan.reserve(name, size, 64) for name, size in words.items()}
        self.segment = Segment(plan.end)
        self.features = features
        self.mem = self.segment.words_view
        for field, value in {
            "magic": MAGIC,
            "words": plan.end,
            "nr_cpus": cpus,
            "workers": cpus,
            "percpu_base": percpu,
            "percpu_stride": STRIDE,
            "serial": int(serial),
        }.items():
            self.mem[getattr(MACHINE, field)] = value
        for cpu in range(cpus):
            self.mem[percpu + cpu * STRIDE + CPU.online] = 1

    def cpu(self, cpu: int) -> Machine:
        return Machine(self.mem, cpu, self.features, "bare", self.segment.address)


def in_parallel(*programs: Callable[[], object]) -> None:
    """Run each program in a process of its own; all must end well.

    Compile what they call before: the processes are forked.
    """
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_run, args=(program, i), daemon=True) for i, program in enumerate(programs)]
    for process in processes:
        process.start()
    try:
        until(lambda: all(p.exitcode == 0 for p in processes) or any(p.exitcode for p in processes))
        assert [process.exitcode for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()


def _run(program: Callable[[], object], number: int) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[number % len(cpus)]})
    program()
