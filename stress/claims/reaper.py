"""Claim 10: SLAB's reaper, which patch 8 makes drain dead caches fully."""

from __future__ import annotations

from collections.abc import Sequence

from stress.claims.claim import Figure, Finding, Verdict, figure, uncounted
from stress.claims.fate import REAPER_PATCH, fate_figure
from stress.claims.lab import Lab
from stress.result.data import Design

SETTLE = 120.0  # kernel seconds, more than the patched reaper takes anywhere
# (CPUs, nodes, object size)
SHAPES = (
    (2, 1, 64), (2, 1, 256), (2, 1, 1024), (2, 1, 4096), (1, 1, 256), (4, 1, 256), (8, 1, 256), (4, 2, 256),
    (4, 4, 256), (8, 8, 256),
)  # fmt: skip
QUICK_SHAPES = ((2, 1, 64), (2, 2, 64))
LONGEST, PASSES, CYCLES = "reaper_longest_cycles", "reaper_passes", "reaper_cycles"


def time_to_destruction(lab: Lab) -> Finding:
    """dead-free under v1 by object size, CPUs and nodes."""
    lab.need("slab", ["v1"])
    designs: dict[str, Design] = {}
    for cpus, nodes, size in QUICK_SHAPES if lab.quick else SHAPES:
        settings = {"object_size": size, "slabs": lab.size(128, 16), "cgroups": lab.size(16, 3)}
        result = lab.run(
            "dead-free", "linux-3.16", "v1", allocator="slab", cpus=cpus, nodes=nodes, settle=SETTLE, settings=settings
        )
        designs[f"{size} B, {cpus} CPUs, {nodes} nodes"] = result.designs["v1"]
    return judge_time(designs)


def judge_time(designs: dict[str, Design]) -> Finding:
    """Holds if every dead cache is gone within the 4 s that the patch promises."""
    figures = [fate_figure(name, design) for name, design in designs.items()]
    if uncounted(d.dead_caches.left for d in designs.values()):
        return Finding(Verdict.UNKNOWN, "a shape was not counted", figures)
    left = sum(d.dead_caches.left or 0 for d in designs.values())
    if left:
        return Finding(Verdict.FAILS, f"{left} caches are left after {SETTLE:g} s", figures)
    longest = [d.lifetime_seconds.max for d in designs.values() if d.lifetime_seconds.max is not None]
    if not longest:
        return Finding(Verdict.UNKNOWN, "no cache was destroyed after a free", figures)
    last, fastest = f"the last after {max(longest):.1f} s", f"the fastest shape's last after {min(longest):.1f} s"
    said = f"all dead caches are gone, {last}, {fastest}"
    return Finding(Verdict.HOLDS if max(longest) <= REAPER_PATCH else Verdict.FAILS, said, figures)


def length_of_a_pass(lab: Lab) -> Finding:
    """pinned under 3.16, whose dead caches stay on the list the reaper walks: 0, 100 and 1,000 of them (O6, O7)."""
    lab.need("slab")
    rows = []
    for caches in (1, 20) if lab.quick else (1, 100, 1000):
        settings = {"cgroups": caches, "slabs": 2, "object_size": 256, "hold": 0}
        result = lab.run(
            "pinned",
            "linux-3.16",
            "v1",
            allocator="slab",
            serial=False,
            settings=settings,
            settle=20.0,
            time_scale=20.0,
            seconds=0.05,
        )
        rows.append((caches, result.designs["linux-3.16"]))
    return judge_passes(rows)


def judge_passes(rows: Sequence[tuple[int, Design]]) -> Finding:
    """Holds if a pass takes longer with more dead caches: more than twice as long."""
    figures: list[Figure] = []
    lengths = []
    for caches, design in rows:
        passes, total = design.operations.get(PASSES), design.operations.get(CYCLES)
        if not passes or total is None:
            return Finding(Verdict.UNKNOWN, "the length of the reaper's passes is not in the result", figures)
        lengths.append((caches, total / passes))
        value = {"passes": passes, "mean_cycles": total / passes, "longest_cycles": design.operations.get(LONGEST)}
        figures.append(
            figure(f"{caches} dead caches", value, f"{total / passes:,.0f} cycles per pass of one CPU, {passes} passes")
        )
    (few, short), (many, long) = lengths[0], lengths[-1]
    said = f"a pass takes {long / short:.0f} times as long with {many} dead caches as with {few}"
    return Finding(Verdict.HOLDS if long > 2 * short else Verdict.FAILS, said, figures)
