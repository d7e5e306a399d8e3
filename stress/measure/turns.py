"""What a launch measured, turn by turn, and what that says of a ratio.

A section in which a CPU was taken from its worker, under any design, counts for none in that storm: all designs rest
on the same sections. What is left out has nothing to do with how long it took, so it favours nobody; an allocator's own
slow moments stay. In its place stands what the section took in the launch's other storms, for a section is not like
another: of a storm the last ones destroy the caches. One that was interrupted in every storm is left out of all.

Where interruptions cannot be seen (`shm.preemption`; what a hypervisor takes is never seen), a section that took `FAR`
times as long as is usual and `GAP_NS` more counts as interrupted: no allocator here has such moments.

Neighbours are alike: what one turn leaves in caches and lists the next one finds. So what a launch's figure owes to
chance is found by a bootstrap of blocks of `BLOCK` neighbouring turns, some ten milliseconds: longer than a time slice
of the scheduler and than anything that a turn leaves behind, short enough that a launch has dozens. A block is drawn
from the same place of another storm, as places differ by what they do and not by chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenarios.tape import SECTIONS
from stress.measure.records import SectionSum, Turns

FAR, GAP_NS = 4.0, 200_000.0
ENOUGH = 3  # storms whose median is usual for a section
BLOCK = 8
RESAMPLES = 200

Tape = tuple[np.ndarray, np.ndarray, np.ndarray]  # kind, operations and turn of each timed section of a CPU's tape


def tabulate(
    tapes: Sequence[Tape],
    cycles: Sequence[Sequence[Sequence[np.ndarray]]],
    times: Sequence[Sequence[np.ndarray]],
    cycles_per_ns: float,
) -> Turns:
    """The table of a launch.

    cycles[storm][design][cpu]: of each section, negative where it was interrupted. times[storm][design]: TURN structs
    as [cpu, turn].
    """
    began, ended, switches = (
        np.stack([[of[field] for of in storm] for storm in times]) for field in ("began", "ended", "switches")
    )
    storms, designs, cpus, turns = began.shape
    shape = (turns, len(SECTIONS))
    ns = np.zeros((storms, designs, cpus, *shape))
    operations = np.zeros((cpus, *shape), np.int64)
    count = np.zeros((cpus, *shape), np.int64)
    left_out = np.zeros((storms, designs, cpus, turns), np.int64)
    for cpu, (kind, ops, turn) in enumerate(tapes):
        if not len(kind):
            continue
        took = np.stack([[of[cpu] for of in storm] for storm in cycles]) / cycles_per_ns
        interrupted = took < 0
        took = np.abs(took)
        interrupted |= took > FAR * _usual(took, kind, ops) + GAP_NS
        counts = np.asarray(~interrupted.any(axis=1))  # [storm, section]
        known = counts.any(axis=0)
        mean = (took * counts[:, None]).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
        took = np.where(counts[:, None], took, mean)[:, :, known]
        order = (turn * len(SECTIONS) + kind)[known]
        operations[cpu] = np.bincount(order, ops[known], minlength=turns * len(SECTIONS)).reshape(shape)
        count[cpu] = np.bincount(order, minlength=turns * len(SECTIONS)).reshape(shape)
        cell = np.arange(storms * designs)[:, None] * (turns * len(SECTIONS)) + order
        ns[:, :, cpu] = np.bincount(cell.ravel(), took.ravel(), minlength=ns[:, :, 0].size).reshape(
            storms, designs, *shape
        )
        cell = np.arange(storms * designs)[:, None] * turns + turn
        left_out[:, :, cpu] = np.bincount(
            cell.ravel(), interrupted.ravel(), minlength=storms * designs * turns
        ).reshape(storms, designs, turns)
    return Turns(
        nanoseconds=ns,
        operations=operations,
        sections=count,
        left_out=left_out,
        switches=switches,
        took=(ended.max(axis=2) - began.min(axis=2)) / cycles_per_ns,
        position=began.min(axis=2).argsort(axis=1).argsort(axis=1),
    )


def _usual(took: np.ndarray, kind: np.ndarray, ops: np.ndarray) -> np.ndarray:
    """What sections usually take, as [design, section]: those of their kind, or each by itself if that is more."""
    usual = np.zeros(took.shape[1:])
    for k in np.unique(kind):
        of = kind == k
        usual[:, of] = np.median(took[:, :, of] / ops[of]) * ops[of]
    return np.maximum(usual, np.median(took, axis=0)) if len(took) >= ENOUGH else usual


def sums(turns: Turns, design: int) -> dict[str, list[SectionSum]]:
    """Timed sections of all storms under a design, by kind and CPU."""
    storms = len(turns.took)
    ns = turns.nanoseconds[:, design].sum(axis=(0, 2))
    ops, count = storms * turns.operations.sum(axis=1), storms * turns.sections.sum(axis=1)
    return {
        name: [SectionSum(int(ops[c, k]), float(ns[c, k]), int(count[c, k])) for c in range(len(ns))]
        for k, name in enumerate(SECTIONS)
    }


def spread_within(turns: Turns, before: int, after: int, kinds: Sequence[str], seed: int) -> float | None:
    """Standard deviation of the logarithm of the launch's ratio, from its turns alone; None where that cannot be
    known: there is one storm only, or no such section."""
    of = [SECTIONS.index(kind) for kind in kinds]
    storms, _, _, length, _ = turns.nanoseconds.shape
    ops = turns.operations[:, :, of].sum(axis=(1, 2))  # [cpu]
    if storms < 2 or not ops.any():
        return None
    edges = np.arange(0, length, BLOCK)
    blocks = [  # [storm, block, cpu]
        np.add.reduceat(turns.nanoseconds[:, design][..., of].sum(axis=-1), edges, axis=2).transpose(0, 2, 1)
        for design in (before, after)
    ]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(storms, size=(RESAMPLES, storms, len(edges)))
    at = np.arange(len(edges))
    rates = [_rate(storms * ops, of_design[drawn, at].sum(axis=(1, 2))) for of_design in blocks]
    return float(np.log(rates[1] / rates[0]).std(ddof=1)) * float(np.sqrt(storms / (storms - 1)))


def _rate(ops: np.ndarray, ns: np.ndarray) -> np.ndarray:
    """As `stress.judge.ratio.concurrent_rate`, along the last axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(ns > 0, ops / ns, 0.0).sum(axis=-1))
