"""One point of the curve: a design on a number of CPUs, played in virtual time and summed up."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from allocators.designs import parse_design
from scenarios.tape import OP_MASK, OPERATIONS, SECTIONS, Workload
from shm.locks import LOCK_CLASSES
from shm.virtual.words import VERSION_AT, WHATS, WHERES
from stress.judge.ratio import concurrent_rate
from stress.measure.latency import summarise
from stress.measure.records import Census
from stress.play.arena import Arena, BlockSettings
from stress.play.census import pinned_now, section_sums, take_census
from stress.play.virtual import STATS, STEPS, VirtualTime, features_of, slack_of
from stress.profiles.profile import Profile
from stress.result.data import Violation
from stress.simulate.names import Named
from stress.simulate.result import Dead, DeadSample, LineUse, LockUse, Point

PS_PER_NS = 1000
HOTTEST = 8  # locks and lines that are kept
SAMPLES = 256


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What a point is made of.

    memory: of the arena, bytes. settle: kernel seconds for timers after the tapes. warm: the tapes are played twice,
    and the second time, when caches are warm, counts. page_lists: CPUs have lists of pages of their own.
    memoryless: so many of the nodes, the last ones, have no memory. step: see `stress.play.virtual.slack_of`. crowded:
    the kworker has no CPU of its own.
    """

    design: str
    allocator: str
    cpus: int
    nodes: int
    profile: Profile
    memory: int
    seed: int
    settle: float
    load: Workload
    warm: bool = False
    page_lists: bool = True
    memoryless: int = 0
    step: str = "access"
    crowded: bool = False


class Watch(Protocol):
    """Who looks at a world in virtual time. steps: operations between two looks; ms: of virtual time. At the end it is
    at rest."""

    steps: int

    def look(self, arena: Arena, ms: float) -> None: ...

    def end(self, arena: Arena) -> None: ...


def play_point(job: Job, tick: Callable[[float], None], watch: Watch | None = None) -> Point:
    """Play it. tick: called with the share that is done. Raises UsageError when its tables cannot be had."""
    began = time.monotonic()
    with begun(job, lambda: tick(0.0)) as (arena, virtual, features):
        return _played(job, arena, virtual, features, tick, began, watch)


@contextlib.contextmanager
def begun(job: Job, warming: Callable[[], None] = lambda: None) -> Iterator[tuple[Arena, VirtualTime, frozenset[str]]]:
    """A point whose first operation comes next: its arena, its tables, and the features of its program.

    warming: called while caches are made warm. Raises UsageError when its tables cannot be had.
    """
    features = features_of(job.design, job.allocator)
    booted = features - STATS - {"VTIME"}
    arena = Arena(
        job.load,
        job.allocator,
        features=booted,
        nodes=job.nodes,
        memoryless=job.memoryless,
        sheaves=parse_design(job.design).sheaves(),
        memory=job.memory,
        serial=True,
    )
    try:
        settings = BlockSettings(seed=job.seed, settle_ns=int(job.settle * 1e9))
        arena.reset(booted, settings)
        slack = slack_of(job.step, job.profile)
        virtual = VirtualTime(arena, booted, job.profile, job.page_lists, slack, job.crowded)
        try:
            if job.warm:
                virtual.play(warming)
                arena.reset(booted, settings)
                virtual.rewind()
            yield arena, virtual, features
        finally:
            virtual.close()
    finally:
        arena.close()


def _played(
    job: Job,
    arena: Arena,
    virtual: VirtualTime,
    features: frozenset[str],
    tick: Callable[[float], None],
    began: float,
    watch: Watch | None,
) -> Point:
    total = max(1, sum(map(len, job.load.tapes)))
    curve: list[DeadSample] = []

    def look() -> None:
        _sample(arena, virtual, curve)
        tick(int(arena.plays()["operations"].sum()) / total)
        if watch is not None:
            watch.look(arena, virtual.horizon() / 1e9)

    finished = virtual.play(look, STEPS if watch is None else watch.steps)
    _sample(arena, virtual, curve)
    spent = virtual.spent().copy()
    span = int(virtual.vcpus()["ended"][: job.cpus].max())
    locks, lines = _locks(arena, virtual, span, job.cpus), _lines(arena, virtual, span, job.cpus)
    virtual.end()
    if watch is not None:
        watch.end(arena)
    census = take_census(arena, job.design, features - {"VTIME"}, float(PS_PER_NS))
    operations = sum(int(np.isin(tape & OP_MASK, OPERATIONS).sum()) for tape in job.load.tapes)
    rates, ns = _rates(arena)
    return Point(
        design=job.design,
        cpus=job.cpus,
        nodes=job.nodes,
        operations=operations,
        ms=span / 1e9,
        rates=rates,
        ns=ns,
        spent=_spent(spent[: job.cpus].sum(axis=0), max(1, operations)),
        kworker=_spent(spent[job.cpus], max(1, operations)),
        latencies={path: summarise([one]) for path, one in census.latencies.items()},
        locks=locks,
        lines=lines,
        dead=_dead(census, curve),
        counts=_counts(census),
        violations=[Violation(invariant=name, design=job.design, description=text) for name, text in census.violated],
        stuck=None if finished else "no CPU can move any more: a tape waits for something that never comes",
        seconds=round(time.monotonic() - began, 3),
    )


