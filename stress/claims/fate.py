"""Claims 1 to 3: what becomes of dead caches, without the series, with half of it, with all of it."""

from __future__ import annotations

from stress.claims.claim import Figure, Finding, Verdict, figure, uncounted
from stress.claims.lab import Lab, settling
from stress.result.data import Design, Result
from stress.show import units

HALF = "linux-3.16+P2+P3"
OLD_REAPER = 300.0  # kernel seconds, more than SLAB's reaper without patches takes
REAPER_PATCH = 4.0  # seconds that patch 8 promises for each CPU


def left_text(design: Design) -> str:
    """3 of 16 caches, 12 slabs."""
    dead = design.dead_caches
    return f"{dead.left} of {dead.offlined} caches left, {design.slabs_left} slabs"


def fate_figure(name: str, design: Design) -> Figure:
    """What is left of a design's dead caches, and how long the others lived."""
    dead, life = design.dead_caches, design.lifetime_seconds
    value = {
        "offlined": dead.offlined, "left": dead.left, "slabs": design.slabs_left,
        "cgroups_pinned": design.cgroups_pinned, "p50": life.p50, "p99": life.p99, "max": life.max,
    }  # fmt: skip
    text = left_text(design)
    if life.max is not None:
        text += (
            f"; lifetime p50 {units.seconds(life.p50)}, p99 {units.seconds(life.p99)}, max {units.seconds(life.max)}"
        )
    return Figure(name, value, text)


def leaked(lab: Lab, allocator: str) -> Finding:
    """Claim 1: pinned, by object size: one live object per slab at the offline, all freed later."""
    figures: list[Figure] = []
    left: list[int | None] = []
    offlined: list[int] = []
    options = settling(allocator, OLD_REAPER)
    lab.need(allocator)
    for size in (64, 1024) if lab.quick else (64, 256, 1024, 4096):
        settings = {"object_size": size, "cgroups": lab.size(32, 4), "slabs": lab.size(64, 8)}
        result = lab.run("pinned", "linux-3.16", HALF, allocator=allocator, settings=settings, **options)
        design = result.designs["linux-3.16"]
        left.append(design.dead_caches.left)
        offlined.append(design.dead_caches.offlined or 0)
        value = {
            "left": design.dead_caches.left,
            "offlined": design.dead_caches.offlined,
            "cgroups_pinned": design.cgroups_pinned,
        }
        figures.append(figure(f"{size} B", value, f"{left_text(design)}, {design.cgroups_pinned} cgroups pinned"))
    return judge_all_left(left, offlined, "every cache that had a live object at its offline is still there", figures)


def judge_all_left(left: list[int | None], offlined: list[int], reason: str, figures: list[Figure]) -> Finding:
    """Holds if all are left, in each run."""
    if uncounted(left) or not all(offlined):
        return Finding(Verdict.UNKNOWN, "in a run no cache was taken offline, or none was counted", figures)
    kept, total = sum(n or 0 for n in left), sum(offlined)
    if kept == total:
        return Finding(Verdict.HOLDS, f"{reason}: {kept} of {total}", figures)
    return Finding(Verdict.FAILS, f"only {kept} of {total} caches are left", figures)


def half_is_not_enough(lab: Lab, allocator: str) -> Finding:
    """Claim 2: dead-free under P2 and P3 alone."""
    lab.need(allocator, [HALF])
    options = settling(allocator, OLD_REAPER)
    designs = {}
    for size in (64, 1024) if lab.quick else (64, 256, 1024, 4096):
        settings = {"object_size": size, "slabs": lab.size(128, 16), "cgroups": lab.size(16, 3)}
        result = lab.run("dead-free", "linux-3.16", HALF, allocator=allocator, settings=settings, **options)
        designs[size] = result.designs[HALF]
    return judge_half(designs, allocator)


