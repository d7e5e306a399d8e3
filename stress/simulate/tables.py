"""The tables of a simulation as data: the curve, and where the time of one point goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shm.locks import LOCK_CLASSES
from shm.virtual.words import WHATS, WHERES
from stress.report.table import PATHS
from stress.show import units
from stress.show.tables import Group, Row
from stress.simulate import spending
from stress.simulate.rates import NAMES, curves
from stress.simulate.result import Point, Simulation
from stress.simulate.sentences import lock_title, title

LEAST = 0.01  # share of the time of every design below which a row is left out
HOTTEST = 3  # locks and lines that are named
MOST = 5  # rows of what takes most time
UNKNOWN = units.UNKNOWN
LABELS = {
    **{what: f"… {what}" for what in spending.MISSED},
    **{lock: f"waiting for {lock}" for lock in LOCK_CLASSES},
    "locked": "locked instructions",
    "stores": "store buffer",
}


def heading(found: Simulation) -> str:
    """One line: what was played, on what."""
    nodes = max(point.nodes for point in found.points)
    return (
        f"{found.scenario} on {found.allocator} in virtual time, {span(found)} of {found.machine}, "
        f"{units.plural(nodes, 'node')} at most, seed {found.seed}, {found.seconds:.1f} s"
    )


def span(found: Simulation) -> str:
    """ "1 to 256 CPUs"."""
    least, most = min(found.cpus), max(found.cpus)
    return f"{least} to {most} CPUs" if least < most else units.plural(most, "CPU")


def curve_table(found: Simulation, spent: bool = True) -> list[list[str]]:
    """Titles of columns, then a row per number of CPUs; for each design its rate, its ratio to the baseline's, what it
    has of linear, and (spent) what takes most of its time beside its own work."""
    every = curves(found)
    header = ["CPUs"]
    for number, curve in enumerate(every):
        rated = f"{curve.design} {NAMES[found.headline]}/s"
        header += [rated, *(["ratio"] if number else []), "of linear", *(["most beside own work"] if spent else [])]
    table = [header]
    for cpus in found.cpus:
        row = [str(cpus)]
        for number, curve in enumerate(every):
            row += [units.rate(curve.rate(cpus))]
            if number:
                row += [units.per_unit(curve.ratio(cpus, every[0]))]
            row += [percent(curve.efficiency(cpus)), *([most(curve.points.get(cpus))] if spent else [])]
        table.append(row)
    return table


def most(point: Point | None) -> str:
    """ "list_lock 62 %"."""
    found = spending.biggest(point) if point is not None else None
    return UNKNOWN if found is None else f"{found[0]} {percent(found[1])}"


def percent(share: float | None) -> str:
    """A share in whole percents, small ones with a digit more."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.2g} %"


def largest(found: Simulation) -> list[Point]:
    """The largest point of each design that has one."""
    return [curve.points[max(curve.points)] for curve in curves(found) if curve.points]


def where(points: Sequence[Point]) -> str:
    """The number of CPUs of these points: "256 CPUs", or that each is at its own largest."""
    cpus = {point.cpus for point in points}
    return units.plural(cpus.pop(), "CPU") if len(cpus) == 1 else "the most CPUs of each design"


def columns(points: Sequence[Point]) -> list[str]:
    """A title for each, with the number of CPUs where they differ."""
    same = len({point.cpus for point in points}) == 1
    return [point.design if same else f"{point.design}, {units.plural(point.cpus, 'CPU')}" for point in points]


def point_groups(points: Sequence[Point]) -> list[Group]:
    """Where time goes in these points, how long operations take, the hottest locks and lines, dead caches."""
    groups = [
        Group("a CPU's time, ns per operation", _spent(points)),
        Group("latency, p50 / p99 / max", _latencies(points)),
        Group("busiest locks", _hot(points, _locks)),
        Group("cache lines most waited for", _hot(points, _lines)),
        Group("dead caches", _dead(points)),
    ]
    return [group for group in groups if group.rows]