def _sample(arena: Arena, virtual: VirtualTime, curve: list[DeadSample]) -> None:
    """Keep a look at the dead caches; when there are too many, every second one goes."""
    dead, pages = pinned_now(arena)
    curve.append(DeadSample(ms=virtual.horizon() / 1e9, caches=dead, pages=pages))
    if len(curve) > SAMPLES:
        del curve[1:-1:2]


def _rates(arena: Arena) -> tuple[dict[str, float], dict[str, float]]:
    """Operations a second of all CPUs, and ns of one CPU an operation, by kind of section; and of all frees."""
    sums = section_sums(arena, float(PS_PER_NS))
    sums["frees"] = [
        dataclasses.replace(
            live, operations=live.operations + dead.operations, nanoseconds=live.nanoseconds + dead.nanoseconds
        )
        for live, dead in zip(sums["live"], sums["dead"])
    ]
    rates, each = {}, {}
    for kind in (*SECTIONS, "frees"):
        operations, ns = [one.operations for one in sums[kind]], [one.nanoseconds for one in sums[kind]]
        rate = concurrent_rate(operations, ns)
        if rate is not None:
            rates[kind] = round(rate, 1)
            each[kind] = round(sum(ns) / sum(operations), 4)
    return rates, each


def _spent(table: np.ndarray, operations: int) -> dict[str, dict[str, float]]:
    """ns an operation by where and what; what is nothing is left out."""
    whats = (*WHATS, *LOCK_CLASSES)
    found = {}
    for where, row in zip(WHERES, table.tolist(), strict=True):
        named = {what: round(ps / PS_PER_NS / operations, 4) for what, ps in zip(whats, row, strict=True) if ps}
        if named:
            found[where] = named
    return found


def _locks(arena: Arena, virtual: VirtualTime, span: int, cpus: int) -> list[LockUse]:
    """The locks that are waited for most, then those that are held most."""
    found = virtual.calendars()
    order = np.lexsort((found["lock"], -found["held"], -found["waited"]))[:HOTTEST]
    names = Named(arena)
    return [
        LockUse(
            name=names.of(int(one["lock"])),
            kind=LOCK_CLASSES[int(one["kind"])],
            acquired=int(one["acquired"]),
            contended=int(one["contended"]),
            busy=round(min(1.0, int(one["held"]) / max(1, span)), 6),
            waited=round(int(one["waited"]) / max(1, span * cpus), 6),
            longest_ns=int(one["longest"]) / PS_PER_NS,
        )
        for one in found[order]
    ]


def _lines(arena: Arena, virtual: VirtualTime, span: int, cpus: int) -> list[LineUse]:
    """The lines that are waited for most."""
    touched = virtual.touched_lines()
    stalled = virtual.lines()["stalled"][touched]
    touched, stalled = touched[stalled > 0], stalled[stalled > 0]
    least = np.partition(stalled, -HOTTEST)[-HOTTEST] if len(stalled) > HOTTEST else 0
    top = np.flatnonzero(stalled >= least)
    top = top[np.lexsort((touched[top], -stalled[top]))][:HOTTEST]
    names = Named(arena)
    return [
        LineUse(
            name=names.of(int(touched[at]) << 3),
            stalled=round(int(stalled[at]) / max(1, span * cpus), 6),
            taken=int(virtual.states()[touched[at]]) >> VERSION_AT,
        )
        for at in top.tolist()
    ]


def _dead(census: Census, curve: list[DeadSample]) -> Dead:
    lived = sorted(census.lifetimes_ns)

    def upto(share: float) -> float | None:
        return lived[min(len(lived) - 1, int(share * len(lived)))] / 1e6 if lived else None

    return Dead(
        offlined=census.offlined,
        destroyed=census.destroyed,
        left=census.offlined - census.destroyed,
        lifetime_p50_ms=upto(0.5),
        lifetime_p99_ms=upto(0.99),
        lifetime_max_ms=upto(1.0),
        curve=curve,
    )


def _counts(census: Census) -> dict[str, int]:
    """What the report speaks of; the allocator's own statistics are in `run`'s results."""
    wanted = (
        "free",
        "dead_free",
        "alloc",
        "ipi",
        "page_alloc",
        "page_free",
        "slow",
        "this_cpu_cas",
        "page_cas",
        "drain_obj_stock",
        "objcg_charge",
    )
    return {name: census.operations[name] for name in wanted} | {
        "pages_left": census.pages_left,
        "failed_allocations": census.failed_allocations,
    }
