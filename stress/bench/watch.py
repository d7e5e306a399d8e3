"""What disturbed a part of the benchmark, graded as a run's blocks are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import msgspec

from stress.measure.records import Block
from stress.measure.trust import grade_block
from stress.process import host


class Disturbance(msgspec.Struct, kw_only=True):
    """Of one part. grade: good, fair or poor; reasons: for anything but good."""

    part: str
    seconds: float = 0.0
    involuntary_switches: int = 0
    steal_ticks: int = 0
    waited_seconds: float | None = None
    grade: str = "good"
    reasons: list[str] = []


@contextlib.contextmanager
def watched(part: str, pids: Sequence[int], cpus: Sequence[int]) -> Iterator[Disturbance]:
    """Fill in what disturbed these processes on these CPUs inside the `with` block."""
    found = Disturbance(part=part)
    before, began = host.read_counters(pids, cpus), time.monotonic_ns()
    yield found
    wall = time.monotonic_ns() - began
    counted = host.read_counters(pids, cpus).since(before)
    found.seconds = wall / 1e9
    found.involuntary_switches = counted.involuntary_switches
    found.steal_ticks = counted.steal_ticks
    found.waited_seconds = None if counted.waited_ns is None else counted.waited_ns / 1e9
    block = Block(
        design=part,
        pair=0,
        warmup=False,
        wall_ns=wall,
        sections={},
        involuntary_switches=counted.involuntary_switches,
        steal_ticks=counted.steal_ticks,
        waited_ns=counted.waited_ns,
        long_stalls=counted.kept_waiting()[1],
    )
    found.grade, found.reasons = grade_block(block, len(cpus))
