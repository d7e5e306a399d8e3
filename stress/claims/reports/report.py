"""What was reported, as data, and what became of it.

A report has rows: a figure that somebody published, as the ratio of a rate to that of another kernel, and how it is
played. It has explanations, which are claims too: what goes away without its cause was explained.
"""

from __future__ import annotations

import dataclasses
import enum
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from stress.result.data import Violation

if TYPE_CHECKING:
    from scenarios.tape import Workload
    from stress.claims.lab import Lab

TOLERANCE = 0.15  # of a ratio: what ratios of virtual time are held to against this machine (docs/scale.md)
DEFAULT_MACHINE = "epyc-2022"


class Verdict(str, enum.Enum):
    REPRODUCED = "reproduced"
    NOT = "not"
    UNKNOWN = "cannot tell"


class Measure(str, enum.Enum):
    """What of a point is compared.

    FLOW: objects a second that pass from those who allocate to those who free, the slower of both. LIFE: allocations
    and frees a second of one CPU, its time in both.
    """

    FLOW = "flow"
    LIFE = "life"


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What is played. text: what distinguishes it, for people. operations: of a point, about, where it can be sized.

    think_ns: other work that a CPU does with each allocation and free. untimed: of a CPU's timed sections, so many
    first ones, in which there are no slabs yet. paced_ns: of a CPU that an object takes on the
    kernel that others are compared with, as reported: think_ns is set so that it comes out there, whatever comes out
    on the others. tapes: made of the number of CPUs and a seed, where no scenario is like it.
    """

    text: str
    scenario: str
    settings: tuple[tuple[str, str], ...]
    cpus: int
    nodes: int = 1
    memoryless: int = 0
    machine: str = DEFAULT_MACHINE
    measure: Measure = Measure.LIFE
    operations: int = 400_000
    think_ns: int = 0
    untimed: int = 0
    paced_ns: float = 0.0
    tapes: Callable[[int, int], Workload] | None = None

    def command(self, before: str, *after: str) -> str:
        """The command that plays it, with its seed 1; "" where there is none."""
        if self.tapes is not None:
            return ""
        words = ["python", "-m", "stress", "simulate", "--scenario", self.scenario]
        for key, value in self.settings:
            words += ["--set", f"{key}={value}"]
        words += ["--before", before]
        for design in dict.fromkeys(after):
            words += ["--after", design]
        words += ["--cpus", str(self.cpus), "--nodes", str(self.nodes)]
        if self.memoryless:
            words += ["--memoryless", str(self.memoryless)]
        command = shlex.join([*words, "--machine", self.machine, "--operations", str(self.operations)])
        notes = [f"its profile with call = {self.think_ns}"] if self.think_ns else []
        notes += [f"{self.untimed} sections of each CPU untimed"] if self.untimed else []
        return f"{command}  # {', '.join(notes)}" if notes else command


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """A kernel: a design in a setting."""

    design: str
    setting: Setting


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """after's rate over before's. text: which value of what the report leaves open this is."""

    before: Side
    after: Side
    text: str = ""


def pair(before: str, after: str, setting: Setting, after_setting: Setting | None = None) -> Pair:
    """Two designs in one setting, or the second one in its own."""
    return Pair(Side(before, setting), Side(after, after_setting or setting), setting.text)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    low, high: the reported ratio of rates, a band where there were several; high None: it was called faster, without
    a figure; low None: nothing was told. pairs: how it is played, one for each value of what the report does not say.
    alone: the benchmark does nothing but allocate and free, or its other work is played (Setting.paced_ns); else the
    allocator has an unknown share of its time. same: the report says that there is no difference. native: what two
    CPUs here play as well.
    """

    name: str
    low: float | None
    high: float | None
    pairs: tuple[Pair, ...]
    alone: bool = False
    same: bool = False
    native: Setting | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """Why, in somebody's words. loss: what is to be explained; cured: the same without the cause, against the same.

    stays: the loss must stay in `cured`, where the cause is all that is left of it.
    """

    sentence: str
    who: str
    loss: Pair
    cured: Pair
    stays: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """A published share, in percent, and what counts it. within: percentage points."""

    name: str
    published: float
    counted: Callable[[Lab], float]
    within: float = 0.005


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """machine: what it was reported of, and what stands for it. lacking: why nothing can be played."""

    id: str
    title: str
    who: str
    source: str
    machine: str
    rows: tuple[Row, ...] = ()
    counts: tuple[Count, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    lacking: str = ""


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """One way to play a row. ratios: by seed. rates: before and after, of the first seed, see `Measure`. share: of its
    time that the benchmark must spend in the allocator for the reported ratio to come out. mechanism: what the slower
    kernel spends its time on."""

    setting: str
    ratios: list[float]
    rates: list[float]
    verdict: Verdict
    reason: str
    share: float | None = None
    mechanism: str = ""


class RowOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """reported: low and high. native: the ratio on two CPUs here and its interval, allocations and frees."""

    name: str
    reported: list[float | None]
    predicted: list[Predicted]
    tolerance: float
    verdict: Verdict
    reason: str
    native: str = ""


class ExplanationOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """cured: the share of the loss (of its logarithm) that goes with the cause."""

    sentence: str
    who: str
    loss: float | None
    rest: float | None
    cured: float | None
    verdict: Verdict
    reason: str


class CountOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """In percent."""

    name: str
    published: float
    counted: float | None
    verdict: Verdict
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A report that was played. remark: what was found where it misses (`remarks`)."""

    id: str
    title: str
    who: str
    source: str
    machine: str
    verdict: Verdict
    reason: str
    rows: list[RowOutcome]
    counts: list[CountOutcome]
    explanations: list[ExplanationOutcome]
    remark: str
    commands: list[str]
    violated: list[Violation]
    seconds: float
