"""The tapes of dead-free."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.settings import ParameterError
from scenarios.sizing import objects_per_slab, stride
from scenarios.workloads.dead_free import DeadFree


def build(params: DeadFree, cpus: int, seed: int) -> tape.Workload:
    """Raises ParameterError when more CPUs are to fill than there are."""
    if params.fill_cpus > cpus:
        raise ParameterError("fill_cpus", str(params.fill_cpus), f"at most the number of CPUs, {cpus}")
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    writer.one_after_another(schedule, params.cgroups, "child cache {} is there")

    fillers = params.fill_cpus or cpus
    per_slab = objects_per_slab(stride(params.object_size), cpus)
    filled = writer.deal(params.slabs, fillers) * per_slab  # bounds of the objects each CPU allocates
    n = params.slabs * per_slab
    freed = filled if fillers == cpus else writer.deal(n, cpus)
    bases, slots = writer.slot_bases(np.diff(filled))
    owner = np.repeat(np.arange(fillers), np.diff(filled))
    slot = np.arange(n) - filled[owner] + bases[owner]

    tapes = [writer.Tape() for _ in range(cpus)]
    for g in range(1, params.cgroups + 1):
        first = writer.first_round(g)
        order = rng.permutation(slot) if params.free_order == "random" else slot
        for cpu, out in enumerate(tapes):
            out.round(first, schedule.done_by(first))
            if cpu == 0:
                out.plain(writer.touch(g, int(slot[0])))
            out.round(first + 1, schedule.done_by(first + 1))
            if cpu < fillers:
                mine = slot[filled[cpu] : filled[cpu + 1]]
                out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, b=g, c=mine))
            out.round(first + 2, schedule.done_by(first + 2))
            dead = order[freed[cpu] : freed[cpu + 1]]
            out.section(tape.SECTION_DEAD_FREE, tape.op(tape.OP_FREE, c=dead))
    return writer.workload(
        "dead-free",
        writer.one_cache(params.object_size),
        schedule,
        [out.finish() for out in tapes],
        slots=slots,
        cgroups=params.cgroups,
    )
