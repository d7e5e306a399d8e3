"""free-burst: allocate N objects, free N objects, again and again, while the cgroup stays online.

The question is the one asked of every change to a free path: what does the common case pay, where
no cache ever dies? All CPUs use one cache, so the node's list_lock is fought over as in a kernel.

Expect the same from every design: the patches add one predicate to `put_cpu_partial`, which is
rare, and nothing to the fast path; the statistics of v1, v3 and linux-3.16 agree. Random order
makes nearly every free a slow one (FREE_SLOWPATH, mostly FREE_FROZEN or no list work at all);
sequential order empties one slab after the other, so that FREE_REMOVE_PARTIAL and
CPU_PARTIAL_DRAIN follow the slabs.
"""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.parameters import FreeBurst


def build(params: FreeBurst, cpus: int, seed: int) -> tape.Workload:
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    cgroup = writer.warm_cgroups(schedule, params.charged)
    bases, slots = writer.slot_bases([params.objects] * cpus)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        mine = bases[cpu] + np.arange(params.objects)
        writer.warm_up(out, schedule, cgroup, slot=int(mine[0]))
        allocs = tape.op(tape.OP_ALLOC, b=cgroup, c=mine)
        for _ in range(params.bursts):
            order = rng.permutation(mine) if params.free_order == "random" else mine
            out.section(tape.SECTION_ALLOC, allocs)
            out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=order))
        tapes.append(out.finish())
    return writer.workload(
        "free-burst", writer.one_cache(params.object_size), schedule, tapes, slots=slots, cgroups=int(params.charged)
    )
