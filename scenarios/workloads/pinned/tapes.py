"""The tapes of pinned."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.sizing import objects_per_slab, stride
from scenarios.workloads.pinned import Pinned

WARM, FILL, THIN = 1, 2, 3  # rounds


def build(params: Pinned, cpus: int, seed: int) -> tape.Workload:
    """The seed decides the order of the frees, across cgroups."""
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    cgroups = np.arange(1, params.cgroups + 1)
    go = THIN + params.hold + 1
    for g in cgroups:
        schedule.create(int(g), WARM)
    schedule.mark("child caches are there", FILL)
    for g in cgroups:
        schedule.offline(int(g), THIN)
    for r in range(THIN + 1, go):
        schedule.mark(f"only the long-lived are left, round {r - THIN}", r)
    schedule.mark("the last ones go", go)

    per_slab = objects_per_slab(stride(params.object_size), cpus)
    bounds = writer.deal(params.slabs, cpus) * per_slab
    per_cpu = np.diff(bounds) * params.cgroups
    bases, slots = writer.slot_bases(per_cpu)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        # Objects in order of allocation: cgroup by cgroup. Any per_slab of them in a row hold one pin.
        of_each = int(bounds[cpu + 1] - bounds[cpu])
        slot = bases[cpu] + np.arange(per_cpu[cpu])
        pin = np.tile(np.arange(of_each) % per_slab == 0, params.cgroups)
        out.round(WARM, schedule.done_by(WARM))
        if cpu == 0:
            out.plain(np.concatenate([writer.touch(int(g), 0) for g in cgroups]))
        out.round(FILL, schedule.done_by(FILL))
        out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, b=np.repeat(cgroups, of_each), c=slot))
        out.round(THIN, schedule.done_by(THIN))
        out.section(tape.SECTION_DEAD_FREE, tape.op(tape.OP_FREE, c=rng.permutation(slot[~pin])))
        for r in range(THIN + 1, go + 1):
            out.round(r, schedule.done_by(r))
        out.section(tape.SECTION_DEAD_FREE, tape.op(tape.OP_FREE, c=rng.permutation(slot[pin])))
        tapes.append(out.finish())
    return writer.workload(
        "pinned", writer.one_cache(params.object_size), schedule, tapes, slots=slots, cgroups=params.cgroups
    )
