"""`python -m stress predict`: a recording that begins in mid-life, replayed from its recorded state several times.

Which slab has which holes is not recorded, so it is drawn, each time anew: how far the draws' predictions lie apart
says how much depends on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from allocators.catalogue import DEFAULT
from allocators.designs import Design
from scenarios.traces import ABSENT, Recording, TraceError
from stress.engine import counting_main, serial_ordered
from stress.play.arena import Arena
from stress.play.compiled import STATS, ready
from stress.play.replay import near
from stress.process.errors import UsageError
from stress.recordings.workload import open_recording
from stress.show.progress import Progress

MEMORY = 1 << 30  # bytes of page frames


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """slabs[draw, snapshot, cache] of one design since the beginning; recorded[snapshot, cache] and before[cache] the
    kernel's. active: caches that changed in the kernel or in a draw."""

    design: str
    names: tuple[str, ...]
    caches: tuple[str, ...]
    slabs: np.ndarray
    recorded: np.ndarray
    before: np.ndarray

    @property
    def median(self) -> np.ndarray:
        """Of the draws, [snapshot, cache]."""
        return np.median(self.slabs, axis=0)

    @property
    def near(self) -> np.ndarray:
        """Caches within 5 % or 2 slabs, [draw, snapshot]."""
        return np.array([[near(p, t, self.before).sum() for p, t in zip(one, self.recorded)] for one in self.slabs])


def predict(trace: Path, designs: Sequence[Design], draws: int, seed: int, progress: Progress) -> list[Prediction]:
    """Play the recording `draws` times on each design. Raises UsageError where it tells no state that it begins in."""
    played: dict[str, list[np.ndarray]] = {design.name: [] for design in designs}
    features = {design.name: design.features(DEFAULT) | STATS for design in designs}
    recording: Recording | None = None
    at = np.zeros(0, np.int64)
    names: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    for draw in range(draws):
        progress.phase(f"draw {draw + 1} of {draws}")
        try:
            load, recording = open_recording(trace, seed=seed + draw)
        except TraceError as error:
            raise UsageError(str(error)) from None
        if not recording.begins or load.order is None:
            raise UsageError(f"{trace}: tells no state that it begins in; take `run --serial --trace` for it")
        at = np.flatnonzero((recording.kernel_slabs_at_mark != ABSENT).all(axis=1))
        names = tuple(load.marks[i].removeprefix("SNAP_END ") for i in at)
        caches = tuple(spec.name for spec in load.caches)
        arena = Arena(load, DEFAULT, features=frozenset().union(*features.values()), memory=MEMORY, serial=True)
        try:
            ready([(counting_main, DEFAULT, each) for each in features.values()], progress.phase)
            for name, each in features.items():
                arena.reset(each)
                stuck = serial_ordered(
                    arena.machine(each, arena.kworker_cpu), arena.run, arena.plan["order"], len(load.order), 0
                )
                if stuck >= 0:
                    raise UsageError(f"{trace}: operation {stuck:,} cannot be played on {name}: it waits")
                marks = arena.marks()
                played[name].append(marks[at] - marks[0])
        finally:
            arena.close()
    assert recording is not None
    theirs = recording.kernel_slabs_at_mark[at]
    return [
        Prediction(name, names, caches, np.array(found), theirs, recording.slabs_before)
        for name, found in played.items()
    ]
