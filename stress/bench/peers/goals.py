"""What was promised of the comparison, and what became of it.

A promise covers several cells (sizes, one and two CPUs): its figure is that of the worst one, and where that was.
"""

from __future__ import annotations

import dataclasses

from stress.bench.goal import Goal, one_goal
from stress.bench.peers.catalogue import BASELINE
from stress.bench.peers.result import Cell, Peers
from stress.bench.peers.tapes import TITLES
from stress.judge.ratio import Ratio
from stress.show.units import plural

BEST = "the best"
_CANDIDATES = ("glibc", "mimalloc", "jemalloc", "tcmalloc")


@dataclasses.dataclass(frozen=True, slots=True)
class Promise:
    """The time of a program over that of another one is at most `limit`, on these workloads."""

    program: str
    other: str
    limit: float
    workloads: tuple[str, ...]


PROMISES = (
    Promise("slub", "slub in C", 1.3, ("pairs", "batches", "random", "remote")),
    Promise("slub", "glibc", 1.0, ("batches",)),
    Promise("slub", "glibc", 1.0, ("random",)),
    Promise("linux-6.18", "mimalloc", 1.0, ("pairs", "batches")),
    Promise("linux-6.18", BEST, 1.2, ("random", "remote")),
    Promise("linux-7.0", "mimalloc", 1.0, ("pairs", "batches")),
    Promise("linux-7.0", BEST, 1.2, ("random", "remote")),
)


def against(program: str) -> list[str]:
    """The programs whose time this one's is divided by, the baseline first."""
    others = [promise.other for promise in PROMISES if promise.program == program]
    named = [other for one in others for other in (_CANDIDATES if one == BEST else (one,))]
    return list(dict.fromkeys([BASELINE, *named]))


def peer_goals(found: Peers) -> list[Goal]:
    """Every promise, judged by its worst cell."""
    return [_judged(promise, found) for promise in PROMISES]


def _judged(promise: Promise, found: Peers) -> Goal:
    name = f"{promise.program} / {promise.other}: {', '.join(promise.workloads)}"
    measured = [
        (ratio.estimate, ratio, cell)
        for cell in found.cells
        if cell.workload in promise.workloads
        and (ratio := _ratio(promise, cell)) is not None
        and ratio.estimate is not None
    ]
    if not measured:
        missing = [one.missing for one in found.players if one.name == promise.other and one.missing]
        return one_goal(name, "ratio", "at most", promise.limit, None, missing[0] if missing else "not measured")
    _, worst, where = max(measured, key=lambda one: one[0])
    within = sum(estimate <= promise.limit for estimate, _, _ in measured)
    about = (
        f"{TITLES[where.workload]}, {where.size} B, {plural(where.cpus, 'CPU')};"
        f" within the limit in {within} of {plural(len(measured), 'cell')}"
    )
    return one_goal(f"{name} (worst: {about})", "ratio", "at most", promise.limit, worst)


def _ratio(promise: Promise, cell: Cell) -> Ratio | None:
    ratios = cell.ratios.get(promise.program, {})
    other = promise.other
    if other == BEST:
        there = [name for name in _CANDIDATES if name in cell.nanoseconds]
        if not there:
            return None
        other = min(there, key=cell.nanoseconds.__getitem__)
    return ratios.get(other)
