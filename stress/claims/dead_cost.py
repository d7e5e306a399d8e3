"""Claim 5: what a free into a dead cache costs."""

from __future__ import annotations

from scenarios.sizing import objects_per_slab, stride
from stress.claims.claim import Figure, Finding, Verdict, figure, uncounted
from stress.claims.lab import SERIAL_CPUS, Lab
from stress.claims.speed import ratio_figure
from stress.judge.ratio import Ratio
from stress.result.data import Design
from stress.show import units

DESIGNS = ("v1", "v2", "v3", "linux-4.0")
LOCKS_PER_SLAB = 2.0  # onto the node's list and off again
LEAST_LOCKS = 0.5  # of a slab, somewhere: less is no lock per slab
LOCKS_WITHIN = 0.05  # of a lock per object, SLAB v3; counts repeat, the first frees of a cache may find it alive
# Slowdown of frees by object size, dead against alive: N2 (20140625134545.GB22340), 24 CPUs.
PUBLISHED_SLAB = {64: 3.49, 128: 3.45, 256: 2.91, 512: 2.28, 1024: 1.77}


def slub(lab: Lab) -> Finding:
    """dead-free by size and order, serial: locks and page CAS per free of every design."""
    designs = [name for name in DESIGNS if lab.has(name)]
    cells: dict[tuple[int, str], dict[str, Design]] = {}
    for size in (64, 1024) if lab.quick else (64, 256, 1024, 4096):
        for order in ("sequential", "random"):
            settings = {"object_size": size, "free_order": order, "slabs": lab.size(256, 16), "cgroups": lab.size(8, 2)}
            cells[size, order] = lab.run("dead-free", "linux-3.16", *designs, settings=settings).designs
    return judge_slub(cells)


def judge_slub(cells: dict[tuple[int, str], dict[str, Design]]) -> Finding:
    """Holds if the designs take at most two locks more per slab than 3.16: onto the node's list and off it."""
    figures: list[Figure] = []
    dear, worst = [], 0.0
    for (size, order), designs in cells.items():
        per_slab = objects_per_slab(stride(size), SERIAL_CPUS)
        costs = {name: d.per_dead_free for name, d in designs.items() if d.per_dead_free is not None}
        before = costs.get("linux-3.16")
        if before is None or before.list_lock is None:
            return Finding(Verdict.UNKNOWN, "no free into a dead cache was counted", figures)
        if len(costs) < max(2, len(designs)) or any(cost.list_lock is None for cost in costs.values()):
            return Finding(Verdict.UNKNOWN, f"{size} B {order}: a design was not counted", figures)
        value = {name: {"list_lock": cost.list_lock, "page_cas": cost.page_cas} for name, cost in costs.items()}
        text = ", ".join(
            f"{name} {units.per_unit(cost.list_lock)}/{units.per_unit(cost.page_cas)}" for name, cost in costs.items()
        )
        figures.append(figure(f"{size} B {order}, list_lock/page CAS per free", value, text))
        for name, cost in costs.items():
            more = ((cost.list_lock or 0.0) - before.list_lock) * per_slab
            worst = max(worst, more)
            if more > LOCKS_PER_SLAB:
                dear.append(f"{name}, {size} B {order}: {units.per_unit(more)} locks more per slab")
    if not cells:
        return Finding(Verdict.UNKNOWN, "nothing was counted", figures)
    if not dear and worst < LEAST_LOCKS:
        return Finding(Verdict.FAILS, f"not even {LEAST_LOCKS:g} locks more per slab anywhere", figures)
    if dear:
        return Finding(Verdict.FAILS, "; ".join(dear), figures)
    return Finding(
        Verdict.HOLDS, f"at most {units.per_unit(worst)} list_lock acquisitions per slab more than linux-3.16", figures
    )


def slab(lab: Lab) -> Finding:
    """dead-free under 3.16, whose dead caches free as live ones do, and v3, which frees each object to its slab."""
    lab.need("slab", ["v3"])
    rows = {}
    for size in (64, 1024) if lab.quick else tuple(PUBLISHED_SLAB):
        settings = {"object_size": size, "slabs": lab.size(512, 16), "cgroups": lab.size(8, 2)}
        result = lab.run("dead-free", "linux-3.16", "v3", allocator="slab", serial=False, settings=settings, settle=0.0)
        rows[size] = (result.designs["linux-3.16"], result.designs["v3"], result.ratios["v3"].dead)
    return judge_slab(rows)


def judge_slab(rows: dict[int, tuple[Design, Design, Ratio]]) -> Finding:
    """Holds if frees into dead caches are slower at every size, surely."""
    figures, unsure, not_slower = [], [], []
    for size, (alive, dead, ratio) in rows.items():
        locks = [d.per_dead_free.list_lock if d.per_dead_free else None for d in (alive, dead)]
        text = " → ".join(map(units.per_unit, locks))
        figures.append(figure(f"{size} B, list_lock per free, as alive and dead", locks, text))
        slower = None if ratio.estimate is None else 1 / ratio.estimate
        timed = ratio_figure(f"{size} B, dead frees/s", ratio)
        published = PUBLISHED_SLAB[size]
        value = timed.value | {"slowdown": slower, "published": published}
        text = f"{timed.text}, {units.per_unit(slower)} times slower; published {published}"
        figures.append(figure(timed.name, value, text))
        if ratio.low is None or ratio.high is None or ratio.low <= 1 <= ratio.high:
            unsure.append(size)
        elif ratio.low > 1:
            not_slower.append(size)
    counted = [d.per_dead_free.list_lock if d.per_dead_free else None for _, d, _ in rows.values()]
    if uncounted(counted):
        return Finding(Verdict.UNKNOWN, "locks of frees into dead caches were not counted", figures)
    if any(abs((locks or 0.0) - 1.0) > LOCKS_WITHIN for locks in counted):
        return Finding(Verdict.FAILS, f"not a lock per object within {LOCKS_WITHIN:.0%}", figures)
    if not_slower:
        return Finding(Verdict.FAILS, f"not slower at {', '.join(f'{s} B' for s in not_slower)}", figures)
    if unsure:
        return Finding(
            Verdict.UNKNOWN,
            f"the interval includes no change, or there is none, at {', '.join(f'{s} B' for s in unsure)}",
            figures,
        )
    slowdowns = [1 / ratio.estimate for _, _, ratio in rows.values() if ratio.estimate]
    return Finding(Verdict.HOLDS, f"{min(slowdowns):.2f} to {max(slowdowns):.2f} times slower", figures)
