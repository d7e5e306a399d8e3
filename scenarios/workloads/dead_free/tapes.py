"""dead-free: fill a child cache, take its cgroup offline, free everything into the dead cache.

Christoph Lameter and Vladimir Davydov argued about what it costs to free into a cache that may hoard
nothing any more; nobody measured it for SLUB. Here each cgroup in turn fills `slabs` slabs of
`object_size`, goes offline, and only then do the CPUs free, all at once. Sequential order gives each
CPU a run of whole slabs; random order deals the objects of every slab to all CPUs.

Expect of linux-3.16 that the cache is left with empty slabs on the CPU partial lists and up to
min_partial on the node, for ever; of v3 that it dies with its last object, at the price of one more
list_lock acquisition and page CAS for each slab that was full (FREE_ADD_PARTIAL and
FREE_REMOVE_PARTIAL up, CPU_PARTIAL_DRAIN gone). FREE_FASTPATH is 0 under all designs: no CPU has a
CPU slab of a dead cache. With fill_cpus=1 the other CPUs free into a cache they never used: they got
no flush IPI at the offline, so v1 has not closed their partial list and leaves slabs behind (R12).
"""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.parameters import DeadFree, ParameterError
from scenarios.sizing import objects_per_slab, stride


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
