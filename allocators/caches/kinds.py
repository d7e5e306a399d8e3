"""What each allocator does, for those who build a world of it and look into one: the other half of
`allocators.catalogue`.

Arena, census, replay, conformance, the explorer's scenes and the tests' small world ask these rows by the allocator's
name; compiled code asks nobody, it calls the row's vectors. To add an allocator: its facts, its row here, its
invariants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from allocators import catalogue
from allocators.caches.boot import Root, Sizes, boot, create_root
from allocators.caches.layout import Layout, Limits, Room, plan
from allocators.caches.memcg_caches import memcg_rcu, memcg_work, slub_call
from allocators.caches.vectors import (
    heap_lock,
    never_settling,
    no_bound_work,
    no_timers,
    node_list_lock,
    slab_settling,
    slab_timers,
)
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE
from allocators.core.world import FREELIST_WORDS, OBJCG, REAPER, REAPER_AT, WORLD, WORLD_AT
from allocators.slab import inspect as slab_inspect
from allocators.slab.drain import slab_ipi
from allocators.slab.reap import serve_reaper, start_reapers
from allocators.slab.sizing import SlabSizing, array_room, slab_sizing
from allocators.slab.state import SLAB_NODE
from allocators.slob import inspect as slob_inspect
from allocators.slob.cache import slob_ipi
from allocators.slob.sizing import slob_sizing
from allocators.slob.state import LISTS, OBJECT_MASK, SLOB
from allocators.slub import inspect as slub_inspect
from allocators.slub.sheaf_state import MAX_CAPACITY, sheaf_words
from allocators.slub.sizing import Sizing, sizing
from shm.layout import CACHE_LINE, view
from shm.machine import Machine, register_vectors


class Spec(Protocol):
    """What a cache is to be (see `scenarios.tape.CacheSpec`), sizes in bytes."""

    @property
    def object_size(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def align(self) -> int: ...
    @property
    def destroy_by_rcu(self) -> bool: ...
    @property
    def has_ctor(self) -> bool: ...
    @property
    def cpu_partial(self) -> bool: ...


def _no_boot(words: np.ndarray, layout: Layout) -> None:
    """What is zero after the boot is right."""


def _no_locks(layout: Layout) -> frozenset[int]:
    """None beside those that all allocators have."""
    return frozenset()


def _no_counts(m: Machine, layout: Layout, serial: bool) -> dict[str, int]:
    return {}


def _nothing_shown(m: Machine, s: int, cpus: int) -> dict[str, int]:
    return {}


def _as_they_are(objects: np.ndarray) -> np.ndarray:
    return objects


@dataclasses.dataclass(frozen=True, slots=True)
class Deeds:
    """See the module's text.

    size(spec, cpus): what it makes of a cache's specification; ValueError for one that it cannot have.
    regions(limits, sizes, features): its words in a segment. vectors: what compiled code calls by the kernel's name.
    read(m, s, cpus): the statistics of a cache, each as a list by CPU.
    created: the statistic that counts slabs ever made. maxima: those that are kept in a cache's descriptor, not by CPU.
    boot(words, layout): its own words at boot.
    shown(m, s, cpus): what a kernel shows of a cache at rest, by the names of recorded columns; stride: of these the
    distance of two objects.
    locks(layout): the words that are locks of its own.
    extra_counts(m, layout, serial): what a census counts beside the statistics.
    addresses(objects): word addresses of what allocations returned.
    model(size, objects, min_partial, limit): the sizes of a cache with slabs of one page and `objects` objects, for
    scenes of the explorer; None for an allocator that has no models.
    """

    size: Callable[[Spec, int], Sizes]
    regions: Callable[[Limits, Sequence[Any], frozenset[str]], Room]
    vectors: Mapping[str, Callable]
    read: Callable[[Machine, int, int], dict[str, list[int]]]
    created: str
    maxima: tuple[str, ...] = ()
    boot: Callable[[np.ndarray, Layout], None] = _no_boot
    shown: Callable[[Machine, int, int], dict[str, int]] = _nothing_shown
    stride: str = ""
    locks: Callable[[Layout], frozenset[int]] = _no_locks
    extra_counts: Callable[[Machine, Layout, bool], dict[str, int]] = _no_counts
    addresses: Callable[[np.ndarray], np.ndarray] = _as_they_are
    model: Callable[[int, int, int, int], Sizes] | None = None


KINDS: dict[str, Deeds] = {}


def register(name: str, deeds: Deeds) -> None:
    """Add an allocator's deeds, and what compiled code calls of it. ValueError when the name is taken."""
    if name in KINDS:
        raise ValueError(f"there are deeds of an allocator {name!r} already")
    KINDS[name] = deeds
    register_vectors(name, **deeds.vectors)


# The one way to build a world.


def lay_out(
    allocator: str,
    limits: Limits,
    sizes: Sequence[Sizes],
    features: frozenset[str],
    extra: dict[str, int] | None = None,
) -> Layout:
    """The segment of a world. sizes: of its root caches; features: of all designs that will be played in it,
    together."""
    return plan(limits, KINDS[allocator].regions(limits, sizes, features), extra)


