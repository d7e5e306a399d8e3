"""Claim 11: who pins a removed cgroup while objects of it live, design by design, on the same tapes."""

from __future__ import annotations

from stress.claims.claim import Finding, Verdict, figure
from stress.claims.lab import Lab
from stress.result.data import Design

DELAY = 5  # cgroups whose files live
COUNTS = (10, 20, 30, 40)


def pins(lab: Lab, design: str, pins_while_alive: bool) -> Finding:
    """churn after 10, 20, 30 and 40 cgroups, the files of the last five still there."""
    lab.need("slub", [design])
    rows: dict[int, Design] = {}
    for cgroups in COUNTS[:2] if lab.quick else COUNTS:
        settings = {"cgroups": cgroups, "files": lab.size(120, 30), "delay": DELAY, "release": False}
        before = "v1" if design == "linux-3.16" else "linux-3.16"
        rows[cgroups] = lab.run("churn", before, design, settings=settings).designs[design]
    return judge_pins(rows, pins_while_alive)


def judge_pins(rows: dict[int, Design], pins_while_alive: bool) -> Finding:
    """pins_while_alive: the claim is that memcgs with live objects are pinned; else that none is."""
    memcgs = [design.cgroups_pinned for design in rows.values() if design.cgroups_pinned is not None]
    figures = [
        figure(
            f"after {cgroups} cgroups",
            {"memcgs": d.cgroups_pinned, "caches": d.dead_caches.left, "pages": d.pages_left},
            f"{d.cgroups_pinned} memcgs pinned, {d.dead_caches.left} dead caches, {d.pages_left} pages",
        )
        for cgroups, d in rows.items()
    ]
    if len(memcgs) < len(rows) or not rows:
        return Finding(Verdict.UNKNOWN, "no counted pass", figures)
    series = ", ".join(map(str, memcgs))
    if pins_while_alive:
        return Finding(
            Verdict.HOLDS if all(n >= DELAY for n in memcgs) else Verdict.FAILS,
            f"{series} memcgs are pinned",
            figures,
        )
    return Finding(Verdict.FAILS if any(memcgs) else Verdict.HOLDS, f"{series} memcgs are pinned", figures)
