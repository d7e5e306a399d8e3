"""Claim 0 for SLAB: dead caches and their slabs over time, beside the curves recorded of Linux 3.16.0.

SLAB's reaper runs by the clock, so what is left depends on where between two passes a program ended, which no boot
shares with another: the model is played from places all over that period, and means over phases are compared with
means over boots. Two things are compared, each with TOLERANCE: the area under the curve, and the area between the two
curves, which an error that changes its sign cannot hide in; the latter is allowed the boots' own distance from their
mean on top.

Which CPUs slept is read from the recordings. After churn passes come every 2 s on whole seconds, as on CPUs that are
awake. After leak the last counts, 15 s apart, each find the slabs of one pass gone: nothing but the count woke a CPU.
Of churn on slab_base, boot 1 counts twice as many passes as time allows (each of ten half seconds has one, where
all other boots have one a second): its timers ran at twice the pace of its program's clock, and so they do here.

The counted caches contain some of the recording program's own, of a slab each, which are subtracted: what slab_base
has beyond the workload's, and what is left on slab_series_v1 when each cache that is left has one slab.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from stress.claims.claim import Figure, Finding, Verdict, figure
from stress.claims.lab import Lab
from stress.result.data import Design

TOLERANCE = 0.15  # of the area under the recorded curve
PERIOD = 2.0  # seconds between two passes of a reaper
DESIGNS = {"slab_base": "linux-3.16", "slab_series_v1": "v1"}
TIMERS = {("churn", "slab_base", "1"): 2.0}
PACE = {"leak": "idle", "churn": "busy"}
LAST_FREE = {"leak": "freed+", "churn": "end+"}  # tags after the last free, with the seconds since

WORKLOAD_CACHES = {"leak": 20, "churn": 80}  # with files in them at the removal: dentries and inodes of each cgroup

Curve = list[tuple[float, float, float]]
"""(seconds after the last free, dead caches, their slabs)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Beside:
    """What is compared: the curves of boots, and those of the model, an entry a phase; same moments in all."""

    name: str
    boots: Sequence[Curve]
    model: Sequence[Curve]


