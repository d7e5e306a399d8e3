"""The tapes of exchange."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.exchange import Exchange

DELAY = 2  # rounds from allocation to free
GENERATIONS = 2 * DELAY  # a slot is surely empty again DELAY rounds after its free
FIRST = 2  # the first round after the warm-up's


def build(params: Exchange, cpus: int, seed: int) -> tape.Workload:
    """The seed decides the order in which a batch is freed."""
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    cgroup = writer.warm_cgroups(schedule, True)
    last = FIRST + params.rounds - 1 + DELAY
    for r in range(FIRST, last + 1):
        schedule.barrier(r)
    bases, slots = writer.slot_bases([min(GENERATIONS, params.rounds) * params.batch] * cpus)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        writer.warm_up(out, schedule, cgroup, slot=int(bases[cpu]))
        mine, theirs = bases[cpu], bases[partner(cpu, cpus)]
        for r in range(FIRST, last + 1):
            if r > FIRST:
                out.round(r, schedule.done_by(r - 1))
            allocs = mine + _batch(params, r) if r < FIRST + params.rounds else np.zeros(0, np.int64)
            frees = theirs + _batch(params, r - DELAY) if r >= FIRST + DELAY else np.zeros(0, np.int64)
            words = [tape.op(tape.OP_ALLOC, b=cgroup, c=allocs), tape.op(tape.OP_FREE, c=rng.permutation(frees))]
            both = np.stack(words, axis=1).ravel() if len(allocs) == len(frees) else np.concatenate(words)
            out.section(tape.SECTION_MIXED, both)
        tapes.append(out.finish())
    return writer.workload("exchange", writer.one_cache(params.object_size), schedule, tapes, slots=slots, cgroups=1)


def partner(cpu: int, cpus: int) -> int:
    """Whose objects it frees; with an odd number of CPUs the last one's are its own."""
    half = cpus // 2
    return cpu if cpu == 2 * half else (cpu + half) % (2 * half)


def _batch(params: Exchange, round_: int) -> np.ndarray:
    """Slots, counted from the CPU's first, of the objects allocated in this round."""
    return (round_ - FIRST) % GENERATIONS * params.batch + np.arange(params.batch)
