"""A simulation as one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element

from stress.report.counted import latency_figure
from stress.result.data import Latency
from stress.show import curves as courses
from stress.show import growth, units
from stress.show.figure import Figure, designs_legend, picture
from stress.show.html import document, el, grid
from stress.show.shapes import COLOURS, swatch
from stress.simulate import spending, tables
from stress.simulate.rates import NAMES, Curve, curves
from stress.simulate.result import Point, Simulation
from stress.simulate.sentences import ALARMS, lock_title


def render(found: Simulation) -> bytes:
    """The whole page."""
    points = tables.largest(found)
    title = f"{found.scenario} on {found.allocator}, {tables.span(found)}"
    alarms = [said for said in found.sentences if said.startswith(ALARMS)]
    if found.partial:
        alarms.append("Incomplete: these are the points that were done.")
    header, *rows = tables.curve_table(found)
    body = el(
        "body",
        el(
            "header",
            el("h1", f"{title} in virtual time"),
            el("p", tables.heading(found), class_="quiet"),
            *(el("p", said, class_="verdict violated") for said in alarms),
            el("ul", *(el("li", said) for said in found.sentences if not said.startswith(ALARMS))),
        ),
        el(
            "main",
            _section("The curve", grid(header, rows)),
            _section("Pictures", el("div", *map(picture, figures(found)), class_="pictures")),
            _section(f"On {tables.where(points)}", _groups(points)),
            *([_section("Notes", el("ul", *(el("li", note) for note in found.notes)))] if found.notes else []),
            _section(
                "The machine, and how to repeat it",
                el("p", f"{found.machine}: {found.shape}. Its prices:"),
                el("ul", *(el("li", source) for source in found.sources)),
                el("pre", found.command),
                *_parameters(found),
            ),
        ),
        el(
            "footer", f"Model {found.model}, seed {found.seed}. The same model, seed and profile give the same figures."
        ),
    )
    return document(title, body, found.designs)


def _section(title: str, *children: Element) -> Element:
    return el("section", el("h2", title), *children)


def _groups(points: Sequence[Point]) -> Element:
    rows: list[tuple[str, ...]] = []
    for group in tables.point_groups(points):
        rows.append((group.title,))
        rows += [(row.label, *row.cells) for row in group.rows]
    return grid(["", *tables.columns(points)], rows, "comparison")


def _parameters(found: Simulation) -> Iterator[Element]:
    rows = [
        (cpus, ", ".join(f"{name}={value}" for name, value in given.items()))
        for cpus, given in found.parameters.items()
        if given
    ]
    if rows:
        yield grid(("CPUs", "parameters"), rows, "words")


def figures(found: Simulation) -> Iterator[Figure]:
    """The pictures that there are figures for."""
    every = curves(found)
    yield from _growths(found, every)
    yield from _spendings(every)
    yield from _busy(every)
    points = tables.largest(found)
    # Every design, so that each keeps its colour.
    latencies: dict[str, Mapping[str, Latency]] = {design: {} for design in found.designs}
    latencies |= {point.design: point.latencies for point in points}
    where = f"On {tables.where(points)}; virtual time, so nothing disturbs it."
    for title, prefix in (("How long frees take", "free_"), ("How long allocations take", "alloc_")):
        figure = latency_figure(title, where, latencies, prefix)
        if figure is not None:
            yield figure
    yield from _dead(found, points)


def _growths(found: Simulation, every: Sequence[Curve]) -> Iterator[Figure]:
    name = NAMES[found.headline]
    rated, efficient = [], []
    for number, curve in enumerate(every):
        known = [(cpus, rate) for cpus in curve.points if (rate := curve.rate(cpus))]
        if known:
            about = f"{curve.design} on {{}} CPUs: {{}}"
            rated.append(
                growth.Growth(
                    number, [(cpus, rate, about.format(cpus, f"{units.rate(rate)}/s")) for cpus, rate in known]
                )
            )
            shares = [(cpus, curve.efficiency(cpus) or 0.0) for cpus, _ in known]
            efficient.append(
                growth.Growth(
                    number, [(cpus, share, about.format(cpus, tables.percent(share))) for cpus, share in shares]
                )
            )
    if not rated:
        return
    header = ("CPUs", *found.designs)
    yield Figure(
        f"{name.capitalize()} a second against CPUs",
        "All CPUs together, both scales by ratios. Dashed: what would be linear, from each design's smallest point on.",
        [("", growth.rates(rated, f"{name} per second against CPUs"))],
        designs_legend(found.designs),
        header,
        [(str(cpus), *(units.rate(curve.rate(cpus)) for curve in every)) for cpus in found.cpus],
    )
    if len(found.cpus) > 1:
        yield Figure(
            "What is left of linear",
            "The rate over that of the design's smallest point times as many CPUs.",
            [("", growth.shares(efficient, "efficiency against CPUs"))],
            designs_legend(found.designs),
            header,
            [(str(cpus), *(tables.percent(curve.efficiency(cpus)) for curve in every)) for cpus in found.cpus],
        )


def _spendings(every: Sequence[Curve]) -> Iterator[Figure]:
    points = [point for curve in every for point in curve.points.values()]
    places, parts = spending.parts(points)
    by_point = dict(zip(((p.design, p.cpus) for p in points), parts, strict=True))
    drawings: list[tuple[str, Element]] = []
    rows: list[tuple[str, ...]] = []
    for number, curve in enumerate(every):
        if not curve.points:
            continue
        bars = [(str(cpus), by_point[curve.design, cpus]) for cpus in curve.points]
        drawn = [(name, values, f"{units.per_unit(sum(values.values()))} ns") for name, values in bars]
        drawings.append(
            (curve.design, growth.cut(drawn, places, _nanoseconds, f"{curve.design}: where time goes", number))
        )
        rows.append((curve.design,))
        rows += [
            (name, *(units.per_unit(values.get(place, 0.0)) for place in places), units.per_unit(sum(values.values())))
            for name, values in bars
        ]
    yield Figure(
        "Where the CPUs' time goes",
        "A bar per number of CPUs: all of their time from the first operation to the last, as shares; at its end what "
        "that is for one operation.",
        drawings,
        [(swatch(f"p{number % COLOURS}"), place) for number, place in enumerate(places)],
        ("CPUs", *places, "ns together"),
        rows,
    )


def _nanoseconds(value: float) -> str:
    return f"{units.per_unit(value)} ns"


def _busy(every: Sequence[Curve]) -> Iterator[Figure]:
    """How busy the busiest lock is."""
    busiest = {
        curve.design: {
            cpus: max(point.locks, key=lambda lock: lock.busy) for cpus, point in curve.points.items() if point.locks
        }
        for curve in every
    }
    drawn = [
        growth.Growth(
            number,
            [
                (cpus, lock.busy, f"{curve.design} on {cpus} CPUs: {lock_title(lock)}, {tables.percent(lock.busy)}")
                for cpus, lock in busiest[curve.design].items()
            ],
        )
        for number, curve in enumerate(every)
        if busiest[curve.design]
    ]
    if not drawn or max(len(one.points) for one in drawn) < 2:
        return
    yield Figure(
        "How busy the busiest lock is",
        "The share of the time in which it is held. Near 100 % more CPUs only wait longer.",
        [("", growth.shares(drawn, "how busy the busiest lock is, against CPUs"))],
        designs_legend([curve.design for curve in every]),
        ("", "busy", "lock"),
        [
            row
            for design, locks in busiest.items()
            for row in (
                (design,),
                *((str(cpus), tables.percent(lock.busy), lock_title(lock)) for cpus, lock in locks.items()),
            )
        ],
    )


def _dead(found: Simulation, points: Sequence[Point]) -> Iterator[Figure]:
    shown = [(found.designs.index(p.design), p) for p in points if any(sample.caches for sample in p.dead.curve)]
    if not shown:
        return
    longest = max(point.dead.curve[-1].ms for _, point in shown) / 1000
    drawings = []
    for what, name in (("caches", "dead caches"), ("pages", "pages that they hold")):
        drawn = [
            courses.Course(
                number,
                [(sample.ms / 1000, getattr(sample, what)) for sample in point.dead.curve],
                f"{point.design}: {getattr(point.dead.curve[-1], what):,} {name} at the end",
            )
            for number, point in shown
        ]
        drawings.append((name, courses.courses(drawn, longest, f"{name} over time")))
    yield Figure(
        "Dead caches over time",
        f"On {tables.where(points)}, in virtual time; the time that timers have after the tapes is included.",
        drawings,
        designs_legend(found.designs),
        ("at", "dead caches", "pages"),
        [
            row
            for _, point in shown
            for row in (
                (point.design,),
                *((units.seconds(s.ms / 1000), units.count(s.caches), units.count(s.pages)) for s in point.dead.curve),
            )
        ],
    )
