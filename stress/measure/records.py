"""What a run measured, before anybody interprets it: the plain records between engine and report.

The coordinator fills these; `stress.measure` turns them into figures, `stress.report` into text.
Times are nanoseconds of one monotonic clock, counts are exact.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from stress.judge.looks import Plan
from stress.judge.margin import DEFAULT_MARGIN

if TYPE_CHECKING:
    import numpy as np


FREES = ("live", "dead")  # kinds of section that hold nothing but frees


@dataclasses.dataclass(slots=True)
class SectionSum:
    """All timed sections of one kind on one CPU in one block."""

    operations: int = 0
    nanoseconds: float = 0.0
    sections: int = 0


@dataclasses.dataclass(slots=True)
class Block:
    """What one launch measured under one design: all of its storms. A warm-up is a pass of the tapes before any launch.

    sections[kind][cpu], kind being one of `scenarios.tape.SECTIONS`: those that were not interrupted.
    `pair` joins the blocks that are compared with each other: the number of their launch. wall_ns: of its turns.
    disturbed: of its `turns` so many, in which a timed section was interrupted.
    """

    design: str
    pair: int
    warmup: bool
    wall_ns: int
    sections: dict[str, list[SectionSum]]
    involuntary_switches: int = 0
    steal_ticks: int = 0
    waited_ns: int | None = None
    long_stalls: int | None = None
    failed_allocations: int = 0
    storms: int = 1
    turns: int = 1
    disturbed: int = 0


@dataclasses.dataclass(slots=True)
class Latencies:
    """Operations that took one path (see `stress.engine.latency`). buckets: ns -> how many; longest: ns."""

    buckets: dict[float, int]
    longest: float


@dataclasses.dataclass(frozen=True, slots=True)
class Pinned:
    """What dead caches there were at a moment of a counted pass, kernel time, and what they pinned."""

    at_ns: int
    dead_caches: int
    pages: int
    cgroups: int


@dataclasses.dataclass(slots=True)
class Census:
    """State and exact counts at the end of one counted pass under one design.

    `lifetimes_ns`: for each dead cache that was destroyed, from its last free (or from the end of
    its offline, if nothing was alive then, or its slabs moved to the root cache) to its destruction, in kernel time.
    `empty_slabs`: hiding place -> slabs with no live object in caches of offline cgroups.
    `pages_left`: pages held by caches of offline cgroups. `operations`: list_lock,
    list_lock_contended, page_cas, page_cas_failed, ... summed over CPUs.
    `violated`: (invariant name, description) pairs; empty when all `checked` hold.
    """

    design: str
    offlined: int
    destroyed: int
    left: int
    lifetimes_ns: list[int]
    empty_slabs: dict[str, int]
    slabs_left: int
    pages_left: int
    frees: int
    dead_frees: int
    allocations: int
    failed_allocations: int
    stats: dict[str, int]
    operations: dict[str, int]
    checked: list[str]
    violated: list[tuple[str, str]]
    cgroups_pinned: int = 0
    # kind of free section -> frees, list_lock, list_lock_contended, page_cas, page_cas_failed inside it
    free_sections: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    latencies: dict[str, Latencies] = dataclasses.field(default_factory=dict)  # by path; none in serial play
    clock_ns: float | None = None  # what reading the cycle counter costs, taken off the latencies
    pinned: list[Pinned] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Turns:
    """The turns of a launch (see `stress.measure.turns`).

    nanoseconds[storm, design, cpu, turn, kind]: of the timed sections that count. operations[cpu, turn, kind]: in them,
    and sections: how many; the same for all storms and designs. left_out[storm, design, cpu, turn]: sections that were
    interrupted. switches, of the same shape: involuntary ones of the worker. took[storm, design, turn]: ns from the
    first CPU's beginning to the last one's end. position, of the same shape: when it was played among the turns of that
    moment, from 0.
    """

    nanoseconds: np.ndarray
    operations: np.ndarray
    sections: np.ndarray
    left_out: np.ndarray
    switches: np.ndarray
    took: np.ndarray
    position: np.ndarray

    @property
    def counted(self) -> int:
        """Sections that count, of all storms and designs together."""
        storms, designs, _ = self.took.shape
        return int(self.sections.sum()) * storms * designs

    @property
    def disturbed(self) -> np.ndarray:
        """[storm, design, turn]: was a section of it interrupted?"""
        disturbed: np.ndarray = self.left_out.max(axis=2) > 0
        return disturbed


@dataclasses.dataclass(slots=True)
class RunRecord:
    """Everything of one run. `damage` says in a sentence what cut the run short, if anything did."""

    scenario: str
    parameters: dict[str, object]
    allocator: str
    seed: int
    cpus: int
    nodes: int
    serial: bool
    baseline: str
    switches: dict[str, list[str]]  # design -> switches; baseline first, then in the order asked for
    blocks: list[Block]
    censuses: list[Census]
    damage: str = ""
    # (design, invariant, description) found in blocks other than the counted passes
    violated: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    interrupted: bool = False
    oversubscribed: bool = False
    seconds: float = 0.0
    command: str = ""
    machine: dict[str, object] = dataclasses.field(default_factory=dict)
    trace: dict[str, object] | None = None  # predicted against recorded, for trace replays
    margin: float = DEFAULT_MARGIN
    timed_seconds: float = 0.0  # real time of the launches, boots and tapes included
    launches: list[Turns] = dataclasses.field(default_factory=list)
    watched: bool = True  # the machine tells when a timed section is interrupted (`shm.preemption`)
    looks: Plan | None = None  # of --until-sure
    settings: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)  # design -> what it sets
