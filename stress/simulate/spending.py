"""Where the CPUs' time of a point goes, in groups that people speak of."""

from __future__ import annotations

from collections.abc import Sequence

from shm.locks import LOCK_CLASSES
from shm.virtual.words import BUSY_LINE, FROM_L2, WHATS
from stress.simulate.result import Point

OWN = "own work"
IDLE = "asleep"
MISSES = "cache misses"
# Lines from somewhere else, by where that is; a busy line is on its way to somebody else.
MISSED = WHATS[FROM_L2 : BUSY_LINE + 1]
NAMED_LOCKS = 2  # classes of locks that have a part of their own in pictures
INTERRUPTS = ("interrupts", "interrupt answers", "grace periods")


def by_what(point: Point) -> dict[str, float]:
    """ns of a CPU's time an operation, by what it goes to, over everything that it is spent for."""
    found: dict[str, float] = {}
    for row in point.spent.values():
        for what, ns in row.items():
            found[what] = found.get(what, 0.0) + ns
    return found


def by_where(point: Point) -> dict[str, float]:
    """ns an operation by whom it is spent for: the tape, alloc, free, the page allocator, interrupts, work."""
    return {where: sum(row.values()) for where, row in point.spent.items()}


def grouped(point: Point) -> dict[str, float]:
    """As `by_what`, with all misses together; waiting for a lock has the name of its class."""
    found = by_what(point)
    misses = sum(found.pop(what, 0.0) for what in MISSED)
    return found | ({MISSES: misses} if misses else {})


def waits(point: Point) -> dict[str, float]:
    """ns an operation that is spent waiting for locks, by class."""
    return {what: ns for what, ns in by_what(point).items() if what in LOCK_CLASSES}


def biggest(point: Point) -> tuple[str, float] | None:
    """What takes most of the CPUs' time beside their own work, and its share of all time."""
    found = grouped(point)
    total = sum(found.values())
    found.pop(OWN, None)
    if not found or not total:
        return None
    what = max(found, key=lambda name: found[name])
    return what, found[what] / total


def share(point: Point, what: str) -> float:
    """The share of the CPUs' time that goes to this group."""
    found = grouped(point)
    total = sum(found.values())
    return found.get(what, 0.0) / total if total else 0.0


def parts(points: Sequence[Point]) -> tuple[list[str], list[dict[str, float]]]:
    """The few parts that a picture has colours for, in order, and ns an operation of each point by part.

    The classes of locks that are waited for most in any of the points have a part of their own.
    """
    most: dict[str, float] = {}
    for point in points:
        for kind in waits(point):
            most[kind] = max(most.get(kind, 0.0), share(point, kind))
    named = sorted(most, key=lambda kind: -most[kind])[:NAMED_LOCKS]
    names = {
        OWN: OWN,
        "branches": OWN,
        "locked": "locked instructions, stores",
        "stores": "locked instructions, stores",
        MISSES: MISSES,
        **{kind: f"waiting for {kind}" if kind in named else "waiting for other locks" for kind in LOCK_CLASSES},
        **dict.fromkeys(INTERRUPTS, "interrupts, grace periods"),
        IDLE: IDLE,
    }
    found: list[dict[str, float]] = []
    for point in points:
        one: dict[str, float] = {}
        for what, ns in grouped(point).items():
            one[names[what]] = one.get(names[what], 0.0) + ns
        found.append(one)
    order = dict.fromkeys(
        (*(names[w] for w in (OWN, "locked", MISSES)), *(names[kind] for kind in named), *names.values())
    )
    return [place for place in order if any(place in one for one in found)], found
