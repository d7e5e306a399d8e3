"""The allocators there are, as plain facts: what options, listings, figures, reports and claims ask of one by its name.

The other half of each is its deeds (`allocators.caches.kinds`), under the same name: what only compiled code and its
world can do. This half imports nothing heavy, so `--help` may ask it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

# Of a world; the kworker's CPU is one more. Sets of CPUs have no bound (`shm.cpumask`): this is what is tested.
MAX_CPUS = 512

FAILURES = ("shrink-alloc", "page-alloc")  # what can be made to fail on purpose


@dataclasses.dataclass(frozen=True, slots=True)
class Allocator:
    """What holds of an allocator whatever it plays.

    feature: what marks code compiled for it, as features of a machine; SLUB's is what is left without any.
    time_scale: kernel seconds that pass in a real one unless told otherwise.
    default_after: designs to compare by default.
    has_children: cgroups have caches of their own.
    instead: without them, what becomes of objects, as the end of a sentence.
    settles: timers may still find dead caches after the last free.
    lock: the one that frees contend for.
    statistics: the names of its counters, in the kernel's order.
    sysfs: a kernel shows its caches, and shrinks one when told to, in /sys/kernel/slab.
    fails: what of `FAILURES` there is to fail.
    chained: a free object points at the next one, so where that lies is known when its line has come.
    """

    name: str
    about: str = ""
    feature: frozenset[str] = frozenset()
    time_scale: float = 1.0
    default_after: tuple[str, ...] = ("v1", "v3")
    has_children: bool = True
    instead: str = ""
    settles: bool = False
    lock: str = "list_lock"
    statistics: tuple[str, ...] = ()
    sysfs: bool = False
    fails: tuple[str, ...] = ("page-alloc",)
    chained: bool = True

    def refuses(self, *, trace: bool = False, failures: tuple[str, ...] = ()) -> str | None:
        """Why it cannot play a recorded kernel, or with such failures on purpose, and what to do; None when it can.

        What it refuses of a design, the design's switches say themselves (`allocators.designs.Design.check_allocator`).
        """
        if trace and not self.has_children:
            able = " or ".join(name for name, other in ALLOCATORS.items() if other.has_children)
            return (
                f"--trace with --allocator {self.name}: recorded kernels used caches of cgroups, which "
                f"{self.name.upper()} does not have; replay on {able}, or give a --scenario"
            )
        if "shrink-alloc" in failures and "shrink-alloc" not in self.fails:
            able = " or ".join(f"{name}'s" for name, other in ALLOCATORS.items() if "shrink-alloc" in other.fails)
            return (
                f"--fail shrink-alloc with --allocator {self.name}: only {able} kmem_cache_shrink allocates a sort "
                "array; leave it out"
            )
        return None


# CONFIG_SLUB_STATS of Linux 3.16 (enum stat_item), as /sys/kernel/slab/<cache> names them.
_SLUB_STATISTICS = (
    "alloc_fastpath",
    "alloc_slowpath",
    "free_fastpath",
    "free_slowpath",
    "free_frozen",
    "free_add_partial",
    "free_remove_partial",
    "alloc_from_partial",
    "alloc_slab",
    "alloc_refill",
    "alloc_node_mismatch",
    "free_slab",
    "cpuslab_flush",
    "deactivate_full",
    "deactivate_empty",
    "deactivate_to_head",
    "deactivate_to_tail",
    "deactivate_remote_frees",
    "deactivate_bypass",
    "order_fallback",
    "cmpxchg_double_cpu_fail",
    "cmpxchg_double_fail",
    "cpu_partial_alloc",
    "cpu_partial_free",
    "cpu_partial_node",
    "cpu_partial_drain",
)

# What 6.18 adds (enum stat_item), for caches with sheaves.
SHEAF_STATISTICS = (
    "alloc_pcs",
    "free_pcs",
    "free_rcu_sheaf",
    "free_rcu_sheaf_fail",
    "sheaf_flush",
    "sheaf_refill",
    "sheaf_alloc",
    "sheaf_free",
    "barn_get",
    "barn_get_fail",
    "barn_put",
    "barn_put_fail",
    "sheaf_prefill_fast",
    "sheaf_prefill_slow",
    "sheaf_prefill_oversize",
    "sheaf_return_fast",
    "sheaf_return_slow",
)

# What 7.0 has no more: there are no CPU slabs, and what sheaves give and take is the fast path.
_GONE_IN_7 = frozenset(
    name
    for name in (*_SLUB_STATISTICS, *SHEAF_STATISTICS)
    if name.startswith(("deactivate_", "cpu_partial_"))
    or name
    in (
        "free_frozen",
        "alloc_from_partial",
        "alloc_refill",
        "cpuslab_flush",
        "cmpxchg_double_cpu_fail",
        "alloc_pcs",
        "free_pcs",
    )
)


def statistics_of(allocator: str, switches: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of an allocator's counters under a design with these switches."""
    names = facts(allocator).statistics
    if allocator == "slub" and "F_SHEAF" in switches:
        names += SHEAF_STATISTICS
        if "F_NOCPUSLAB" in switches:
            names = tuple(name for name in names if name not in _GONE_IN_7)
    return names


