"""Claim 0: what kernels did beside what the model does, from the censuses recorded of Linux 3.16.0.

`recorded.csv` holds the rows that are compared, out of the full censuses (columns of the same names).
In phases r000 and r100 of the remote census the program's own first caches stand among the counted
ones, so they are left out. In SLAB's phases r1XX one of the two caches, with 3 slabs of 124 objects, is the
program's own (kmalloc-32 by its size: the 4,500 objects recorded are 258 * 16 + 3 * 124); it is subtracted.
"""

from __future__ import annotations

import csv
import dataclasses
from importlib import resources
from typing import Any

from stress.claims.claim import Figure, Finding, Verdict, figure
from stress.claims.lab import Lab, settling

# kernel of the census -> (allocator, design)
KERNELS = {
    "slub_base": ("slub", "linux-3.16"),
    "slub_series_v1": ("slub", "v1"),
    "slub_series_v1_gt": ("slub", "v1-F_OBO"),
    "slub_series_v1_all_cpus_marked": ("slub", "v1+F_ALLCPU"),
    "slub_upstream_form": ("slub", "linux-4.0"),
    "slab_base": ("slab", "linux-3.16"),
    "slab_series_v1": ("slab", "v1"),
}
PHASES = [f"r{marked}{cpu}{order}" for marked in (0, 1) for cpu in (0, 1) for order in (0, 1, 2) if cpu or order]
ORDERS = ("fifo", "lifo", "permuted")
OWN_CACHES, OWN_SLABS = 1, 3  # of the recording program itself, SLAB, marked phases
SLABS_WITHIN = 0.1  # files and their removal are approximated, see scenarios.workloads.kernel_files


@dataclasses.dataclass(frozen=True, slots=True)
class Left:
    """Dead caches and their slabs."""

    caches: int
    slabs: int

    def __str__(self) -> str:
        return f"{self.caches}/{self.slabs}"


