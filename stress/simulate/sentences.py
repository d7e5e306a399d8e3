"""What the points say, in sentences. Each has a threshold, and is not said where the data are on its other side."""

from __future__ import annotations

import math
from collections.abc import Iterator

from stress.show import units
from stress.simulate import spending
from stress.simulate.rates import NAMES, Curve, curves
from stress.simulate.result import LockUse, Point, Simulation

BUSY = 0.8  # share of the time from which a lock counts as busy
NEARLY = 0.4  # no lock reaches it: said so
STALLED = 0.1  # share of all CPUs' time that they wait for one line
SAME = 0.05  # rates this near to each other, as a fraction, are no difference
FALLEN = 0.9  # of its highest rate: below, a curve is said to fall
HALF = 0.5  # of linear
TAPES = "run["  # names of the words that tapes wait at begin so
IDLE = 0.5  # share of time from which the scenario, not the allocator, is said to set the pace


ALARMS = ("INVARIANT", "STUCK", "OUT OF MEMORY")  # what sentences begin with that say so


def sound(point: Point) -> bool:
    """It came to its end and had the memory that it asked for; invariants are another matter."""
    return point.stuck is None and not point.counts.get("failed_allocations")


def sentences(found: Simulation) -> list[str]:
    """All that there is to say, the worst first."""
    every = curves(found)
    said = list(_wrong(found))
    for curve in every:
        if curve.points:
            said += _scaling(curve)
            said += _locks(curve)
            said += _lines(curve)
            said += _idle(curve)
            said += _dead(curve)
    for curve in every[1:]:
        said += _against(curve, every[0])
    return said


def title(name: str) -> str:
    """A line as people speak of it: "list_lock of kmalloc-256, node 0"."""
    if name.startswith(TAPES):
        return f"the tapes' own rounds ({name})"
    owner, dot, field = name.rpartition(" .")
    return f"{field} of {owner}" if dot else name


def lock_title(lock: LockUse) -> str:
    """As `title`, with the lock's class: "zone_lock of zone 0"."""
    return f"{lock.kind} of {lock.name.rpartition(' .')[0] or lock.name}"


def _wrong(found: Simulation) -> Iterator[str]:
    for point in found.points:
        for violation in point.violations:
            yield (
                f"INVARIANT VIOLATED under {point.design} on {_cpus(point.cpus)}: {violation.invariant}: "
                f"{violation.description}"
            )
        if point.stuck:
            yield f"STUCK: {point.design} on {_cpus(point.cpus)}: {point.stuck}"
        if failed := point.counts.get("failed_allocations", 0):
            yield (
                f"OUT OF MEMORY: {point.design} on {_cpus(point.cpus)}: {units.plural(failed, 'allocation')} failed, "
                "so these figures mean nothing; give it more with --memory"
            )


def _scaling(curve: Curve) -> Iterator[str]:
    rates = {cpus: rate for cpus in curve.points if (rate := curve.rate(cpus))}
    if len(rates) < 2:
        return
    name = NAMES[curve.headline]
    last, peak = max(rates), max(rates, key=lambda cpus: rates[cpus])
    if rates[last] < FALLEN * rates[peak]:
        yield (
            f"{curve.design}: {name} are fastest on {_cpus(peak)}, {units.rate(rates[peak])}/s, and fall to "
            f"{units.rate(rates[last])}/s on {last}."
        )
    kept = [cpus for cpus in rates if (curve.efficiency(cpus) or 0.0) >= HALF]
    if kept and max(kept) == last:
        yield f"{curve.design} scales: {_cpus(last)} reach {_percent(curve.efficiency(last) or 0.0)} of linear."
    elif kept and max(kept) > min(rates):
        yield f"{curve.design} keeps half of linear up to {_cpus(max(kept))}."
    else:
        second = sorted(rates)[1]
        yield f"{curve.design} has {_percent(curve.efficiency(second) or 0.0)} of linear left on {_cpus(second)}."