def judge_half(designs: dict[int, Design], allocator: str) -> Finding:
    """SLUB: all are left. SLAB: none, but later than the patch to the reaper promises."""
    figures = [fate_figure(f"{size} B", design) for size, design in designs.items()]
    left = [d.dead_caches.left for d in designs.values()]
    offlined = [d.dead_caches.offlined or 0 for d in designs.values()]
    if allocator == "slub" or uncounted(left) or not all(offlined):
        return judge_all_left(left, offlined, "with self-destruction alone all dead caches stay", figures)
    kept, total = sum(n or 0 for n in left), sum(offlined)
    if kept:
        return Finding(Verdict.HOLDS, f"{kept} of {total} are still there after {OLD_REAPER:g} s", figures)
    slowest = max(
        (d.lifetime_seconds.max for d in designs.values() if d.lifetime_seconds.max is not None), default=None
    )
    if slowest is None:
        return Finding(Verdict.UNKNOWN, "no cache was destroyed after a free", figures)
    if slowest > REAPER_PATCH:
        return Finding(Verdict.HOLDS, f"SLAB's reaper takes up to {units.seconds(slowest)}; none stays", figures)
    return Finding(Verdict.FAILS, f"the longest took {units.seconds(slowest)}", figures)


def nothing_left(lab: Lab, design: str, allocator: str) -> Finding:
    """Claim 3: serial runs say what is left, also when CPUs free that never used it; parallel ones how long."""
    lab.need(allocator, [design])
    if allocator == "slab":
        return _slab_nothing_left(lab, design)
    results: dict[str, Result] = {}
    sizes = (256, 4096) if lab.quick else (64, 256, 1024, 4096, 32768)
    for size in sizes:
        settings = {"object_size": size, "slabs": lab.size(128, 16), "cgroups": lab.size(16, 3)}
        for fillers, who in ((0, "all CPUs allocate"), (1, "one CPU allocates")):
            run = lab.run("dead-free", "linux-3.16", design, settings=settings | {"fill_cpus": fillers})
            results[f"{size} B, {who}"] = run
    clocked: dict[str, Result] = {}
    for size in sizes[:1] if lab.quick else sizes[:-1]:
        settings = {"object_size": size, "slabs": lab.size(128, 16), "cgroups": lab.size(64, 3)}
        clocked[f"{size} B"] = lab.run("dead-free", "linux-3.16", design, serial=False, seconds=0.05, settings=settings)
    return judge_nothing_left(
        {name: run.designs[design] for name, run in results.items()},
        {name: run.designs[design] for name, run in clocked.items()},
    )


def _slab_nothing_left(lab: Lab, design: str) -> Finding:
    clocked = {}
    for size in (64, 1024) if lab.quick else (64, 256, 1024, 4096):
        settings = {"object_size": size, "slabs": lab.size(128, 16), "cgroups": lab.size(16, 3)}
        clocked[f"{size} B"] = lab.run(
            "dead-free", "linux-3.16", design, allocator="slab", settle=60.0, settings=settings
        ).designs[design]
    return judge_nothing_left(clocked, clocked)


def judge_nothing_left(counted: dict[str, Design], clocked: dict[str, Design]) -> Finding:
    """Holds if no cache is left anywhere. counted: what is left; clocked: how long the destroyed ones lived."""
    figures = [fate_figure(name, design) for name, design in clocked.items()]
    bad = {name: d for name, d in counted.items() if d.dead_caches.left}
    figures += [fate_figure(name, d) for name, d in bad.items() if counted is not clocked]
    total = sum(d.dead_caches.offlined or 0 for d in counted.values())
    if bad:
        left = sum(d.dead_caches.left or 0 for d in bad.values())
        where = ", ".join(bad)
        return Finding(Verdict.FAILS, f"{left} of {total} caches are left, those of: {where}", figures)
    if uncounted(d.dead_caches.left for d in counted.values()) or not all(
        d.dead_caches.offlined for d in counted.values()
    ):
        return Finding(Verdict.UNKNOWN, "in a run no cache was taken offline, or none was counted", figures)
    lifetimes = [life for d in clocked.values() if (life := d.lifetime_seconds.max) is not None]
    longest = f", the last {units.seconds(max(lifetimes))} after its last free" if lifetimes else ""
    return Finding(Verdict.HOLDS, f"all {total} dead caches are gone{longest}", figures)
