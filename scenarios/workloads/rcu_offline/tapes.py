"""The tapes of rcu-offline."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.rcu_offline import RcuOffline


def build(params: RcuOffline, cpus: int, seed: int) -> tape.Workload:
    """The seed decides the order of the frees."""
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    end = writer.one_after_another(schedule, params.cgroups, "cgroup {} is there")
    schedule.mark("all are gone", end)
    bases, slots = writer.slot_bases([params.objects] * cpus)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        mine = bases[cpu] + np.arange(params.objects)
        for g in range(1, params.cgroups + 1):
            first = writer.first_round(g)
            for r in (first, first + 1):
                out.round(r, schedule.done_by(r))
            words = [tape.op(tape.OP_ALLOC, b=g, c=mine), tape.op(tape.OP_KFREE_RCU, c=rng.permutation(mine))]
            out.section(tape.SECTION_MIXED, np.concatenate(words))
            out.round(first + 2, schedule.done_by(first + 2))
        out.round(end, schedule.done_by(end))
        tapes.append(out.finish())
    caches = writer.one_cache(params.object_size, sheaf_capacity=params.sheaf_capacity)
    return writer.workload("rcu-offline", caches, schedule, tapes, slots=slots, cgroups=params.cgroups)