def _locks(curve: Curve) -> Iterator[str]:
    tops = {cpus: top for cpus, point in curve.points.items() if (top := _busiest(point)) is not None}
    if not tops:
        return
    busy = [cpus for cpus, lock in tops.items() if lock.busy > BUSY]
    if busy:
        first = busy[0]
        lock = tops[first]
        later = [cpus for cpus in tops if cpus >= first]
        on = "from" if later == busy and len(later) > 1 else "at"
        yield (
            f"{curve.design}: {lock_title(lock)} is {_percent(lock.busy)} busy {on} {_cpus(first)}"
            f"{' on' if on == 'from' else ''}."
        )
        return
    most = max(tops, key=lambda cpus: tops[cpus].busy)
    if tops[most].busy < NEARLY:
        yield f"{curve.design}: no lock is busy for more than {math.ceil(100 * tops[most].busy)} % of the time."


def _busiest(point: Point) -> LockUse | None:
    return max(point.locks, key=lambda lock: lock.busy, default=None)


def _lines(curve: Curve) -> Iterator[str]:
    """The line that CPUs wait for most, where that is the most; those of the tapes' own rounds are no allocator's."""
    tops = {
        cpus: max(lines, key=lambda line: line.stalled)
        for cpus, point in curve.points.items()
        if (lines := [line for line in point.lines if not line.name.startswith(TAPES)])
    }
    if not tops:
        return
    most = max(tops, key=lambda cpus: tops[cpus].stalled)
    if tops[most].stalled > STALLED:
        yield (
            f"{curve.design}: CPUs wait {_percent(tops[most].stalled)} of their time for one cache line, "
            f"{title(tops[most].name)}, on {_cpus(most)}."
        )


def _idle(curve: Curve) -> Iterator[str]:
    last = curve.points[max(curve.points)]
    share = spending.share(last, spending.IDLE)
    if share > IDLE:
        yield (
            f"{curve.design}: on {_cpus(last.cpus)} they wait for each other's tapes or for the kworker "
            f"{_percent(share)} of the time: the scenario sets the pace there, not the allocator."
        )


def _dead(curve: Curve) -> Iterator[str]:
    last = curve.points[max(curve.points)]
    if not last.dead.offlined:
        return
    of = units.plural(last.dead.offlined, "dead cache")
    left = f"leaves {units.count(last.dead.left)} of {of}" if last.dead.left else f"destroys all of {of}"
    lived = ""
    if last.dead.lifetime_p50_ms is not None and last.dead.lifetime_max_ms is not None:
        lived = (
            f"; half of the destroyed lived no longer than {units.seconds(last.dead.lifetime_p50_ms / 1000)}, "
            f"none longer than {units.seconds(last.dead.lifetime_max_ms / 1000)}"
        )
    yield f"{curve.design} {left} on {_cpus(last.cpus)}{lived}."


def _against(curve: Curve, baseline: Curve) -> Iterator[str]:
    ratios = {cpus: ratio for cpus in curve.points if (ratio := curve.ratio(cpus, baseline)) is not None}
    if not ratios:
        return
    name = NAMES[curve.headline]
    far = {cpus: max(ratio, 1 / ratio) - 1 for cpus, ratio in ratios.items() if ratio}
    apart = [cpus for cpus, by in far.items() if by > SAME]
    if not apart:
        yield f"{curve.design}'s {name} are within {_percent(SAME)} of {baseline.design}'s at every number of CPUs."
        return
    last, most = max(ratios), max(apart, key=lambda cpus: far[cpus])
    for cpus in dict.fromkeys((last, most) if last in apart else (most,)):
        yield f"{curve.design}'s {name} are {_times(ratios[cpus])} {baseline.design}'s on {_cpus(cpus)}."


def _times(ratio: float) -> str:
    if 0.5 < ratio < 2:
        return f"{abs(ratio - 1):.0%} {'above' if ratio > 1 else 'below'}".replace("%", " %")
    return f"{units.per_unit(ratio)} times" if ratio > 1 else f"{units.percent(ratio)} of"


def _cpus(number: int) -> str:
    return units.plural(number, "CPU")


def _percent(share: float) -> str:
    """Whole percents."""
    return f"{100 * share:.0f} %"
