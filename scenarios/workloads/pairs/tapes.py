"""The tapes of pairs.

Allocations and frees alternate too quickly to be timed apart, so the sections are of mixed kind.
"""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.pairs import Pairs

SECTION_OPERATIONS = 16384


def build(params: Pairs, cpus: int, seed: int) -> tape.Workload:
    """Nothing is left to chance: a batch is freed in the order of its allocation, whatever the seed."""
    schedule = writer.Schedule()
    n_cgroups = (1 if params.shared else cpus) if params.charged else 0
    writer.warm_cgroups(schedule, bool(n_cgroups), n_cgroups)
    bases, slots = writer.slot_bases([params.batch] * cpus)
    per_section = max(1, SECTION_OPERATIONS // (2 * params.batch))
    full, rest = divmod(params.batches, per_section)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        cgroup = (1 if params.shared else cpu + 1) if params.charged else 0
        mine = bases[cpu] + np.arange(params.batch)
        writer.warm_up(out, schedule, cgroup, slot=int(mine[0]))
        batch = np.concatenate([tape.op(tape.OP_ALLOC, b=cgroup, c=mine), tape.op(tape.OP_FREE, c=mine)])
        section = np.tile(batch, per_section)
        for _ in range(full):
            out.section(tape.SECTION_MIXED, section)
        out.section(tape.SECTION_MIXED, np.tile(batch, rest))
        tapes.append(out.finish())
    return writer.workload(
        "pairs", writer.one_cache(params.object_size), schedule, tapes, slots=slots, cgroups=n_cgroups
    )