def telling_groups(points: Sequence[Point]) -> list[Group]:
    """Of `point_groups` what a screen has room for: what takes most time, the hottest lock and line, dead caches."""
    busiest = {"lock": _hot(points, _locks)[:1], "cache line": _hot(points, _lines)[:1]}
    groups = [
        Group("a CPU's time, ns per operation", _most_spent(points)),
        Group("busiest", tuple(Row(what, row.cells) for what, rows in busiest.items() for row in rows)),
        Group("dead caches", _dead(points)),
    ]
    return [group for group in groups if group.rows]


def _most_spent(points: Sequence[Point]) -> tuple[Row, ...]:
    """What the most of it goes to in any point, the most first."""
    tables = [spending.grouped(point) for point in points]
    totals = [sum(table.values()) or 1.0 for table in tables]
    shares = {
        what: max(table.get(what, 0.0) / total for table, total in zip(tables, totals))
        for what in dict.fromkeys(what for table in tables for what in table)
    }
    most = sorted(shares, key=lambda what: -shares[what])[:MOST]
    return tuple(_row(LABELS.get(what, what), what, tables, totals) for what in most if shares[what] >= LEAST)


def _spent(points: Sequence[Point]) -> tuple[Row, ...]:
    """What it goes to, then whom it is spent for; what is little everywhere is left out."""
    whats = (spending.OWN, "locked", spending.MISSES, *spending.MISSED, *LOCK_CLASSES)
    others = tuple(what for what in WHATS if what not in whats)
    tables = [spending.by_what(point) for point in points]
    totals = [sum(table.values()) or 1.0 for table in tables]
    for table, point in zip(tables, points, strict=True):
        table[spending.MISSES] = spending.grouped(point).get(spending.MISSES, 0.0)
    rows = [
        _row(LABELS.get(what, what), what, tables, totals)
        for what in (*whats, *others)
        if any(table.get(what, 0.0) >= LEAST * total for table, total in zip(tables, totals))
    ]
    wheres = [spending.by_where(point) for point in points]
    rows += [
        _row(f"for {where}", where, wheres, totals)
        for where in WHERES
        if any(table.get(where, 0.0) >= LEAST * total for table, total in zip(wheres, totals))
    ]
    return tuple(rows)


def _row(title: str, what: str, tables: Sequence[dict[str, float]], totals: Sequence[float]) -> Row:
    return Row(title, tuple(_ns(table.get(what), total) for table, total in zip(tables, totals)))


def _ns(value: float | None, total: float) -> str:
    return UNKNOWN if value is None else f"{units.per_unit(value)} ({percent(value / total)})"


def _latencies(points: Sequence[Point]) -> tuple[Row, ...]:
    def cell(point: Point, path: str) -> str:
        found = point.latencies.get(path)
        if found is None:
            return UNKNOWN
        return " / ".join(units.seconds(ns * 1e-9) for ns in (found.p50, found.p99, found.max))

    return tuple(
        Row(PATHS[path], tuple(cell(point, path) for point in points))
        for path in PATHS
        if any(path in point.latencies for point in points)
    )


def _hot(points: Sequence[Point], texts: Callable[[Point], list[str]]) -> tuple[Row, ...]:
    every = [texts(point)[:HOTTEST] for point in points]
    return tuple(
        Row(str(number + 1), tuple(found[number] if number < len(found) else UNKNOWN for found in every))
        for number in range(max(map(len, every), default=0))
    )


def _locks(point: Point) -> list[str]:
    busiest = sorted(point.locks, key=lambda lock: -lock.busy)
    return [f"{lock_title(lock)}: {percent(lock.busy)}" for lock in busiest if lock.busy >= LEAST]


def _lines(point: Point) -> list[str]:
    return [f"{title(line.name)}: {percent(line.stalled)}" for line in point.lines if line.stalled >= LEAST]


def _dead(points: Sequence[Point]) -> tuple[Row, ...]:
    if not any(point.dead.offlined for point in points):
        return ()

    def lifetime(point: Point) -> str:
        dead = point.dead
        if dead.lifetime_p50_ms is None:
            return UNKNOWN
        known = (dead.lifetime_p50_ms, dead.lifetime_p99_ms, dead.lifetime_max_ms)
        return " / ".join(units.seconds(ms / 1000) for ms in known if ms is not None)

    return (
        Row("left", tuple(f"{p.dead.left:,} of {p.dead.offlined:,}" for p in points)),
        Row("lifetime, p50 / p99 / max", tuple(map(lifetime, points))),
    )