def recorded(scenario: str) -> dict[tuple[str, str], list[Left]]:
    """(kernel, tag) -> what was left, once per boot that was recorded."""
    found: dict[tuple[str, str], list[Left]] = {}
    with resources.files("stress.claims").joinpath("recorded.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["scenario"] == scenario:
                found.setdefault((row["kernel"], row["tag"]), []).append(
                    Left(int(row["dead_caches"]), int(row["dead_slabs"]))
                )
    return found


def _designs(lab: Lab, allocator: str) -> dict[str, str]:
    """kernel -> design of those that exist; NotBuilt when the allocator or the baseline does not."""
    kernels = {kernel: design for kernel, (own, design) in KERNELS.items() if own == allocator}
    lab.need(allocator, ["linux-3.16"])
    return {kernel: design for kernel, design in kernels.items() if lab.has(design)}


def _missing(lab: Lab, allocator: str) -> list[str]:
    return [design for own, design in KERNELS.values() if own == allocator and not lab.has(design)]


def _play(lab: Lab, scenario: str, designs: list[str], **options: Any) -> dict[str, Left | None]:
    """design -> what it leaves; None where that was not counted."""
    result = lab.run(scenario, *designs, **options)
    return {
        name: None if d.dead_caches.left is None or d.slabs_left is None else Left(d.dead_caches.left, d.slabs_left)
        for name, d in result.designs.items()
    }


def remote(lab: Lab, allocator: str) -> Finding:
    """Ten phases, exact: dead caches and slabs after the last free."""
    theirs = recorded("remote")
    designs = _designs(lab, allocator)
    tag = "+8.0" if allocator == "slub" else "+0.0"  # SLUB's do not change any more
    rows: dict[str, list[tuple[str, Left, Left | None]]] = {design: [] for design in designs.values()}
    for phase in PHASES:
        marked, cpu, order = map(int, phase[1:])
        settings = {"marked": bool(marked), "free_cpu": cpu, "free_order": ORDERS[order]}
        options = settling(allocator, 0.0)
        ours = _play(lab, "remote-dead", list(designs.values()), allocator=allocator, settings=settings, **options)
        for kernel, design in designs.items():
            (left,) = theirs[kernel, f"{phase}_freed{tag}"]
            if allocator == "slab" and marked:
                left = Left(left.caches - OWN_CACHES, left.slabs - OWN_SLABS)
            rows[design].append((phase, left, ours[design]))
    return judge_exact(rows, _missing(lab, allocator))


def judge_exact(rows: dict[str, list[tuple[str, Left, Left | None]]], missing: list[str]) -> Finding:
    """Every number must agree. rows: design -> (phase, kernel's, model's)."""
    figures: list[Figure] = []
    wrong: list[str] = []
    compared = [ours for phases in rows.values() for _, _, ours in phases]
    if not compared or None in compared:
        return Finding(Verdict.UNKNOWN, "not every phase was counted", figures)
    for design, phases in rows.items():
        different = [(phase, theirs, ours) for phase, theirs, ours in phases if theirs != ours]
        wrong += [f"{design} {phase}: kernel {theirs}, model {ours}" for phase, theirs, ours in different]
        text = " ".join(str(ours) for _, _, ours in phases)
        value = [
            {"phase": phase, "kernel": dataclasses.asdict(theirs), "model": dataclasses.asdict(ours)}
            for phase, theirs, ours in phases
            if ours is not None
        ]
        verdict = "kernel: " + " ".join(str(theirs) for _, theirs, _ in phases) if different else "kernel the same"
        figures.append(
            figure(f"{design}, dead caches/slabs {phases[0][0]}…{phases[-1][0]}", value, f"{text}; {verdict}")
        )
    if wrong:
        return Finding(Verdict.FAILS, "; ".join(wrong), figures)
    return _unless_missing(
        f"all {len(compared)} recorded phases agree exactly, tolerance none, one boot recorded", missing, figures
    )


def files(lab: Lab, scenario: str, tag: str) -> Finding:
    """leak or churn on SLUB, which changes no more after the last free: caches exactly, slabs nearly. tag: the census's
    last."""
    theirs = recorded(scenario)
    designs = _designs(lab, "slub")
    ours = _play(lab, scenario, list(designs.values()))
    rows = [(design, tag, theirs[kernel, tag], ours[design]) for kernel, design in designs.items()]
    return judge_files(rows, _missing(lab, "slub"))


def judge_files(rows: list[tuple[str, str, list[Left], Left | None]], missing: list[str]) -> Finding:
    """Caches as a boot left them, slabs within 10 % of what the boots left, from the least to the most.

    rows: (design, tag, what each boot left, what the model leaves; None: it was not counted).
    """
    figures, wrong, uncounted = [], [], []
    for design, tag, boots, ours in rows:
        told = " or ".join(map(str, dict.fromkeys(boots))) + f" in {len(boots)} boot{'s' if len(boots) > 1 else ''}"
        if ours is None:
            uncounted.append(design)
            continue
        value = {"kernel": [dataclasses.asdict(boot) for boot in boots], "model": dataclasses.asdict(ours)}
        figures.append(figure(f"{design}, dead caches/slabs {tag}", value, f"{ours}; kernel {told}"))
        low, high = min(boot.slabs for boot in boots), max(boot.slabs for boot in boots)
        near = (1 - SLABS_WITHIN) * low <= ours.slabs <= (1 + SLABS_WITHIN) * high
        if not (near and any(boot.caches == ours.caches for boot in boots)):
            wrong.append(f"{design} {tag}: kernel {told}, model {ours}")
    if wrong:
        return Finding(Verdict.FAILS, "; ".join(wrong), figures)
    if uncounted or not rows:
        return Finding(Verdict.UNKNOWN, f"not counted: {', '.join(uncounted) or 'anything'}", figures)
    how = f"dead caches at {rows[0][1]} exactly as in a boot, slabs within {SLABS_WITHIN:.0%} of the boots"
    return _unless_missing(how, missing, figures)


def _unless_missing(reason: str, missing: list[str], figures: list[Figure]) -> Finding:
    if missing:
        return Finding(Verdict.UNKNOWN, f"{', '.join(missing)} is not built; else {reason}", figures)
    return Finding(Verdict.HOLDS, reason, figures)
