"""Which counters of SLUB with CPU slabs and of SLUB with sheaves tell of the same thing, where designs of both kinds
stand side by side.

Nothing is added up: a cell has a figure for each counter that its design has, since one may count slabs, another
sheaves or objects. What no counter of the other kind tells of is said to have no counterpart.

After v6.17, v6.18 and v7.0 enum stat_item and where mm/slub.c counts them (6f1912181ddf renamed what sheaves count).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stress.result.data import Design
from stress.show import units
from stress.show.tables import Group, Row

TITLE = "counters of the same thing, per million frees"
NONE = "not counted"


@dataclasses.dataclass(frozen=True, slots=True)
class Correspondence:
    """Counters of one thing, those with CPU slabs first; 6.18 has both. differs: what the same words do not mean."""

    meaning: str
    counters: tuple[str, ...]
    differs: str = ""


CORRESPONDENCES = (
    Correspondence(
        "allocations from the CPU's own stock",
        ("alloc_fastpath", "alloc_pcs"),
        "of the CPU slab; from 7.0 of the main sheaf",
    ),
    Correspondence(
        "allocations past it",
        ("alloc_slowpath",),
        "it gets the CPU a slab, and all its objects; from 7.0 one object",
    ),
    Correspondence(
        "frees to the CPU's own stock",
        ("free_fastpath", "free_pcs"),
        "to the CPU slab that the object came from; from 7.0 any object of the node",
    ),
    Correspondence("frees past it, to a slab", ("free_slowpath",), "from 7.0 not what a sheaf's flush sends there"),
    Correspondence("further stock taken, when the own is used up", ("cpu_partial_alloc", "barn_get")),
    Correspondence("full stock set aside", ("cpu_partial_free", "barn_put")),
    Correspondence("stock given back, as there is enough", ("cpu_partial_drain", "barn_put_fail", "sheaf_flush")),
    Correspondence("stock got from slabs", ("alloc_from_partial", "cpu_partial_node", "sheaf_refill")),
    Correspondence(
        "empty slabs given back", ("free_slab",), "from 7.0 only by frees, not by refills or kmem_cache_shrink"
    ),
    Correspondence(
        "not of the node asked for",
        ("alloc_node_mismatch",),
        "the CPU slab; from 7.0 the CPU, or the object on top of its sheaf",
    ),
)

# What one is, where it is no operation on an object.
UNITS = {
    "cpu_partial_alloc": "slabs",
    "cpu_partial_free": "slabs",
    "cpu_partial_drain": "lists of slabs",
    "cpu_partial_node": "slabs",
    "alloc_from_partial": "slabs",
    "free_slab": "slabs",
    "barn_get": "sheaves",
    "barn_put": "sheaves",
    "barn_put_fail": "sheaves",
    "sheaf_flush": "objects",
    "sheaf_refill": "objects",
}


def translated(designs: Sequence[Design]) -> Group:
    """Rows of what was counted under several names; none where all designs have the same counters.

    Below each the names, and what one of it is. A counter without counterpart has a row of its own if it is not 0.
    """
    names = dict.fromkeys(name for design in designs for name in design.stats)
    of_some = [name for name in names if not all(name in design.stats for design in designs)]
    rows: list[Row] = []
    if of_some and all("alloc_fastpath" in design.stats for design in designs):  # else other allocators are among them
        for one in CORRESPONDENCES:
            if any(design.stats.get(name) for design in designs for name in one.counters):
                rows.append(Row(one.meaning, tuple(_figures(design, one.counters) for design in designs)))
                rows.append(Row("… as", tuple(_names(design, one.counters) for design in designs), one.meaning))
        matched = {name for one in CORRESPONDENCES for name in one.counters}
        for name in of_some:
            if name not in matched and any(design.stats.get(name) for design in designs):
                cells = tuple(_figures(design, (name,)) for design in designs)
                rows.append(Row(f"{name}, without counterpart", cells))
    return Group(TITLE, tuple(rows))


def differing(designs: Sequence[Design]) -> str:
    """A sentence on counters that all of these have but that do not count the same, if they are of both kinds."""
    if not translated(designs).rows:
        return ""
    found = [f"{one.counters[0]} ({one.differs})" for one in CORRESPONDENCES if one.differs]
    return f"Under one name not the same: {'; '.join(found)}."


def _figures(design: Design, counters: Sequence[str]) -> str:
    found = [units.per_unit(per_million(design, name)) for name in counters if name in design.stats]
    return " + ".join(found) or NONE


def _names(design: Design, counters: Sequence[str]) -> str:
    return " + ".join(f"{name} ({UNITS[name]})" if name in UNITS else name for name in counters if name in design.stats)


def per_million(design: Design, name: str) -> float | None:
    """How often a counter rose for a million frees."""
    counted = design.stats.get(name)
    return None if counted is None or not design.frees else 1e6 * counted / design.frees
