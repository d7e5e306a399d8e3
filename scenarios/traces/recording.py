"""What the kernel itself did while a trace was recorded: the other half of predicted against recorded.

A `Workload` holds what a replay is told to do, a `Recording` what must come out of it if the model
is true. Indices: a cache is its number in the trace (and in `Workload.caches`), a cgroup its number
in the workload, a row the number of the event in the file from 0 (line minus 2).
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

SLOW, FAST, UNRECORDED = 0, 1, 2  # values of Recording.fast
ABSENT = np.iinfo(np.int64).min  # a slab count that the kernel did not report
NEVER = -1  # a row that does not exist

_COUNTER = re.compile(r"(?:C(\d+)=)?(-?\d+)(?:\((-?\d+)\))?")


@dataclasses.dataclass(frozen=True, slots=True)
class Unplaced:
    """Recorded events that no tape can express: how many, the line of the first, and why."""

    reason: str
    count: int
    line: int


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """Something the kernel decided that a replay decides for itself: "shrink", "destroy" (of cache
    `index`) or "release" (of cgroup `index`), seen at `row`."""

    kind: str
    index: int
    row: int


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """See the module's text.

    layout: "linux-3.16-slub" or "linux-6.18-mixed".
    rows, row_counts: events in the file, in all and by their letter.
    fast: uint8 for each ALLOC and FREE in the order of `Workload.order`: FAST, SLOW, or UNRECORDED
        (this kernel does not tell, or the operation stands in for one that left no row).
    objects_per_slab: per cache, as the kernel chose it; 0 where unknown.
    slabs_before: slabs per cache that existed when the trace began.
    slabs_created, slabs_discarded: slabs per cache that came and went in the trace.
    slabs_at_mark: [mark, cache] created minus discarded up to each mark of `Workload.marks`.
    kernel_slabs_at_mark: the same from the kernel's own counters (sysfs), ABSENT where not read.
    kernel_slabs_at_end: the same at the end of the trace.
    kernel_counters: cache -> the kernel's SLUB_STATS and slab counts after the end, per-CPU parts
        as NAME_C0, NAME_C1 (empty where not recorded).
    created_row, offline_row, destroyed_row: per cache, NEVER where it did not happen.
    cgroups: names; index 0 is the root.
    begins: the workload makes the state that the trace began in first (`beginning`); mark 0 is behind that.
    """

    path: str
    kernel: str
    layout: str
    rows: int
    row_counts: dict[str, int]
    fast: np.ndarray
    objects_per_slab: np.ndarray
    slabs_before: np.ndarray
    slabs_created: np.ndarray
    slabs_discarded: np.ndarray
    slabs_at_mark: np.ndarray
    kernel_slabs_at_mark: np.ndarray
    kernel_slabs_at_end: np.ndarray
    kernel_counters: dict[int, dict[str, int]]
    created_row: np.ndarray
    offline_row: np.ndarray
    destroyed_row: np.ndarray
    cgroups: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    unplaced: tuple[Unplaced, ...]
    notes: tuple[str, ...]
    begins: bool = False

    @property
    def slabs_at_end(self) -> np.ndarray:
        """Slabs per cache created minus discarded in the whole trace."""
        return self.slabs_created - self.slabs_discarded


def counter_columns(name: str, text: str) -> dict[str, int]:
    """The numbers in a kernel's counter text, per CPU too.

    "104 C0=49 C1=55" -> {name: 104, name_C0: 49, name_C1: 55}; of "15(12) C0=15(12)", as
    slabs_cpu_partial has it, the first number goes to name_objects, the second to name_slabs.
    Raises ValueError for any other text.
    """
    numbers: dict[str, int] = {}
    for part in text.split():
        match = _COUNTER.fullmatch(part)
        if match is None:
            raise ValueError(f"{text!r} is no counter")
        cpu, first, second = match.groups()
        suffix = "" if cpu is None else f"_C{cpu}"
        if second is None:
            numbers[name + suffix] = int(first)
        else:
            numbers[f"{name}_objects{suffix}"] = int(first)
            numbers[f"{name}_slabs{suffix}"] = int(second)
    if not numbers:
        raise ValueError("an empty counter")
    return numbers
