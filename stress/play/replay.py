"""Replay of a recorded kernel trace: what the model predicts beside what the kernel did.

Serial play keeps the recorded global order exactly, so each operation's path (fast or slow) can be
compared; parallel play keeps each CPU's order and the order of every object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from allocators.caches.boot import all_caches
from allocators.caches.kinds import KINDS
from allocators.catalogue import ALLOCATORS
from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.world import WORLD, WORLD_AT
from scenarios.tape import (
    OPERATIONS,
    Workload,
    decode,
)
from scenarios.traces import ABSENT, FAST, NEVER, UNRECORDED, Recording, TraceError
from stress import engine
from stress.play.arena import Arena
from stress.play.options import MAX_PROCESSES, RunOptions
from stress.play.turns import timed
from stress.process.errors import UsageError
from stress.recordings.workload import open_recording
from stress.show.progress import Progress

WORST = 10


class Replay:
    """A recording with its workload, and the comparison of each design that has been played.

    summary: what goes into the result, filled by `compare`.
    Raises UsageError for a trace that cannot be read.
    """

    def __init__(self, options: RunOptions, trace: Path, progress: Progress) -> None:
        cpus, serial = options.world.cpus, options.measuring.serial
        progress.phase(f"reading {trace}")
        try:
            self.load, self.recording = open_recording(
                trace,
                options.cgroups_by,
                seed=options.measuring.seed,
                progress=lambda done, total: progress.advance(done / max(1, total), f"reading {trace}"),
            )
        except TraceError as error:
            raise UsageError(f"--trace: {error}") from None
        if cpus not in (None, self.load.cpus):
            raise UsageError(f"--cpus {cpus}: the trace was recorded on {self.load.cpus} CPUs; leave the option away")
        if not serial and self.load.cpus > MAX_PROCESSES:
            raise UsageError(
                f"--trace: recorded on {self.load.cpus} CPUs, and a CPU is a process, of which {MAX_PROCESSES} are "
                "allowed; add --serial"
            )
        self.recorded = self.load  # in its exact order, if that is known
        if not serial:
            self.load = dataclasses.replace(self.load, tapes=tuple(map(timed, self.load.tapes)), order=None)
        self.summary: dict[str, Any] = {
            "format": self.recording.layout,
            "kernel": self.recording.kernel,
            "order": "exact global order" if serial else "order of each CPU and each object",
            "operations": self.load.operations(),
            "unplaced": {u.reason: u.count for u in self.recording.unplaced},
            "designs": {},
        }
        if self.recording.notes:
            self.summary["notes"] = "; ".join(self.recording.notes)

    def compare(self, arena: Arena, design: str) -> None:
        """Add a design's figures; the arena holds what its pass left."""
        r = self.recording
        ours_end, created = slabs_now(arena)
        theirs_end = np.where(r.kernel_slabs_at_end == ABSENT, r.slabs_at_end, r.kernel_slabs_at_end)
        marks = arena.marks()
        # Slabs are told relative to the beginning; a replay that begins empty in mid-life has nothing to compare with.
        known = np.ones(len(theirs_end), bool) if r.begins or not r.slabs_before.any() else r.slabs_before == 0
        if r.begins:
            began = marks[0].copy()
            ours_end, created, marks = ours_end - began, created - int(began.sum()), marks - began
        off = np.abs(ours_end - theirs_end)
        worst = sorted(np.flatnonzero(off), key=lambda i: -off[i])[:WORST]
        if not r.rows or not (r.slabs_created.any() or r.slabs_before.any() or (r.kernel_slabs_at_end != ABSENT).any()):
            # Events alone: the recording says nothing of slabs, so there is only the prediction.
            self.summary["designs"][design] = {
                "slabs": {
                    "created": [int(created), None],
                    "discarded": [int(created - ours_end.sum()), None],
                    "at the end": [int(ours_end.sum()), None],
                }
            }
            return
        figures: dict[str, Any] = {
            "caches_total": int(known.sum()),
            "caches_within_1": int((off[known] <= 1).sum()),
            "slabs": {
                "created": [int(created), int(r.slabs_created.sum())],
                "discarded": [int(created - ours_end.sum()), int(r.slabs_discarded.sum())],
                "at the end": [int(ours_end.sum()), int(theirs_end.sum())],
            },
            "marks": [
                {"name": name, "predicted": int(marks[i].sum()), "recorded": int(r.slabs_at_mark[i].sum())}
                for i, name in enumerate(self.load.marks)
            ],
            "caches_within_1_at_every_mark": int((np.abs(marks - r.slabs_at_mark)[:, known] <= 1).all(axis=0).sum())
            if len(marks)
            else None,
            "worst": [
                {"cache": self.load.caches[i].name, "predicted": int(ours_end[i]), "recorded": int(theirs_end[i])}
                for i in worst
            ],
        }
        if r.begins:
            figures["snapshots"] = [dataclasses.asdict(s) for s in snapshots(r, self.load.marks, marks)]
        gone = int((r.destroyed_row != NEVER).sum())
        if gone:
            figures["caches_destroyed_recorded"] = gone
            figures["caches_destroyed_predicted"] = int(arena.words[WORLD_AT + WORLD.destroyed])
        if arena.load.order is not None and "outcomes" in arena.plan.regions:
            agreement = self.path_agreement(arena)
            if agreement is not None:
                figures["fast_slow_agreement"], figures["paths_that_differ"] = agreement
        self.summary["designs"][design] = {k: v for k, v in figures.items() if v is not None}

    def path_agreement(self, arena: Arena) -> tuple[float, int] | None:
        """(share of operations that took the recorded path, how many did not); None if unrecorded."""
        codes = operations_in_order(self.load)
        outcomes = arena.outcomes()[np.isin(codes, OPERATIONS)]
        recorded = self.recording.fast != UNRECORDED
        if not recorded.any():
            return None
        same = (outcomes == engine.FAST) == (self.recording.fast == FAST)
        return float(same[recorded].mean()), int((~same[recorded]).sum())


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """What the kernel's own counters said at a mark beside the replay: slabs come since the beginning, in all caches of
    the trace; of `caches` how many are `near`, by 5 % of their slabs or 2."""

    name: str
    predicted: int
    recorded: int
    before: int
    near: int
    caches: int


