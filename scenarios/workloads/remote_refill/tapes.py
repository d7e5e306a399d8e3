"""The tapes of remote-refill."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.sizing import objects_per_slab, stride
from scenarios.workloads.remote_refill import RemoteRefill

FILL, THIN, TAKE = 1, 2, 3  # rounds; when all have taken, the kept ones go


def build(params: RemoteRefill, cpus: int, seed: int) -> tape.Workload:
    """The seed decides the order of the frees. Nobody is charged."""
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    for r in range(FILL, TAKE + 2):
        schedule.barrier(r)
    per_slab = objects_per_slab(stride(params.object_size), cpus)
    first = max(1, cpus // 2)  # of those that fill; with one CPU it does only that
    filled = params.slabs * per_slab
    bases, slots = writer.slot_bases([params.batch if cpu < first and cpus > 1 else filled for cpu in range(cpus)])
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        takes = cpu < first and cpus > 1
        mine = bases[cpu] + np.arange(params.batch if takes else filled)
        kept = np.arange(filled) % per_slab == 0
        out.round(FILL, schedule.done_by(FILL))
        if not takes:
            out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, c=mine))
            out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=rng.permutation(mine[~kept])))
        out.round(THIN, schedule.done_by(THIN))
        out.round(TAKE, schedule.done_by(TAKE))
        if takes:
            for _ in range(params.rounds):
                out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, c=mine))
                out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=rng.permutation(mine)))
        out.round(TAKE + 1, schedule.done_by(TAKE + 1))
        if not takes:
            out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=mine[kept]))
        tapes.append(out.finish())
    caches = writer.one_cache(params.object_size)
    return writer.workload("remote-refill", caches, schedule, tapes, slots=slots, cgroups=0)
