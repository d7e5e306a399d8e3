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


def _play(lab: Lab, scenario: str, designs: list[str], **options: Any) -> dict[str, Left]:
    result = lab.run(scenario, *designs, **options)
    return {name: Left(d.dead_caches.left or 0, d.slabs_left or 0) for name, d in result.designs.items()}


def remote(lab: Lab, allocator: str) -> Finding:
    """Ten phases, exact: dead caches and slabs after the last free."""
    theirs = recorded("remote")
    designs = _designs(lab, allocator)
    tag = "+8.0" if allocator == "slub" else "+0.0"  # SLUB's do not change any more
    rows: dict[str, list[tuple[str, Left, Left]]] = {design: [] for design in designs.values()}
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


def judge_exact(rows: dict[str, list[tuple[str, Left, Left]]], missing: list[str]) -> Finding:
    """Every number must agree. rows: design -> (phase, kernel's, model's)."""
    figures, wrong = [], []
    for design, phases in rows.items():
        different = [(phase, theirs, ours) for phase, theirs, ours in phases if theirs != ours]
        wrong += [f"{design} {phase}: kernel {theirs}, model {ours}" for phase, theirs, ours in different]
        text = " ".join(str(ours) for _, _, ours in phases)
        value = [
            {"phase": phase, "kernel": dataclasses.asdict(theirs), "model": dataclasses.asdict(ours)}
            for phase, theirs, ours in phases
        ]
        verdict = "kernel: " + " ".join(str(theirs) for _, theirs, _ in phases) if different else "kernel the same"
        figures.append(
            figure(f"{design}, dead caches/slabs {phases[0][0]}…{phases[-1][0]}", value, f"{text}; {verdict}")
        )
    if wrong:
        return Finding(Verdict.FAILS, "; ".join(wrong), figures)
    return _unless_missing(f"all {sum(map(len, rows.values()))} recorded phases agree exactly", missing, figures)


def files(lab: Lab, scenario: str, allocator: str, times: tuple[tuple[str, float], ...]) -> Finding:
    """leak or churn: caches exactly, slabs nearly. times: (tag of the census, kernel seconds after the last free)."""
    theirs = recorded(scenario)
    designs = _designs(lab, allocator)
    rows = []
    for tag, seconds in times:
        options = settling(allocator, seconds)
        ours = _play(lab, scenario, list(designs.values()), allocator=allocator, **options)
        rows += [(design, tag, theirs[kernel, tag], ours[design]) for kernel, design in designs.items()]
    return judge_files(rows, _missing(lab, allocator), exact_at=times[-1][0], allocator=allocator)


def judge_files(
    rows: list[tuple[str, str, list[Left], Left]], missing: list[str], *, exact_at: str, allocator: str
) -> Finding:
    """At the last time: SLUB's caches as recorded, its slabs within 10 %; SLAB keeps caches or loses them as recorded.

    SLAB's numbers contain 2 to 4 caches of the program itself, and its time is that of a reaper whose
    timer is late on idle CPUs, of which the model has none: earlier times are shown, not judged.
    rows: (design, tag, what each boot left, what the model leaves).
    """
    figures, wrong = [], []
    for design, tag, boots, ours in rows:
        told = " or ".join(map(str, dict.fromkeys(boots)))
        value = {"kernel": [dataclasses.asdict(boot) for boot in boots], "model": dataclasses.asdict(ours)}
        figures.append(figure(f"{design}, dead caches/slabs {tag}", value, f"{ours}; kernel {told}"))
        if tag != exact_at:
            continue
        if allocator == "slab":
            agree = any(
                (boot.caches == 0) == (ours.caches == 0) or boot.caches < 2 and ours.caches == 0 for boot in boots
            )
        else:
            low, high = min(boot.slabs for boot in boots), max(boot.slabs for boot in boots)
            near = (1 - SLABS_WITHIN) * low <= ours.slabs <= (1 + SLABS_WITHIN) * high
            agree = near and any(boot.caches == ours.caches for boot in boots)
        if not agree:
            wrong.append(f"{design} {tag}: kernel {told}, model {ours}")
    if wrong:
        return Finding(Verdict.FAILS, "; ".join(wrong), figures)
    how = (
        "what stays and what goes agrees"
        if allocator == "slab"
        else f"dead caches agree, slabs within {SLABS_WITHIN:.0%}"
    )
    return _unless_missing(how, missing, figures)


def _unless_missing(reason: str, missing: list[str], figures: list[Figure]) -> Finding:
    if missing:
        return Finding(Verdict.UNKNOWN, f"{', '.join(missing)} is not built; else {reason}", figures)
    return Finding(Verdict.HOLDS, reason, figures)