# /proc/slabinfo's globalstat and cpustat.
_SLAB_STATISTICS = (
    "allocations",  # objects taken from slabs
    "high_mark",
    "grown",
    "reaped",  # slabs freed by the reaper
    "errors",
    "max_freeable",
    "node_allocs",
    "node_frees",
    "node_overflow",
    "allochit",
    "allocmiss",
    "freehit",
    "freemiss",
    "free_noarray",  # P8v3: frees of a CPU that has no array; no kernel counts them
)

# No kernel counts anything of this; the names are ours.
_SLOB_STATISTICS = (
    "alloc_found",  # from a page that had room
    "alloc_new_page",
    "alloc_large",
    "alloc_pages_scanned",  # pages of a list that were looked at
    "alloc_blocks_scanned",  # free blocks in them that were looked at
    "alloc_aligned",  # free blocks split before the object, for its alignment
    "alloc_rotated",  # searches that moved the beginning of a list
    "free_to_full",  # into a page that was full
    "free_to_partial",
    "free_page",  # of a page's last object: the page went back
    "free_large",
    "free_blocks_scanned",  # free blocks passed on the way to where the object lies
    "free_coalesced",  # free blocks that were joined
    "free_deferred",  # frees that waited for a grace period; counted again when done
)

ALLOCATORS: dict[str, Allocator] = {}


def register(allocator: Allocator) -> Allocator:
    """Add an allocator's facts; its deeds belong into `allocators.caches.kinds`. ValueError when the name is taken."""
    if allocator.name in ALLOCATORS:
        raise ValueError(f"there is an allocator {allocator.name!r} already")
    ALLOCATORS[allocator.name] = allocator
    return allocator


def facts(name: str) -> Allocator:
    """An allocator's facts. Of one that this version does not have (an old result, a plugin) the usual ones are
    assumed."""
    return ALLOCATORS.get(name) or Allocator(name)


SLUB = register(
    Allocator(
        "slub",
        "the unqueued allocator of Linux 3.16, with all 26 of its statistics",
        statistics=_SLUB_STATISTICS,
        sysfs=True,
        fails=FAILURES,
    )
)
SLAB = register(
    Allocator(
        "slab",
        "the allocator of Linux 3.16 with per-CPU, shared and alien arrays and a periodic reaper",
        feature=frozenset({"SLAB"}),
        time_scale=20.0,  # it has timers of seconds
        settles=True,
        statistics=_SLAB_STATISTICS,
        chained=False,  # an array of indices
    )
)
SLOB = register(
    Allocator(
        "slob",
        "the allocator of Linux 3.16 for small machines: one heap, one lock, no caches of cgroups, nothing kept",
        feature=frozenset({"SLOB"}),
        default_after=("v1",),  # on SLOB all designs are one; v1 alone has the patch that touches mm/slob.c
        has_children=False,
        instead="objects of all cgroups share pages, and a page goes back with its last object",
        lock="slob_lock",
        statistics=_SLOB_STATISTICS,
    )
)
DEFAULT = SLUB.name
