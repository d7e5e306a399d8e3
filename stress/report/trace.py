"""The part of a report that only replays of kernel traces have: predicted against recorded.

`figures` are (name, value) texts, `tables` small tables; both generic, so that a reader of another
trace format may add keys of its own: what is not known here is shown under its own name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from stress.show import units

KNOWN = {
    "format",
    "operations",
    "fast_slow_agreement",
    "caches_total",
    "caches_within_1",
    "slabs",
    "marks",
    "worst",
    "snapshots",
    "unplaced",
    "designs",
}


@dataclasses.dataclass(frozen=True, slots=True)
class SmallTable:
    """A titled table of texts; all columns but the first hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figures(trace: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Single figures of a replay as (name, value)."""
    found = []
    if "format" in trace:
        found.append(("format", str(trace["format"])))
    if "operations" in trace:
        found.append(("operations replayed", units.count(trace["operations"])))
    if trace.get("fast_slow_agreement") is not None:
        found.append(("fast or slow path as recorded", f"{100 * trace['fast_slow_agreement']:.2f} % of operations"))
    total, near = trace.get("caches_total"), trace.get("caches_within_1")
    if total and near is not None:
        found.append(("slabs within 1 of the kernel's", f"{near:,} of {total:,} caches ({100 * near / total:.1f} %)"))
    for reason, number in (trace.get("unplaced") or {}).items():
        found.append((f"not placed: {reason}", units.count(number)))
    found += [(key.replace("_", " "), _text(value)) for key, value in trace.items() if key not in KNOWN]
    for design, part in (trace.get("designs") or {}).items():
        found += [(f"{design}: {name}", value) for name, value in figures(part)]
    return found


def tables(trace: Mapping[str, Any]) -> list[SmallTable]:
    """Totals of slabs, per marker, and the caches that differ most; tables without rows are left out."""
    totals = [(f"slabs {name}", *pair) for name, pair in (trace.get("slabs") or {}).items()]
    totals += [(f"slabs at {mark['name']}", mark["predicted"], mark["recorded"]) for mark in trace.get("marks") or ()]
    worst = [(entry["cache"], entry["predicted"], entry["recorded"]) for entry in trace.get("worst") or ()]
    seen = [
        (
            shot["name"].removeprefix("SNAP_END "),
            *(units.count(n) for n in (shot["predicted"], shot["recorded"])),
            _difference(shot["predicted"], shot["recorded"]),
            f"{shot['near']:,} of {shot['caches']:,}",
        )
        for shot in trace.get("snapshots") or ()
    ]
    shots = SmallTable(
        "slabs come since the beginning, at each snapshot",
        ("", "predicted", "recorded", "difference", "caches within 5 % or 2"),
        tuple(seen),
    )
    built = [
        shots,
        _compared("predicted against recorded", "", totals),
        _compared("caches that differ most", "cache", worst),
    ]
    for design, part in (trace.get("designs") or {}).items():
        built += [dataclasses.replace(table, title=f"{design}: {table.title}") for table in tables(part)]
    return [table for table in built if table.rows]


def _compared(title: str, first: str, rows: list[tuple[str, int | None, int | None]]) -> SmallTable:
    return SmallTable(
        title,
        (first, "predicted", "recorded", "difference"),
        tuple((name, units.count(ours), units.count(theirs), _difference(ours, theirs)) for name, ours, theirs in rows),
    )


def _difference(ours: int | None, theirs: int | None) -> str:
    return units.UNKNOWN if ours is None or theirs is None else f"{ours - theirs:+,}"


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return units.count(value) if isinstance(value, int) else units.per_unit(value)
