"""The turns of a launch as a table, and what they say of a ratio.

A section in which a CPU was taken from its worker under any design is left out under all of them, so that all rest on
the same sections. That says nothing of how long it took, so it favours nobody: an allocator's own slow moments stay.
Where interruptions cannot be seen (`shm.preemption`; what a hypervisor takes is never seen), a section is left out
that took `FAR` times as long as is usual for its operations and `GAP_NS` more: no allocator here has such moments.

Neighbours are alike: what one turn leaves in caches and lists the next one finds. So what a launch's figure owes to
chance is found by a bootstrap of blocks of `BLOCK` neighbouring turns, about ten milliseconds: longer than a time
slice of the scheduler and than anything that a turn leaves behind, short enough that a launch has dozens.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from scenarios.tape import SECTIONS
from stress.measure.records import SectionSum

FAR, GAP_NS = 4.0, 100_000.0
BLOCK = 8
RESAMPLES = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Turns:
    """One storm, or all of a launch one after another.

    nanoseconds[design, cpu, turn, kind]: of the timed sections that count. operations[cpu, turn, kind]: in them, and
    sections: how many; the same for all designs. left_out[design, cpu, turn]: sections of it that were interrupted.
    switches[design, cpu, turn]: involuntary ones of the worker. took[design, turn]: ns from the first CPU's beginning
    to the last one's end. position[design, turn]: when it was played among the turns of its round, from 0.
    """

    nanoseconds: np.ndarray
    operations: np.ndarray
    sections: np.ndarray
    left_out: np.ndarray
    switches: np.ndarray
    took: np.ndarray
    position: np.ndarray

    @property
    def disturbed(self) -> np.ndarray:
        """[design, turn]: was a section of it interrupted?"""
        return np.asarray(self.left_out.any(axis=1))


def tabulate(
    sections: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    cycles: Sequence[Sequence[np.ndarray]],
    times: Sequence[np.ndarray],
    cycles_per_ns: float,
) -> Turns:
    """The table of one storm.

    sections[cpu]: kind, operations and turn of each. cycles[design][cpu]: how long each took, negative where it was
    interrupted. times[design]: TURN structs as [cpu, turn].
    """
    designs, cpus, turns = len(cycles), len(sections), times[0].shape[1]
    shape = (turns, len(SECTIONS))
    ns = np.zeros((designs, cpus, *shape))
    operations = np.zeros((cpus, *shape), np.int64)
    count = np.zeros((cpus, *shape), np.int64)
    left_out = np.zeros((designs, cpus, turns), np.int64)
    for cpu, (kind, ops, turn) in enumerate(sections):
        took = np.stack([of[cpu] for of in cycles]) / cycles_per_ns
        bad = (took < 0) | (np.abs(took) > FAR * _usual(np.abs(took), kind, ops) + GAP_NS)
        good = np.asarray(~bad.any(axis=0))
        cell = turn * len(SECTIONS) + kind

        def summed(weights: np.ndarray, cell: np.ndarray = cell) -> np.ndarray:
            return np.bincount(cell, weights, minlength=math.prod(shape)).reshape(shape)

        operations[cpu] = summed(ops * good)
        count[cpu] = summed(good)
        for design in range(designs):
            ns[design, cpu] = summed(np.abs(took[design]) * good)
            left_out[design, cpu] = np.bincount(turn[bad[design]], minlength=turns)
    began, ended = (np.stack([of[field] for of in times]) for field in ("began", "ended"))
    return Turns(
        nanoseconds=ns,
        operations=operations,
        sections=count,
        left_out=left_out,
        switches=np.stack([of["switches"] for of in times]),
        took=(ended.max(axis=1) - began.min(axis=1)) / cycles_per_ns,
        position=began.min(axis=1).argsort(axis=0).argsort(axis=0),
    )


def _usual(took: np.ndarray, kind: np.ndarray, ops: np.ndarray) -> np.ndarray:
    """What sections of so many operations usually take, by kind."""
    usual = np.zeros(len(kind))
    for k in np.unique(kind):
        of = kind == k
        usual[of] = np.median(took[:, of] / ops[of]) * ops[of]
    return usual


def joined(storms: Sequence[Turns]) -> Turns:
    """Storms of a launch, one after another."""
    axis = {"operations": 1, "sections": 1, "took": 1, "position": 1}
    return Turns(
        **{
            field.name: np.concatenate([getattr(s, field.name) for s in storms], axis=axis.get(field.name, 2))
            for field in dataclasses.fields(Turns)
        }
    )


def sums(turns: Turns, design: int) -> dict[str, list[SectionSum]]:
    """Timed sections that count, by kind and CPU."""
    ns = turns.nanoseconds[design].sum(axis=1)
    ops, count = turns.operations.sum(axis=1), turns.sections.sum(axis=1)
    return {
        name: [SectionSum(int(ops[c, k]), float(ns[c, k]), int(count[c, k])) for c in range(len(ns))]
        for k, name in enumerate(SECTIONS)
    }


def spread_within(turns: Turns, before: int, after: int, kinds: Sequence[str], seed: int) -> float | None:
    """Standard deviation of the logarithm of the launch's ratio, from its turns alone; None where they are too few."""
    of = [SECTIONS.index(kind) for kind in kinds]
    length = turns.took.shape[1]
    blocks = -(-length // BLOCK)
    if blocks < 3:
        return None
    edges = np.arange(0, length, BLOCK)
    ops = np.add.reduceat(turns.operations[:, :, of].sum(axis=2), edges, axis=1)  # [cpu, block]
    ns = [np.add.reduceat(turns.nanoseconds[design][:, :, of].sum(axis=2), edges, axis=1) for design in (before, after)]
    if not ops.any():
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLES)
    rates = [_rate(drawn @ ops.T, drawn @ of_design.T) for of_design in ns]
    logs = np.log(rates[1] / rates[0])
    return float(logs.std(ddof=1)) if np.isfinite(logs).all() else None


def _rate(ops: np.ndarray, ns: np.ndarray) -> np.ndarray:
    """As `stress.judge.ratio.concurrent_rate`, along the last axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ns > 0, ops / ns, 0.0).sum(axis=-1)
