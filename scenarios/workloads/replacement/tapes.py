"""The tapes of replacement."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.replacement import Replacement


def build(params: Replacement, cpus: int, seed: int) -> tape.Workload:
    """The seed decides which objects go. Nobody is charged."""
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    bases, slots = writer.slot_bases([params.objects] * cpus)
    held = max(1, round(params.density * params.objects))
    batch = min(params.batch, held)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        mine = bases[cpu] + rng.permutation(params.objects)
        out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, c=np.sort(mine)))
        out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=mine[held:]))
        mine = mine[:held]
        for at in range(0, params.steps, batch):
            some = rng.choice(mine, min(batch, params.steps - at), replace=False)
            words = [tape.op(tape.OP_FREE, c=some), tape.op(tape.OP_ALLOC, c=rng.permutation(some))]
            out.section(tape.SECTION_MIXED, np.concatenate(words))
        if params.release:
            out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=rng.permutation(mine)))
        tapes.append(out.finish())
    caches = writer.one_cache(params.object_size, sheaf_capacity=params.sheaf_capacity)
    return writer.workload("replacement", caches, schedule, tapes, slots=slots, cgroups=0)
