"""R10: shares of operations that somebody else's simulation counted; exact, so natively and one operation at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from stress.claims.reports.report import Count, Report

if TYPE_CHECKING:
    from stress.claims.lab import Lab

CAPACITY = 60
BARN = ("barn_get", "barn_put", "barn_put_fail")
SLABS = ("sheaf_refill", "sheaf_flush")
FEW, MANY = 3, 8  # bursts: what happens once, at the beginning, is taken off
FEW_ROUNDS, MANY_ROUNDS = 20, 60


def counts(lab: Lab, scenario: str, cpus: int, settings: dict[str, Any]) -> dict[str, int]:
    """Statistics of linux-7.0. Raises Damaged if 7.2 differs in any of these: no patch between them says so."""
    from stress.claims.lab import Damaged

    result = lab.run(
        scenario, "linux-7.0", "linux-7.2", cpus=cpus, settings=settings | {"object_size": 128, "charged": "false"}
    )
    first, second = (result.designs[name].stats for name in ("linux-7.0", "linux-7.2"))
    if [first[n] for n in BARN + SLABS] != [second[n] for n in BARN + SLABS]:
        raise Damaged("linux-7.0 and linux-7.2 differ in what goes through the barn")
    return {name: first[name] or 0 for name in BARN + SLABS}


def bursts(lab: Lab, objects: int, names: tuple[str, ...], each: int) -> float:
    """Percent of the operations of bursts, counted by these statistics, so many objects each."""
    few, many = (counts(lab, "free-burst", 1, {"objects": objects, "bursts": n}) for n in (FEW, MANY))
    return 100 * sum(many[n] - few[n] for n in names) / each / (2 * (MANY - FEW) * objects)


def one_way(lab: Lab, names: tuple[str, ...], each: int) -> float:
    """The same of objects that one CPU allocates and another one frees."""
    few, many = (counts(lab, "one-way", 2, {"batch": CAPACITY, "rounds": n}) for n in (FEW_ROUNDS, MANY_ROUNDS))
    operations = 2 * (MANY_ROUNDS - FEW_ROUNDS) * CAPACITY
    return 100 * sum(many[n] - few[n] for n in names) / each / operations


R10 = Report(
    "R10",
    "a simulation of sheaves: who serves an operation",
    "a third party's post, 3 October 2026",
    "capacity 60, one node, 2 million operations",
    "none: counts",
    counts=(
        *(
            Count(f"bursts of {n}, {place}", share, partial(bursts, objects=n, names=names, each=each))
            for n, barn, slabs in ((100, 0.0, 0.0), (200, 1.0, 0.0), (1000, 1.25, 0.5))
            for place, share, names, each in (("barn", barn, BARN, 1), ("slabs", slabs, SLABS, CAPACITY))
        ),
        Count("knee: bursts of 720, barn (20 of 1440 by arithmetic)", 100 * 20 / 1440,
              partial(bursts, objects=720, names=BARN, each=1)),
        Count("knee: bursts of 720, slabs", 0.0, partial(bursts, objects=720, names=SLABS, each=CAPACITY)),
        Count("CPU 0 allocates, CPU 1 frees, barn", 100 / 60, partial(one_way, names=BARN, each=1), within=0.03),
        Count("CPU 0 allocates, CPU 1 frees, slabs", 0.0, partial(one_way, names=SLABS, each=CAPACITY), within=0.05),
    ),
)  # fmt: skip