def build_world(
    allocator: str,
    words: np.ndarray,
    layout: Layout,
    features: frozenset[str],
    roots: Sequence[Root],
    *,
    serial: bool,
    seed: int = 1,
) -> list[int]:
    """Boot a world in the words of a segment and create its root caches; returns their descriptors.

    A second time resets it. Raises RuntimeError when there is no room for a root cache.
    """
    boot(words, layout, serial=serial, seed=seed)
    KINDS[allocator].boot(words, layout)
    m = Machine(words.data, 0, features | catalogue.ALLOCATORS[allocator].feature, allocator)
    return [create_root(m, layout, root) for root in roots]


# SLUB


def _slub_size(spec: Spec, cpus: int) -> Sizing:
    outside = spec.has_ctor or spec.destroy_by_rcu
    return sizing(
        spec.object_size, spec.align, cpus, size=spec.size, pointer_outside=outside, cpu_partial=spec.cpu_partial
    )


def _slub_regions(limits: Limits, sizes: Sequence[Sizing], features: frozenset[str]) -> Room:
    """F_OBJCG mirrors the page frames; F_OBJCGNODE has a table of obj_cgroups; F_SHEAF has sheaves and barns for each
    root cache."""
    regions: dict[str, int] = {}
    nr_cpus = limits.workers + 1
    owners = "F_OBJCG" in features
    # A multiple of a line's words: the parts of the references of two CPUs lie in no line together.
    each = limits.nodes if "F_OBJCGNODE" in features else 1
    objcgs = -(-4 * each * limits.memcgs // CACHE_LINE) * CACHE_LINE if owners else 0
    if owners:
        regions |= {"objcgs": objcgs * OBJCG.SIZE, "objcg_refs": objcgs * nr_cpus, "obj_cgroups": 1}
    if "F_OBJCGNODE" in features:
        regions["node_objcgs"] = limits.memcgs * limits.nodes
    per_root = 0
    if "F_SHEAF" in features:
        capacity = max(limits.sheaves.capacity, limits.asked, MAX_CAPACITY)
        per_root = sheaf_words(nr_cpus, limits.nodes, capacity, limits.sheaves)
    if per_root:
        regions["sheaves"] = per_root * limits.roots
    return Room(
        regions,
        per_frame=frozenset({"obj_cgroups"} if owners else ()),
        mirror="owners" if owners else "",
        objcgs=objcgs,
        sheaf_words=per_root,
    )


def _slub_boot(words: np.ndarray, layout: Layout) -> None:
    if layout.objcgs:
        for name in ("objcgs", "objcg_refs", "obj_cgroups", "owners"):
            words[WORLD_AT + getattr(WORLD, name)] = layout.plan[name]
        if "node_objcgs" in layout.plan.regions:
            words[WORLD_AT + WORLD.node_objcgs] = layout.plan["node_objcgs"]
        first = layout.plan["objcgs"]
        words[WORLD_AT + WORLD.max_objcgs] = layout.objcgs
        words[WORLD_AT + WORLD.objcg_free] = first
        address = first + np.arange(layout.objcgs) * OBJCG.SIZE
        view(words, OBJCG, first, layout.objcgs)["next_free"] = np.r_[address[1:], 0]


def _slub_shown(m: Machine, s: int, cpus: int) -> dict[str, int]:
    """/sys/kernel/slab/<cache>; per-CPU numbers as NAME_C0 … of the first `cpus`."""
    seen: dict[str, int] = {}
    shown = slub_inspect.attributes(m, s)
    for name, values in slub_inspect.statistics(m, s, len(shown.partial_cpus)).items():
        seen[name] = sum(values)
        for cpu in range(cpus):
            seen[f"{name}_C{cpu}"] = values[cpu]
    for name in ("slabs", "objects", "total_objects", "partial", "objects_partial", "cpu_slabs"):
        seen[name] = getattr(shown, name)
    for what, index in (("objects", 0), ("slabs", 1)):
        seen[f"slabs_cpu_partial_{what}"] = sum(p[index] for p in shown.partial_cpus)
        for cpu in range(cpus):
            seen[f"slabs_cpu_partial_{what}_C{cpu}"] = shown.partial_cpus[cpu][index]
    return seen | {
        "object_size": m.mem[s + CACHE.object_size],
        "slab_size": 8 * m.mem[s + CACHE.size],
        "objs_per_slab": m.mem[s + CACHE.oo_objects],
        "order": m.mem[s + CACHE.oo_order],
        "min_partial": m.mem[s + CACHE.min_partial],
        "cpu_partial": m.mem[s + CACHE.cpu_partial],
    }


def _slub_model(size: int, objects: int, min_partial: int, limit: int) -> Sizing:
    return Sizing(size, 0, 0, objects, 0, objects, min_partial, cpu_partial=2, cpu_partial_slabs=2)


# SLAB


def _slab_size(spec: Spec, cpus: int) -> SlabSizing:
    return slab_sizing(spec.object_size, spec.align, cpus, size=spec.size)


def _slab_regions(limits: Limits, sizes: Sequence[SlabSizing], features: frozenset[str]) -> Room:
    arrays = array_room(sizes, limits.workers, limits.nodes)
    return Room(
        {
            "slab_nodes": SLAB_NODE.SIZE * limits.nodes * limits.caches,
            "arrays": arrays.cache * limits.caches,
            "freelists": FREELIST_WORDS,
        },
        per_frame=frozenset({"freelists"}),
        arrays=arrays,
    )


def _slab_boot(words: np.ndarray, layout: Layout) -> None:
    assert layout.arrays is not None
    for field, value in {
        **{name: layout.plan[name] for name in ("slab_nodes", "arrays", "freelists")},
        "array_words": layout.arrays.cpu,
        "shared_words": layout.arrays.shared,
        "alien_words": layout.arrays.alien,
    }.items():
        words[WORLD_AT + getattr(WORLD, field)] = value
    start_reapers(Machine(words))


def _slab_shown(m: Machine, s: int, cpus: int) -> dict[str, int]:
    """A line of /proc/slabinfo."""
    return dataclasses.asdict(slab_inspect.slabinfo(m, s))


def _slab_locks(layout: Layout) -> frozenset[int]:
    count = layout.limits.caches * layout.limits.nodes
    return frozenset(layout.plan["slab_nodes"] + i * SLAB_NODE.SIZE + SLAB_NODE.list_lock for i in range(count))


def _slab_counts(m: Machine, layout: Layout, serial: bool) -> dict[str, int]:
    """Passes of the reaper on the worker CPUs, those given up, and (parallel play) their cycles."""
    reapers = [layout.area(cpu) + REAPER_AT for cpu in range(layout.limits.workers)]
    totals = {
        "reaper_passes": sum(m.mem[a + REAPER.passes] for a in reapers),
        "reaper_skipped": sum(m.mem[a + REAPER.skipped] for a in reapers),
    }
    if not serial:
        totals["reaper_cycles"] = sum(m.mem[a + REAPER.cycles] for a in reapers)
        totals["reaper_longest_cycles"] = max(m.mem[a + REAPER.longest] for a in reapers)
    return totals


def _slab_model(size: int, objects: int, min_partial: int, limit: int) -> SlabSizing:
    return SlabSizing(size, 0, objects, 0, limit, batchcount=1, shared=0)


# SLOB


def _slob_size(spec: Spec, cpus: int) -> Sizes:
    return slob_sizing(spec.object_size, spec.align, destroy_by_rcu=spec.destroy_by_rcu)


def _slob_regions(limits: Limits, sizes: Sequence[Sizes], features: frozenset[str]) -> Room:
    return Room({"slob": SLOB.SIZE})


def _slob_boot(words: np.ndarray, layout: Layout) -> None:
    words[WORLD_AT + WORLD.slob] = layout.plan["slob"]
    for name in LISTS:
        head = layout.plan["slob"] + getattr(SLOB, name)
        words[[head + PAGE.next, head + PAGE.prev]] = head


def _slob_addresses(objects: np.ndarray) -> np.ndarray:
    """Allocations return references."""
    return objects & OBJECT_MASK


_BY_CACHE: dict[str, Callable] = {"work": memcg_work, "rcu": memcg_rcu}
_NO_CLOCK: dict[str, Callable] = {"bound_work": no_bound_work, "timers": no_timers, "settling": never_settling}

register(
    catalogue.SLUB.name,
    Deeds(
        size=_slub_size,
        regions=_slub_regions,
        vectors={**_BY_CACHE, **_NO_CLOCK, "ipi": slub_call, "free_lock": node_list_lock},
        read=slub_inspect.statistics,
        created="alloc_slab",
        boot=_slub_boot,
        shown=_slub_shown,
        stride="slab_size",
        model=_slub_model,
    ),
)
register(
    catalogue.SLAB.name,
    Deeds(
        size=_slab_size,
        regions=_slab_regions,
        vectors={
            **_BY_CACHE,
            "ipi": slab_ipi,
            "free_lock": node_list_lock,
            "bound_work": serve_reaper,
            "timers": slab_timers,
            "settling": slab_settling,
        },
        read=slab_inspect.statistics,
        created="grown",
        maxima=slab_inspect.MAXIMA,
        boot=_slab_boot,
        shown=_slab_shown,
        stride="objsize",
        locks=_slab_locks,
        extra_counts=_slab_counts,
        model=_slab_model,
    ),
)
register(
    catalogue.SLOB.name,
    Deeds(
        size=_slob_size,
        regions=_slob_regions,
        vectors={**_BY_CACHE, **_NO_CLOCK, "ipi": slob_ipi, "free_lock": heap_lock},
        read=slob_inspect.statistics,
        created="alloc_new_page",
        boot=_slob_boot,
        addresses=_slob_addresses,
    ),
)
