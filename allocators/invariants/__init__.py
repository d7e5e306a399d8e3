"""Invariants of a world at rest: named checkers that say which state breaks which rule.

At rest means that no CPU is inside an allocator function; work may still be queued. Checkers only
read, trust nothing they read (a wild pointer or a cycle is a finding, not a crash) and are ordinary
NumPy and Python, so they share no code with what they check but the layouts and bit fields.

    pages_conserved  every frame is free or in a slab; the free blocks are aligned, merged and counted
    one_state        every slab is in exactly one place, which its frozen bit and freelist agree with;
                     SLOB: a page is on a list while it has free units
    list_counts      lists are linked both ways; counters equal what is on the lists and in the mem_map
    freelists        free objects are well formed, on one freelist (or in one array) only, and as many as the
                     counters say; SLOB: a page's free blocks are in order, apart from each other, and counted
    arrays           SLAB: array caches are within their limits and hold objects of their cache and node
    inuse            objects handed out are exactly those that count as in use and lie on no freelist;
                     SLOB: objects and free blocks fill each page without overlap
    references       a child's refcnt (I1, I2), a memcg's charges and css references equal what holds them
    owners           owner pointers, references and charges of obj_cgroups balance, to the byte (F_OBJCG)
    sheaves          every sheaf is at one CPU, in one barn or unused; full and empty ones are so (F_SHEAF)
    registry         lists of caches, slot arrays, lists of children and tables agree with the descriptors
    conservation     the statistics and operation counts balance (feature STATS)
    locks            no lock is held, interrupts are on and no CPU is in a non-preemptible section
    bug              no assertion of the allocators has failed

What dead caches hoard (I9) is not a rule but what designs differ in: see `dead`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from allocators.caches.layout import Layout
from allocators.invariants.accounting import conservation, references
from allocators.invariants.dead import empty_slabs, hidden_objects, hoarded_by_dead, left_behind, sheaf_census
from allocators.invariants.objects import freelists, inuse
from allocators.invariants.owners import owners
from allocators.invariants.pages import pages_conserved
from allocators.invariants.rcu import deferred
from allocators.invariants.registry import bug, locks, registry
from allocators.invariants.sheaves import sheaves
from allocators.invariants.slab_checks import SLAB_CHECKERS
from allocators.invariants.slab_snapshot import SlabSnapshot
from allocators.invariants.slabs import list_counts, one_state
from allocators.invariants.slob_checks import SLOB_CHECKERS
from allocators.invariants.slob_snapshot import SlobSnapshot, page_census
from allocators.invariants.snapshot import Snapshot
from shm.machine import Machine

__all__ = [
    "Report",
    "check",
    "empty_slabs",
    "hidden_objects",
    "hoarded_by_dead",
    "left_behind",
    "page_census",
    "sheaf_census",
]

MOST = 4  # descriptions of one invariant

# Each looks at a snapshot of its allocator's kind.
Checker = Callable[..., Iterator[str]]
CHECKERS: dict[str, Checker] = {
    checker.__name__: checker
    for checker in (
        pages_conserved,
        one_state,
        list_counts,
        freelists,
        inuse,
        references,
        owners,
        sheaves,
        registry,
        conservation,
        locks,
        bug,
    )
}


@dataclasses.dataclass(slots=True)
class Report:
    """checked: names of the invariants looked at; violated: (name, what is wrong), a few of each name."""

    checked: list[str]
    violated: list[tuple[str, str]]

    def broken(self) -> set[str]:
        """Names of the invariants that do not hold."""
        return {name for name, _ in self.violated}


def check(m: Machine, layout: Layout, live_objects: np.ndarray | None = None, *, stats: bool) -> Report:
    """Check every invariant of a world at rest under the design of `m`.

    live_objects: the objects now handed out, as kmem_cache_alloc returned them; without them `inuse` is not checked.
    stats: the world has run with the feature STATS from its boot; else `conservation` is not checked.
    """
    kind: type[Snapshot] = Snapshot
    checkers = CHECKERS
    if m.has("SLAB"):
        kind, checkers = SlabSnapshot, {**CHECKERS, **SLAB_CHECKERS}
    elif m.has("SLOB"):
        kind, checkers = SlobSnapshot, {**CHECKERS, **SLOB_CHECKERS}
    if live_objects is not None:
        # Those in batches of kfree_rcu are in use still.
        live_objects = np.r_[live_objects, np.array(list(deferred(m.mem, layout)), np.int64)]
    snapshot = kind(m, layout, live_objects)
    report = Report([], [])
    for name, checker in checkers.items():
        if name == "inuse" and live_objects is None or name == "conservation" and not stats:
            continue
        report.checked.append(name)
        found = list(itertools.islice(checker(snapshot), MOST + 1))
        report.violated += [(name, text) for text in found[:MOST]]
        if len(found) > MOST:
            report.violated.append((name, "and more of the kind"))
    return report
