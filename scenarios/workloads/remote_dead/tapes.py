"""The tapes of remote-dead."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.traces.steps import FIFO, LIFO, PERMUTED, free_order
from scenarios.workloads.remote_dead import RemoteDead

CPU_SLAB_OBJECTS = 3  # of each CPU, if marked
ORDERS = {"fifo": FIFO, "lifo": LIFO, "permuted": PERMUTED}
WARM, MARK = 1, 2  # rounds; CPU c marks in round MARK + c


def build(params: RemoteDead, cpus: int, seed: int) -> tape.Workload:
    """Nothing is left to chance, whatever the seed."""
    schedule = writer.Schedule()
    fill = MARK + cpus
    removed, last = fill + 1, fill + 2
    schedule.create(1, WARM)
    for r in range(MARK, fill + 1):
        schedule.mark("the child cache is there" if r == MARK else f"round {r}", r)
    schedule.offline(1, removed)
    schedule.mark("freed", last)

    freer = min(params.free_cpu, cpus - 1)
    slot = np.arange(params.objects)
    own_objects = CPU_SLAB_OBJECTS if params.marked else 0
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        own = params.objects + cpu * own_objects + np.arange(own_objects)
        out.round(WARM, schedule.done_by(WARM))
        if cpu == 0:
            out.plain(writer.touch(1, 0))
        for r in range(MARK, fill):
            out.round(r, schedule.done_by(r))
            if r == MARK + cpu:
                out.plain(tape.op(tape.OP_ALLOC, b=1, c=own))
        out.round(fill, schedule.done_by(fill))
        if cpu == 0:
            out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, b=1, c=slot))
        out.round(removed, schedule.done_by(removed))
        if cpu == freer:
            out.section(
                tape.SECTION_DEAD_FREE,
                tape.op(tape.OP_FREE, c=slot[free_order(ORDERS[params.free_order], params.objects)]),
            )
        out.round(last, schedule.done_by(last))
        out.plain(tape.op(tape.OP_FREE, c=own))
        tapes.append(out.finish())
    return writer.workload(
        "remote-dead",
        writer.one_cache(params.object_size),
        schedule,
        tapes,
        slots=params.objects + cpus * own_objects,
        cgroups=1,
    )
