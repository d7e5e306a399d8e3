"""A schedule for viewers of traces: a row per CPU, functions over their accesses, locks, arrows, store buffers.

A step takes a microsecond: time in a schedule is its order, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from stress.explore.page.beside import Pair
from stress.explore.page.html import functions
from stress.explore.page.recording import Execution
from stress.show.trace_events import Trace


def encode(pair: Pair, about: Mapping[str, str]) -> bytes:
    """Both executions, a process each."""
    trace = Trace()
    _execution(trace, 1, "the failing schedule", pair.failing)
    if pair.sound is not None:
        _execution(trace, 2, f"the same, {pair.how}", pair.sound)
    return trace.encode(about)


def _execution(trace: Trace, pid: int, name: str, run: Execution) -> None:
    trace.process(pid, name)
    for cpu in run.cpus:
        trace.row(pid, cpu, f"cpu{cpu}")
    for numbers in functions(run):
        first = run.steps[numbers[0]]
        if first.kind == "switch":
            for cpu in run.cpus:
                trace.instant(pid, cpu, f"{first.text}: {first.task} goes on", numbers[0])
            continue
        called = first.stack[0].function if first.stack else first.kind
        trace.slice(pid, first.cpu, f"{first.task}: {called}", numbers[0], len(numbers))
        for number in numbers:
            step = run.steps[number]
            args = {"word": step.word, "before": step.old, "after": step.new}
            if step.stack:
                args |= {"line": f"{step.stack[0].file}:{step.stack[0].line}", "source": step.stack[0].text}
            trace.slice(pid, step.cpu, f"{step.kind} {step.word}", number, 1, args)
    for number, lock in enumerate(run.locks):
        last = lock.last if lock.last >= 0 else len(run.steps)
        trace.overlapping(pid, lock.cpu, lock.name, lock.first, last - lock.first, number)
    _between(trace, pid, run)
    if run.kind:
        trace.instant(pid, run.cpus[0] if run.cpus else 0, f"{run.kind}: {run.text}", len(run.steps))


def _between(trace: Trace, pid: int, run: Execution) -> None:
    """Arrows, and how full the store buffers are."""
    full: tuple[int, ...] = ()
    for number, step in enumerate(run.steps):
        source = step.by if step.by >= 0 else step.saw
        if source >= 0 and (step.by >= 0 or run.steps[source].task != step.task):
            name = "reaches memory" if step.by >= 0 else "interrupt" if step.ipi else "sees"
            trace.arrow(pid, name, (run.steps[source].cpu, source + 0.5), (step.cpu, number + 0.5))
        now = tuple(map(len, step.buffers))
        if now != full and any((*now, *full)):
            trace.counter(pid, "store buffers", number + 1, {f"cpu{cpu}": count for cpu, count in enumerate(now)})
        full = now
