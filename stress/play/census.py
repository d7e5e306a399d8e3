"""The census of an arena at rest: what is left, where it hides, what everything cost in operations."""

from __future__ import annotations

import numpy as np

from allocators.caches.boot import all_caches
from allocators.caches.kinds import KINDS
from allocators.catalogue import ALLOCATORS, SHEAF_STATISTICS, SLUB
from allocators.core.kmem_cache import CACHE
from allocators.core.world import INJECTION, INJECTION_AT, OPS, OPS_AT, REAPER, REAPER_AT, STAT_WORDS, WORLD, WORLD_AT
from allocators.invariants import check, empty_slabs, hidden_objects, left_behind, page_census, sheaf_census
from allocators.memcg.memcontrol import MEMCG
from scenarios.tape import SECTIONS
from shm.histogram import BUCKETS, HISTOGRAM, bucket_low
from shm.layout import view
from shm.locks import LOCK_CLASSES, LOCK_COUNT, LOCK_COUNTS
from stress.engine import LATENCY, PATHS, RUN, SLOT_FAILED
from stress.measure.records import Block, Census, Latencies, Pinned, SectionSum
from stress.play.arena import Arena
from stress.play.leftovers import charged, scatter

FREE_KINDS = ("live", "dead")


def operation_counts(arena: Arena) -> dict[str, int]:
    """OPS counters and lock counts (LOCK, LOCK_contended, LOCK_spins), summed over the worker CPUs; frees with
    the kworker's; and what failed on purpose."""
    totals: dict[str, int] = {
        "page_allocs_failed_on_purpose": sum(
            int(arena.words[arena.layout.area(cpu) + INJECTION_AT + INJECTION.page_allocs])
            for cpu in range(arena.layout.nr_cpus)
        ),
        "shrink_allocs_failed_on_purpose": int(arena.words[WORLD_AT + WORLD.shrink_allocs_failed]),
        "owner_bytes": int(arena.words[WORLD_AT + WORLD.owner_bytes]),
        "owner_bytes_peak": int(arena.words[WORLD_AT + WORLD.owner_bytes_peak]),
    }
    for cpu in range(arena.load.cpus):
        base = arena.layout.area(cpu)
        for name in OPS._fields[:-1]:
            totals[name] = totals.get(name, 0) + int(arena.words[base + OPS_AT + getattr(OPS, name)])
        for kind, name in enumerate(LOCK_CLASSES):
            at = base + LOCK_COUNTS + kind * LOCK_COUNT.SIZE
            for suffix, field in (("", "acquired"), ("_contended", "contended"), ("_spins", "spins")):
                totals[name + suffix] = totals.get(name + suffix, 0) + int(arena.words[at + getattr(LOCK_COUNT, field)])
    for name in ("free", "dead_free", "owned_free"):
        # kfree_rcu: the kworker frees after the grace period, on behalf of the workers.
        totals[name] += int(arena.words[arena.layout.area(arena.kworker_cpu) + OPS_AT + getattr(OPS, name)])
    return totals


def statistics(arena: Arena) -> dict[str, int]:
    """The allocator's own counters summed over all caches, living and destroyed, and all CPUs."""
    words, layout = arena.words, arena.layout
    names = ALLOCATORS[arena.allocator].statistics + SHEAF_STATISTICS * (arena.allocator == SLUB.name)
    sums = words[layout.plan["retired"] :][:STAT_WORDS].copy()
    m = arena.machine(frozenset(), 0)
    for s in all_caches(m):
        for cpu in range(layout.nr_cpus):
            base = layout.area(cpu) + int(words[s + CACHE.stats])
            sums += words[base : base + STAT_WORDS]
        for name in KINDS[arena.allocator].maxima:
            sums[names.index(name)] += int(words[s + getattr(CACHE, name)])
    return {name: int(sums[i]) for i, name in enumerate(names)}


def reaper_passes(arena: Arena) -> int:
    """Passes of SLAB's reaper on all CPUs; 0 for other allocators."""
    return sum(int(arena.words[arena.layout.area(cpu) + REAPER_AT + REAPER.passes]) for cpu in range(arena.load.cpus))


def extra_counts(arena: Arena) -> dict[str, int]:
    """What only this allocator counts beside its statistics, and where free objects of its dead caches hide."""
    m = arena.machine(frozenset(), 0)
    counts = KINDS[arena.allocator].extra_counts(m, arena.layout, arena.serial)
    hidden = hidden_objects(m, arena.layout)
    return counts | {f"dead_objects_in_{place}": n for place, n in hidden.items()}


def lifetimes_ns(arena: Arena) -> list[int]:
    """Lifetimes of destroyed dead caches after their last free in kernel time, to the histogram's 6 %."""
    at = arena.plan["lifetimes"] + HISTOGRAM.bucket
    counts = arena.words[at : at + BUCKETS]
    found: list[int] = []
    for bucket in np.flatnonzero(counts):
        found += [int(bucket_low(int(bucket)))] * int(counts[bucket])
    return found


def live_objects(arena: Arena) -> np.ndarray:
    """Objects that slots still hold."""
    base, size = arena.plan.regions["slot_table"]
    slots = arena.words[base : base + size]
    return slots[(slots != 0) & (slots != SLOT_FAILED)]


