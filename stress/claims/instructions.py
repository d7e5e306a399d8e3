"""Claims 4 and 5 in instructions: what the compiled allocator executes, beside counted kernels.

Kernels of 3.16 with and without the series were counted instruction by instruction. The same five loops are played
here, and the compiled program's own instructions are counted by single steps (`stress.process.stepping`). Both include
the loop around an operation, and the model's page allocator is smaller than the kernel's: changes are compared, not
sums, and that of a dead free is larger here, as a slab that goes back costs less beside it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from allocators.caches.memcg_caches import run_deferred_work
from allocators.caches.offline import offline_memcg
from allocators.designs import parse_design
from scenarios import tape
from shm.layout import CACHE_LINE
from stress.claims.claim import Figure, Finding, Verdict, figure
from stress.claims.lab import Lab
from stress.engine import cpu_main
from stress.play import warm
from stress.play.arena import Arena
from stress.process.stepping import NoStepping, count_instructions

BEFORE = "linux-3.16"
SERIES = ("v1", "v3")
DEAD = ("v1", "v3", "linux-4.0")
MARGIN = 0.02  # what nobody notices, as in the timed parts of claim 4
OBJECTS = 1024  # of 64 B: 16 slabs, so that slow frees meet full, partial and empty ones

LEAST = 128  # with `--quick`


@dataclasses.dataclass(frozen=True, slots=True)
class Counted:
    """A change that was counted in real kernels, in %, with its interval where it was published."""

    percent: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:+g}, {self.high:+g}]"
        return f"{self.percent:+g} %{interval}"


# Counted kernels, 3.16.0 with the series as posted against without; dead frees: v1 and 4.0's form.
KERNEL: dict[tuple[str, str], Counted] = {
    ("pairs", "v1"): Counted(-0.03, -0.5, 0.2),
    ("frees in order", "v1"): Counted(0.59, -0.2, 1.4),
    ("frees in random order", "v1"): Counted(0.50, 0.0, 1.1),
    ("remote frees", "v1"): Counted(0.62, 0.1, 1.2),
    ("dead frees", "v1"): Counted(1.3),
    ("dead frees", "linux-4.0"): Counted(3.3),
}
LIVE_LOOPS = ("pairs", "frees in order", "frees in random order", "remote frees")
DEAD_LOOP = "dead frees"


def _loop(name: str, objects: int, seed: int) -> tape.Workload:
    """Two CPUs; a cut stands before what is counted, on the last CPU that has something to do."""
    slots = np.arange(objects)
    take = tape.op(tape.OP_ALLOC, b=warm.CGROUP, c=slots)
    freed = np.random.default_rng(seed).permutation(slots) if name == "frees in random order" else slots
    give = tape.op(tape.OP_FREE, c=freed)
    cut = tape.op(tape.OP_CUT)
    if name == "pairs":
        give = np.ravel(np.column_stack([tape.op(tape.OP_ALLOC, b=warm.CGROUP, c=slots), give]))
        first, second = [give, cut, give], []
    elif name == "remote frees":
        first, second = [take], [cut, give]
    else:
        first, second = [take, cut, give], []
    return tape.Workload(
        name=name,
        caches=(tape.CacheSpec(f"test-{warm.OBJECT_SIZE}", warm.OBJECT_SIZE),),
        tapes=(tape.concatenate(first), tape.concatenate(second)),
        events=(),
        slots=-(-objects // CACHE_LINE) * CACHE_LINE,
        cgroups=warm.CGROUP,
    )


def instructions_per_object(name: str, design: str, *, objects: int = OBJECTS, seed: int = 1) -> float:
    """Instructions that compiled SLUB and the engine take for an object of a loop.

    That is its free, in `pairs` its allocation too.

    Raises NoStepping as `count_instructions` does.
    """
    features = parse_design(design).features("slub")
    # Serial: the kworker waits for no CPU's grace period.
    arena = Arena(_loop(name, objects, seed), memory=warm.MEMORY, serial=True)
    try:
        warm.reset(arena, features)
        last = 1 if name == "remote frees" else 0
        machines = [arena.machine(features, cpu) for cpu in range(last + 1)]
        for m in machines:
            cpu_main(m, arena.run)
        if name == DEAD_LOOP:
            kworker = arena.machine(features, arena.kworker_cpu)
            offline_memcg(kworker, arena.words[arena.plan["cgroup_table"] + warm.CGROUP])
            while run_deferred_work(kworker):
                pass
        return count_instructions(cpu_main.bound(machines[-1], arena.run)) / objects
    finally:
        arena.close()


def _rows(lab: Lab, loops: tuple[str, ...], designs: tuple[str, ...]) -> dict[str, dict[str, float]]:
    objects = lab.size(OBJECTS, LEAST)
    rows: dict[str, dict[str, float]] = {}
    for loop in loops:
        for design in designs:
            lab.steps.phase(f"counting instructions: {loop}, {design}")
            few = objects // 4 if loop == "pairs" else objects  # one pair is as the next
            rows.setdefault(loop, {})[design] = instructions_per_object(loop, design, objects=few, seed=lab.seed)
    return rows


def live(lab: Lab) -> Finding:
    """The four loops of live caches under the series."""
    lab.need("slub", SERIES)
    try:
        return judge(_rows(lab, LIVE_LOOPS, (BEFORE, *SERIES)))
    except NoStepping as error:
        return Finding(Verdict.UNKNOWN, f"no instructions were counted: {error}")


def dead(lab: Lab) -> Finding:
    """Frees into a dead cache, in the order of allocation."""
    lab.need("slub", DEAD)
    try:
        return judge_dead(_rows(lab, (DEAD_LOOP,), (BEFORE, *DEAD)))
    except NoStepping as error:
        return Finding(Verdict.UNKNOWN, f"no instructions were counted: {error}")


def change(designs: dict[str, float], design: str) -> float:
    """Relative change against 3.16."""
    return designs[design] / designs[BEFORE] - 1


def _figures(rows: dict[str, dict[str, float]]) -> list[Figure]:
    figures = []
    for loop, designs in rows.items():
        for design, count in designs.items():
            text = f"{count:.1f}"
            if design != BEFORE:
                text += f" ({change(designs, design):+.2%})"
            if counted := KERNEL.get((loop, design)):
                text += f"; counted kernels {counted}"
            figures.append(figure(f"{loop}, {design}, instructions", count, text))
    return figures


def judge(rows: dict[str, dict[str, float]]) -> Finding:
    """Holds if no live loop takes more instructions than the margin under any design, else fails."""
    if not rows or any(not designs.get(BEFORE) or len(designs) < 2 for designs in rows.values()):
        return Finding(Verdict.UNKNOWN, "nothing was counted")
    figures = _figures(rows)
    changes = {(loop, d): change(row, d) for loop, row in rows.items() for d in row if d != BEFORE}
    dear = [f"{loop}, {design}: {more:+.1%}" for (loop, design), more in changes.items() if more > MARGIN]
    if dear:
        return Finding(Verdict.FAILS, "; ".join(dear), figures)
    return Finding(Verdict.HOLDS, f"at most {max(changes.values()):+.2%} instructions for an object", figures)


def judge_dead(rows: dict[str, dict[str, float]]) -> Finding:
    """Holds if a dead free takes more instructions than 3.16's, and less than a lock per object would."""
    designs = rows.get(DEAD_LOOP, {})
    if not designs.get(BEFORE) or len(designs) < 2:
        return Finding(Verdict.UNKNOWN, "nothing was counted")
    figures = _figures(rows)
    changes = {d: change(designs, d) for d in designs if d != BEFORE}
    text = ", ".join(f"{d} {more:+.1%}" for d, more in changes.items())
    return Finding(Verdict.HOLDS if min(changes.values()) > 0 else Verdict.FAILS, f"a dead free: {text}", figures)