def recorded_curves(scenario: str) -> dict[tuple[str, str], Curve]:
    """(kernel, boot) -> what was counted after the last free, the program's own caches among it."""
    found: dict[tuple[str, str], Curve] = {}
    with resources.files("stress.claims").joinpath("recorded.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            name, plus, seconds = row["tag"].partition("+")
            if row["scenario"] == scenario and row["kernel"] in DESIGNS and name + plus == LAST_FREE[scenario]:
                counted = (float(seconds), float(row["dead_caches"]), float(row["dead_slabs"]))
                found.setdefault((row["kernel"], row["boot"]), []).append(counted)
    return {boot: sorted(curve) for boot, curve in found.items()}


def without_own(curve: Curve, kernel: str, caches: int) -> Curve:
    """The curve without the program's own caches; caches: those of the workload, none of which dies on slab_base."""
    if kernel == "slab_base":
        own = curve[0][1] - caches
    else:
        own = next((dead for _, dead, slabs in curve if dead == slabs), 0.0)
    return [(at, dead - min(own, dead), slabs - min(own, slabs)) for at, dead, slabs in curve]


def played(design: Design, moments: Sequence[float], timers: float) -> Curve:
    """The model's curve at these moments after the last free; the pages of these caches are a slab each.

    The tapes end with the last moment, and time passes in nothing but sleeps that end at moments.
    """
    samples = design.over_time
    if samples is None or not samples.seconds:
        return []
    began = samples.seconds[-1] / timers - moments[-1]
    curve: Curve = []
    for moment in moments:
        at = max((i for i, s in enumerate(samples.seconds) if s / timers <= began + moment + 1e-3), default=0)
        curve.append((moment, float(samples.dead_caches[at]), float(samples.pages_pinned[at])))
    return curve


def over_time(lab: Lab, scenario: str) -> Finding:
    """leak or churn on SLAB, begun at twenty places of the reaper's period (five for tests)."""
    lab.need("slab", DESIGNS.values())
    boots, phases = recorded_curves(scenario), lab.size(20, 5)
    rows: list[Beside] = []
    for timers in sorted({TIMERS.get((scenario, *boot), 1.0) for boot in boots}):
        runs = [
            lab.run(
                scenario, *DESIGNS.values(), allocator="slab", settle=0.0,
                settings={"pace": PACE[scenario], "boot": round(1 + PERIOD * k / phases, 3), "timers": timers},
            ).designs
            for k in range(phases)
        ]  # fmt: skip
        for kernel, design in DESIGNS.items():
            of = {boot: curve for (name, boot), curve in boots.items()
                  if name == kernel and TIMERS.get((scenario, name, boot), 1.0) == timers}  # fmt: skip
            if not of:
                continue
            moments = [at for at, _, _ in next(iter(of.values()))]
            rows.append(
                Beside(
                    f"{design}, boot {' and '.join(sorted(of))}",
                    [without_own(curve, kernel, WORKLOAD_CACHES[scenario]) for curve in of.values()],
                    [played(run[design], moments, timers) for run in runs],
                )
            )
    return judge_curves(rows)


def area(curve: Curve, column: int) -> float:
    """Under the curve, in caches or slabs times seconds."""
    return sum((b[0] - a[0]) * (a[column] + b[column]) / 2 for a, b in zip(curve, curve[1:]))


def between(one: Curve, other: Curve, column: int) -> float:
    """Between two curves of the same moments."""
    return area([(a[0], *(abs(x - y) for x, y in zip(a[1:], b[1:]))) for a, b in zip(one, other, strict=True)], column)  # type: ignore[misc]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Point by point; all have the same moments."""
    return [tuple(sum(column) / len(points) for column in zip(*points)) for points in zip(*curves, strict=True)]


def judge_curves(rows: Sequence[Beside]) -> Finding:
    """Holds if of every row, for caches and for slabs, both areas are within TOLERANCE of the recorded."""
    figures: list[Figure] = []
    wrong: list[str] = []
    worst = 0.0
    if not rows or not all(row.boots and row.model and all(row.model) for row in rows):
        for row in rows:
            areas = [area(curve, 2) for curve in row.boots]
            text = ", ".join(f"{one:,.0f}" for one in areas)
            figures.append(figure(f"{row.name}, recorded: slabs × seconds", areas, text))
        return Finding(Verdict.UNKNOWN, "nothing was counted over time", figures)
    for row in rows:
        theirs, ours = mean_curve(row.boots), mean_curve(row.model)
        for column, what in ((1, "dead caches"), (2, "slabs")):
            name = f"{row.name}: {what}"
            if not area(theirs, column):
                return Finding(Verdict.UNKNOWN, f"{name}: none was recorded", figures)
            value = _compare(row, theirs, ours, column)
            figures.append(figure(f"{name} × seconds", value, _text(value)))
            worst = max(worst, abs(value["area_off"]))
            if abs(value["area_off"]) > TOLERANCE:
                wrong.append(f"{name}: the area is {value['area_off']:+.0%} off")
            elif value["between"] > TOLERANCE + value["spread"]:
                wrong.append(f"{name}: between the curves lie {value['between']:.0%} of the area")
    if wrong:
        return Finding(Verdict.FAILS, f"{'; '.join(wrong)} (allowed: {TOLERANCE:.0%})", figures)
    return Finding(Verdict.HOLDS, f"areas over time at most {worst:.0%} off, {TOLERANCE:.0%} allowed", figures)


def _compare(row: Beside, theirs: Curve, ours: Curve, column: int) -> dict[str, Any]:
    whole = area(theirs, column)
    return {
        "kernel": [area(curve, column) for curve in row.boots],
        "model": [area(curve, column) for curve in row.model],
        "area_off": area(ours, column) / whole - 1,
        "between": between(ours, theirs, column) / whole,
        "spread": sum(between(curve, theirs, column) for curve in row.boots) / len(row.boots) / whole,
        "curve": {"seconds": [p[0] for p in ours], "kernel": [p[column] for p in theirs],
                  "model": [p[column] for p in ours]},
    }  # fmt: skip


def _text(value: Mapping[str, object]) -> str:
    ours, theirs = value["model"], value["kernel"]
    return (
        f"{min(ours):,.0f} to {max(ours):,.0f} by phase, mean {sum(ours) / len(ours):,.0f}; "  # type: ignore
        f"kernel {' and '.join(f'{a:,.0f}' for a in theirs)}; "  # type: ignore
        f"{value['area_off']:+.1%}, between the curves {value['between']:.1%}, of boots {value['spread']:.1%}"
    )