def near(predicted: np.ndarray, recorded: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Per cache, whether its slabs are within 5 % of the kernel's, or two. Slabs since the beginning, and before it."""
    return np.abs(predicted - recorded) <= np.maximum(2, 0.05 * (recorded + before))


def snapshots(r: Recording, names: Sequence[str], marks: np.ndarray) -> list[Snapshot]:
    """Of a replay that began in the recorded state. names, marks: of the marks, slabs as [mark, cache] since then."""
    found = []
    for index, name in enumerate(names):
        theirs = r.kernel_slabs_at_mark[index]
        if (theirs != ABSENT).all():
            ok = near(marks[index], theirs, r.slabs_before)
            sums = (int(marks[index].sum()), int(theirs.sum()), int(r.slabs_before.sum()))
            found.append(Snapshot(name, *sums, int(ok.sum()), len(ok)))
    return found


def operations_in_order(load: Workload) -> np.ndarray:
    """Opcode of every operation of the global order, which there must be."""
    assert load.order is not None
    codes = np.empty(len(load.order), np.int64)
    for cpu, tape in enumerate(load.tapes):
        codes[load.order == cpu] = decode(tape)[0][:-1]
    return codes


def slabs_now(arena: Arena) -> tuple[np.ndarray, int]:
    """(slabs per cache index, slabs ever created in all caches), the world at rest.

    Children that the model made itself count for their root.
    """
    m = arena.machine(frozenset(), 0)
    slabs = np.zeros(len(arena.load.caches), np.int64)
    deeds = KINDS[arena.allocator]
    item = ALLOCATORS[arena.allocator].statistics.index(deeds.created)
    created = int(arena.words[arena.plan["retired"] + item])
    for s in all_caches(m):
        index = m.mem[s + CACHE.index]
        if index < 0:
            index = m.mem[m.mem[s + CACHE.root] + CACHE.index]
        for node in range(arena.layout.limits.nodes):
            slabs[index] += m.mem[m.mem[s + CACHE.node] + node * NODE.SIZE + NODE.nr_slabs]
        created += sum(deeds.read(m, s, arena.layout.nr_cpus)[deeds.created])
    return slabs, created
