"""The rate that a curve shows, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable

from stress.simulate.result import Point, Simulation

OPERATIONS = "operations"
# What is shown of the sections that a scenario times, the first that there is. By no section: all operations.
HEADLINES = ("frees", "mixed", "alloc")
# How a headline's rate is spoken of.
NAMES = {"frees": "frees", "mixed": "operations", "alloc": "allocations", OPERATIONS: "operations"}


def headline_of(points: Iterable[Point]) -> str:
    """ "frees", "mixed", "alloc", or "operations" if nothing is timed."""
    kinds = {kind for point in points for kind in point.rates}
    return next((kind for kind in HEADLINES if kind in kinds), OPERATIONS)


def rate_of(point: Point, headline: str) -> float | None:
    """Operations of that kind a second; of all operations in the whole of virtual time if nothing is timed."""
    if headline == OPERATIONS:
        return point.operations / point.ms * 1000 if point.ms else None
    return point.rates.get(headline)


class Curve:
    """The points of one design, by number of CPUs, with what compares them."""

    def __init__(self, found: Simulation, design: str) -> None:
        self.design = design
        self.headline = found.headline
        self.points = {point.cpus: point for point in found.points if point.design == design}

    def rate(self, cpus: int) -> float | None:
        point = self.points.get(cpus)
        return None if point is None else rate_of(point, self.headline)

    def efficiency(self, cpus: int) -> float | None:
        """The rate over what as many CPUs would have at the rate of the design's smallest point; 1 is linear."""
        first = min(self.points, default=cpus)
        own, base = self.rate(cpus), self.rate(first)
        return None if own is None or not base else own / (base / first * cpus)

    def ratio(self, cpus: int, baseline: Curve) -> float | None:
        """The rate over the baseline's on as many CPUs."""
        own, base = self.rate(cpus), baseline.rate(cpus)
        return None if own is None or not base else own / base


def curves(found: Simulation) -> list[Curve]:
    """One of each design, the baseline first; a design without points has an empty one."""
    return [Curve(found, design) for design in found.designs]
