"""The Trace Event Format of Chrome's tracing, which the Perfetto viewer opens too: events as JSON objects.

Of its kinds: X (complete: ts and dur), i (instant), C (counter), b and e (what overlaps, by id), s and f (an arrow
from one slice to another), M (names and order of rows). Times are microseconds, as the format has them, or parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Event = dict[str, Any]


class Trace:
    """Events of one process after another. A row is a thread: its tid counts from 0 in its process."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.arrows = 0

    def process(self, pid: int, name: str) -> None:
        """Name a process."""
        self.events.append({"ph": "M", "pid": pid, "tid": 0, "ts": 0, "name": "process_name", "args": {"name": name}})

    def row(self, pid: int, tid: int, name: str) -> None:
        """Name a row; rows are shown in the order of their numbers."""
        for what, args in (("thread_name", {"name": name}), ("thread_sort_index", {"sort_index": tid})):
            self.events.append({"ph": "M", "pid": pid, "tid": tid, "ts": 0, "name": what, "args": args})

    def slice(
        self, pid: int, tid: int, name: str, at: float, long: float, args: Mapping[str, Any] | None = None
    ) -> None:
        """Something that takes time; within a row slices lie in one another or apart."""
        event = {"ph": "X", "pid": pid, "tid": tid, "ts": at, "dur": long, "name": name, "cat": "run"}
        self.events.append(event | ({"args": dict(args)} if args else {}))

    def instant(self, pid: int, tid: int, name: str, at: float) -> None:
        """A moment on a row."""
        self.events.append({"ph": "i", "pid": pid, "tid": tid, "ts": at, "name": name, "cat": "switch", "s": "t"})

    def overlapping(self, pid: int, tid: int, name: str, at: float, long: float, number: int) -> None:
        """Something that may overlap others, such as a lock that is held. number: of its own in the process."""
        event = {"pid": pid, "tid": tid, "name": name, "cat": "lock", "id": number}
        self.events += [event | {"ph": "b", "ts": at}, event | {"ph": "e", "ts": at + long}]

    def counter(self, pid: int, name: str, at: float, values: Mapping[str, float]) -> None:
        """Numbers over time."""
        self.events.append({"ph": "C", "pid": pid, "tid": 0, "ts": at, "name": name, "args": dict(values)})

    def arrow(self, pid: int, name: str, source: tuple[int, float], target: tuple[int, float]) -> None:
        """From a slice to another, each as (row, a time within it)."""
        self.arrows += 1
        event = {"pid": pid, "name": name, "cat": "sees", "id": self.arrows}
        self.events.append(event | {"ph": "s", "tid": source[0], "ts": source[1]})
        self.events.append(event | {"ph": "f", "bp": "e", "tid": target[0], "ts": target[1]})

    def encode(self, about: Mapping[str, str]) -> bytes:
        """As JSON. about: what the trace is of."""
        return msgspec.json.encode({"traceEvents": self.events, "displayTimeUnit": "ns", "otherData": dict(about)})