def section_sums(arena: Arena, cycles_per_ns: float) -> dict[str, list[SectionSum]]:
    """Timed sections by kind and CPU."""
    table = arena.sections()
    return {
        kind: [
            SectionSum(int(row["operations"]), float(row["cycles"]) / cycles_per_ns, int(row["sections"]))
            for row in table[:, i]
        ]
        for i, kind in enumerate(SECTIONS)
    }


def section_operations(arena: Arena) -> dict[str, dict[str, int]]:
    """Per kind of free section: frees in it, list_lock, list_lock_contended, page_cas, page_cas_failed."""
    table = arena.sections()
    names = ("list_lock", "list_lock_contended", "page_cas", "page_cas_failed")
    return {
        kind: {"frees": int(table[:, SECTIONS.index(kind)]["operations"].sum())}
        | {name: int(table[:, SECTIONS.index(kind)][name].sum()) for name in names}
        for kind in FREE_KINDS
    }


def pinned_over_time(arena: Arena) -> list[Pinned]:
    """The samples of the kworker; see `stress.engine.curve`."""
    return [Pinned(*map(int, sample)) for sample in arena.samples()]


def take_census(arena: Arena, design: str, features: frozenset[str], cycles_per_ns: float | None = None) -> Census:
    """Everything a counted pass leaves behind; the world is at rest. Checks the invariants too.

    cycles_per_ns: rate of the cycle counter; without it (serial play) there are no latencies.
    """
    m = arena.machine(features, 0)
    words = arena.words
    operations = operation_counts(arena) | sheaf_census(m, arena.layout) | page_census(m, arena.layout)
    operations |= scatter(arena, m) | charged(arena, m)
    report = check(m, arena.layout, live_objects(arena), stats=True)
    caches, slabs, pages = left_behind(m, arena.layout)
    return Census(
        design=design,
        offlined=int(words[WORLD_AT + WORLD.offlined]),
        destroyed=int(words[WORLD_AT + WORLD.destroyed]),
        left=caches,
        lifetimes_ns=lifetimes_ns(arena),
        empty_slabs=empty_slabs(m, arena.layout),
        slabs_left=slabs,
        pages_left=pages,
        frees=operations["free"],
        dead_frees=operations["dead_free"],
        allocations=operations["alloc"],
        failed_allocations=int(arena.plays()["failed"].sum()),
        stats=statistics(arena),
        operations=operations | extra_counts(arena),
        checked=report.checked,
        violated=report.violated,
        cgroups_pinned=int(words[WORLD_AT + WORLD.cgroups_offline]),
        free_sections=section_operations(arena),
        latencies={} if cycles_per_ns is None else read_latencies(arena, cycles_per_ns),
        clock_ns=None if cycles_per_ns is None else clock_ns(arena, cycles_per_ns),
        pinned=pinned_over_time(arena),
    )


def take_block(arena: Arena, design: str, pair: int, *, warmup: bool, wall_ns: int, cycles_per_ns: float) -> Block:
    """The figures of a timed pass."""
    return Block(
        design=design,
        pair=pair,
        warmup=warmup,
        wall_ns=wall_ns,
        sections=section_sums(arena, cycles_per_ns),
        failed_allocations=int(arena.plays()["failed"].sum()),
    )


def pinned_now(arena: Arena) -> tuple[int, int]:
    """(dead caches, pages they pin) at this moment, read without any lock: for progress only."""
    words = arena.words
    dead = int(words[WORLD_AT + WORLD.offlined] - words[WORLD_AT + WORLD.destroyed])
    memcgs = view(words, MEMCG, arena.plan["memcgs"], arena.layout.limits.memcgs)
    gone = (memcgs["used"] == 1) & (memcgs["online"] == 0)
    return dead, int(memcgs["kmem"][gone].sum())


def signs_of_life(arena: Arena) -> object:
    """Something that changes as long as play gets on: turns, rounds, events, CPUs that are done, caches."""
    counts = [int(arena.words[arena.run + at]) for at in (RUN.ready, RUN.events_done, RUN.done, RUN.over)]
    return *counts, reaper_passes(arena), *pinned_now(arena), arena.plays()["round"].tobytes()


def read_latencies(arena: Arena, cycles_per_ns: float) -> dict[str, Latencies]:
    """By path, all CPUs together; paths that no operation took are left out."""
    found = {}
    areas = [arena.plan["latencies"] + cpu * LATENCY.SIZE + LATENCY.path for cpu in range(arena.load.cpus)]
    for number, path in enumerate(PATHS):
        histograms = [arena.words[a + number * HISTOGRAM.SIZE :][: HISTOGRAM.SIZE] for a in areas]
        buckets = np.sum([h[HISTOGRAM.bucket : HISTOGRAM.bucket + BUCKETS] for h in histograms], axis=0)
        if buckets.any():
            longest = max(int(h[HISTOGRAM.max]) for h in histograms)
            found[path] = Latencies(
                {_middle(int(b)) / cycles_per_ns: int(buckets[b]) for b in np.flatnonzero(buckets)},
                longest / cycles_per_ns,
            )
    return found


def clock_ns(arena: Arena, cycles_per_ns: float) -> float:
    """What reading the counter costs, which is taken off the latencies: that of the slowest CPU."""
    return float(arena.latencies()["clock"].max()) / cycles_per_ns


def _middle(bucket: int) -> float:
    """The mean of the whole numbers that a bucket counts."""
    return (bucket_low(bucket) + bucket_low(bucket + 1) - 1) / 2
