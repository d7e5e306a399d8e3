"""The published Trace Event Format, as far as this project writes it (docs.google.com "Trace Event Format")."""

from __future__ import annotations

import json
from typing import Any

COUNTED = (int, float)
ROUNDING = 1e-6  # microseconds: a picosecond


def check(data: bytes) -> list[dict[str, Any]]:
    """The events of a trace; AssertionError where one is not as the format wants it."""
    trace = json.loads(data)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    events = trace["traceEvents"]
    named, arrows, spans = set(), {}, {}
    for event in events:
        assert isinstance(event["name"], str) and event["name"]
        assert type(event["pid"]) is int and type(event["tid"]) is int
        assert isinstance(event["ts"], COUNTED) and event["ts"] >= 0
        match event["ph"]:
            case "M":
                assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
                key = "sort_index" if event["name"].endswith("index") else "name"
                assert isinstance(event["args"][key], int if key == "sort_index" else str)
                named.add((event["pid"], event["tid"]) if event["name"] != "process_name" else event["pid"])
            case "X":
                assert isinstance(event["dur"], COUNTED) and event["dur"] >= 0
            case "i":
                assert event["s"] in ("g", "p", "t")
            case "C":
                assert event["args"] and all(isinstance(v, COUNTED) for v in event["args"].values())
            case "b" | "e":
                spans.setdefault((event["pid"], event["cat"], event["id"]), []).append((event["ph"], event["ts"]))
            case "s" | "f":
                assert event["ph"] == "s" or event["bp"] == "e"
                arrows.setdefault((event["cat"], event["id"]), []).append(event)
            case other:
                raise AssertionError(f"no phase that we write: {other}")
    slices = [e for e in events if e["ph"] == "X"]
    begun = {(e["pid"], e["tid"], e["ts"]) for e in slices}
    for event in events:
        assert event["pid"] in named
        assert event["ph"] in "MC" or (event["pid"], event["tid"]) in named, event
    for pair in spans.values():
        assert [ph for ph, _ in pair] == ["b", "e"] and pair[0][1] <= pair[1][1]
    for source, target in arrows.values():
        assert (source["ph"], target["ph"]) == ("s", "f") and source["ts"] <= target["ts"]
        for end in (source, target):  # an arrow begins and ends in a slice
            assert (end["pid"], end["tid"], end["ts"]) in begun or any(
                (e["pid"], e["tid"]) == (end["pid"], end["tid"]) and e["ts"] <= end["ts"] <= e["ts"] + e["dur"]
                for e in slices
            ), end
    _nested(slices)
    return events


def _nested(slices: list[dict[str, Any]]) -> None:
    """Within a row slices lie in one another or apart."""
    open_: dict[tuple[int, int], list[float]] = {}
    for event in sorted(slices, key=lambda e: (e["pid"], e["tid"], e["ts"], -e["dur"])):
        ends = open_.setdefault((event["pid"], event["tid"]), [])
        while ends and ends[-1] <= event["ts"] + ROUNDING:
            ends.pop()
        assert not ends or event["ts"] + event["dur"] <= ends[-1] + ROUNDING, event
        ends.append(event["ts"] + event["dur"])
