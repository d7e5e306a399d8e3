"""That the checker of traces finds what viewers would stumble over."""

from __future__ import annotations

import json

import pytest
from trace_format import check

from stress.show.trace_events import Trace


def sound() -> dict:
    """A trace with one of everything."""
    trace = Trace()
    trace.process(1, "a pass")
    for row in (0, 1):
        trace.row(1, row, f"cpu{row}")
        trace.slice(1, row, "alloc", 1.0, 2.0, {"slot": 3})
    trace.slice(1, 0, "within", 1.5, 0.5)
    trace.instant(1, 1, "preempted", 2.0)
    trace.overlapping(1, 0, "list_lock", 1.0, 5.0, 0)
    trace.counter(1, "dead caches", 1.0, {"dead caches": 4})
    trace.arrow(1, "object", (0, 1.0), (1, 2.0))
    return json.loads(trace.encode({"command": "none"}))


FAULTS = {
    "a slice that ends within another": ("within", {"dur": 9.0}),
    "an arrow from nowhere": ("object", {"ts": 99.0}),
    "a row without a name": ("alloc", {"tid": 7}),
    "a process without a name": ("preempted", {"pid": 2}),
    "a time before the beginning": ("dead caches", {"ts": -1.0}),
    "a length that is text": ("alloc", {"dur": "2"}),
    "a counter of words": ("dead caches", {"args": {"dead caches": "four"}}),
    "a span that is not closed": ("list_lock", {"ph": "b"}),
    "an event without a name": ("preempted", {"name": ""}),
    "a phase of another format": ("preempted", {"ph": "B"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault):
    trace = sound()
    assert len(check(json.dumps(trace).encode())) == 14
    name, change = FAULTS[fault]
    next(event for event in reversed(trace["traceEvents"]) if event["name"] == name).update(change)
    with pytest.raises(AssertionError):
        check(json.dumps(trace).encode())
