"""The tapes of one-way."""

from __future__ import annotations

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.one_way import OneWay, Pairing

DELAY = 2  # rounds from allocation to free
GENERATIONS = 2 * DELAY  # a slot is surely empty again DELAY rounds after its free
FIRST = 2  # the first round after the warm-up's


def build(params: OneWay, cpus: int, seed: int) -> tape.Workload:
    """The seed decides the order in which a batch is freed."""
    rng = writer.generator(seed)
    schedule = writer.Schedule()
    cgroup = writer.warm_cgroups(schedule, params.charged)
    last = FIRST + params.rounds - 1 + DELAY
    for r in range(FIRST, last + 1):
        schedule.barrier(r)
    frees_of = pairs(cpus, params.pairing)
    makers = sorted(set(frees_of.values()))
    sizes = [min(GENERATIONS, params.rounds) * params.batch if cpu in makers else 1 for cpu in range(cpus)]
    bases, slots = writer.slot_bases(sizes)
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        writer.warm_up(out, schedule, cgroup, slot=int(bases[cpu]))
        for r in range(FIRST, last + 1):
            if r > FIRST:
                out.round(r, schedule.done_by(r - 1))
            if cpu in makers and r < FIRST + params.rounds:
                slot = bases[cpu] + _batch(params, r)
                flag = writer.some(params.may_not_block, params.batch, seed, cpu, r)
                out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, b=cgroup, c=slot, flag=flag))
            if cpu in frees_of and r >= FIRST + DELAY:
                order = rng.permutation(bases[frees_of[cpu]] + _batch(params, r - DELAY))
                out.section(
                    tape.SECTION_LIVE_FREE,
                    writer.frees(
                        order,
                        writer.some(params.kfree_rcu, params.batch, seed, cpu, r, 1),
                        writer.some(params.nolock, params.batch, seed, cpu, r, 2),
                    ),
                )
        tapes.append(out.finish())
    caches = writer.one_cache(params.object_size, sheaf_capacity=params.sheaf_capacity)
    return writer.workload("one-way", caches, schedule, tapes, slots=slots, cgroups=int(params.charged))


def pairs(cpus: int, pairing: Pairing) -> dict[int, int]:
    """CPU that frees -> CPU that allocates for it; one that is left over does nothing."""
    if cpus == 1:
        return {0: 0}
    half = cpus // 2
    if pairing == "halves":
        return {cpus - half + maker: maker for maker in range(half)}
    return {2 * maker + 1: 2 * maker for maker in range(half)}


def _batch(params: OneWay, round_: int) -> np.ndarray:
    """Slots, counted from the CPU's first, of the objects allocated in this round."""
    return (round_ - FIRST) % GENERATIONS * params.batch + np.arange(params.batch)
