"""The tapes of remote-free."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.remote_free import RemoteFree

DELAY = 2  # rounds from allocation to free
GENERATIONS = 2 * DELAY  # a slot is surely empty again DELAY rounds after its free
FIRST = 2  # the first round after the warm-up's


def build(params: RemoteFree, cpus: int, seed: int) -> tape.Workload:
    """The seed decides the order in which a batch is freed."""
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    cgroup = writer.warm_cgroups(schedule, params.charged)
    last = FIRST + params.rounds - 1 + DELAY
    for r in range(FIRST, last + 1):
        schedule.barrier(r)
    bases, slots = writer.slot_bases([min(GENERATIONS, params.rounds) * params.batch] * cpus)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        writer.warm_up(out, schedule, cgroup, slot=int(bases[cpu]))
        mine, theirs = bases[cpu], bases[(cpu - 1) % cpus]
        for r in range(FIRST, last + 1):
            if r > FIRST:
                out.round(r, schedule.done_by(r - 1))
            if r < FIRST + params.rounds:
                out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, b=cgroup, c=mine + _batch(params, r)))
            if r >= FIRST + DELAY:
                order = rng.permutation(theirs + _batch(params, r - DELAY))
                out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=order))
        tapes.append(out.finish())
    caches = writer.one_cache(params.object_size, params.cpu_partial)
    return writer.workload("remote-free", caches, schedule, tapes, slots=slots, cgroups=int(params.charged))


def _batch(params: RemoteFree, round_: int) -> np.ndarray:
    """Slots, counted from the CPU's first, of the objects allocated in this round."""
    return (round_ - FIRST) % GENERATIONS * params.batch + np.arange(params.batch)
