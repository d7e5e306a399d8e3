"""The tapes of free-burst."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.free_burst import FreeBurst


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
        for burst in range(params.bursts):
            flag = writer.some(params.may_not_block, params.objects, seed, cpu, burst)
            allocs = tape.op(tape.OP_ALLOC, b=cgroup, c=mine, flag=flag)
            order = rng.permutation(mine) if params.free_order == "random" else mine
            out.section(tape.SECTION_ALLOC, allocs)
            out.section(
                tape.SECTION_LIVE_FREE,
                writer.frees(order, writer.some(params.kfree_rcu, params.objects, seed, cpu, burst, 1)),
            )
        tapes.append(out.finish())
    caches = writer.one_cache(params.object_size, sheaf_capacity=params.sheaf_capacity)
    return writer.workload("free-burst", caches, schedule, tapes, slots=slots, cgroups=int(params.charged))
