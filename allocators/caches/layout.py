"""Where things are in a segment: planned from how much of everything it must have room for."""

from __future__ import annotations

import dataclasses

from allocators.catalogue import MAX_CPUS
from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.page_alloc import MAX_ORDER, PAGE, ZONE
from allocators.core.world import (
    CACHES_AT,
    KMEM_CACHE_CPU_WORDS,
    MAX_OBJECTS,
    MEM_MAP,
    PAGE_BYTES,
    PAGE_WORDS,
    STAT_WORDS,
    WORLD,
)
from allocators.memcg.memcontrol import MEMCG
from allocators.sheaf_settings import AS_THE_KERNEL, SheafSettings, room_for
from allocators.slab.sizing import ArrayRoom
from allocators.slub.sheaf_state import sheaf_count
from shm.histogram import HISTOGRAM
from shm.layout import Plan
from shm.machine import MACHINE
from shm.ring import ring_words


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much of everything a segment has room for. `memory` is bytes of page frames, on all nodes but the last
    `memoryless` ones."""

    workers: int
    nodes: int
    memory: int
    caches: int
    memcgs: int
    roots: int
    cgroup_indices: int
    cache_indices: int
    sheaves: SheafSettings = AS_THE_KERNEL
    memoryless: int = 0
    asked: int = 0  # most objects a sheaf that a cache asks for

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name not in ("sheaves", "memoryless", "asked") and getattr(self, field.name) < (
                0 if "indices" in field.name else 1
            ):
                raise ValueError(f"{field.name} must be positive, not {getattr(self, field.name)}")
        if not 1 <= self.workers <= MAX_CPUS:
            raise ValueError(f"1 to {MAX_CPUS} CPUs can be simulated, not {self.workers}")
        if self.nodes > self.workers:
            raise ValueError(f"{self.nodes} nodes need at least as many CPUs, there are {self.workers}")
        if not 0 <= self.memoryless < self.nodes:
            raise ValueError(f"{self.memoryless} of {self.nodes} nodes without memory: one at least must have some")


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """What an allocator needs of a segment beside what all of them have.

    regions: name -> words, in their order; of those in per_frame, words for each page frame. mirror: a region as
    large as the page frames, at the segment's end (committed only where it is touched). arrays, objcgs, sheaf_words:
    as in `Layout`.
    """

    regions: dict[str, int] = dataclasses.field(default_factory=dict)
    per_frame: frozenset[str] = frozenset()
    mirror: str = ""
    arrays: ArrayRoom | None = None
    objcgs: int = 0
    sheaf_words: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Word offsets of a planned segment. arrays: only for SLAB."""

    limits: Limits
    plan: Plan
    words: int
    percpu_base: int
    percpu_stride: int
    first_frame: int
    last_frame: int  # exclusive
    arrays: ArrayRoom | None = None
    objcgs: int = 0  # descriptors of obj_cgroups; 0: no regions for F_OBJCG
    sheaf_words: int = 0  # of each root cache; 0: no region for F_SHEAF

    @property
    def nr_cpus(self) -> int:
        return self.limits.workers + 1

    def area(self, cpu: int) -> int:
        """Base of a CPU's per-CPU area."""
        return self.percpu_base + cpu * self.percpu_stride

    def with_sheaves(self, settings: SheafSettings) -> Layout:
        """The same segment with other sizes of sheaves; ValueError when it was not planned for as large ones."""
        room = self.limits.sheaves
        if room_for((settings, room)) != room:
            raise ValueError(f"{settings} do not fit into a segment planned for {room}")
        return dataclasses.replace(self, limits=dataclasses.replace(self.limits, sheaves=settings))


def plan(limits: Limits, room: Room, extra: dict[str, int] | None = None) -> Layout:
    """Lay a segment out; nothing is allocated yet. room: for the allocator. extra: regions of the caller, name ->
    words.

    Raises ValueError when it would be larger than pointers reach.
    """
    extra = extra or {}
    nr_cpus = limits.workers + 1
    stride = -(-(CACHES_AT + (KMEM_CACHE_CPU_WORDS + STAT_WORDS) * limits.caches) // 64) * 64
    # A CPU's batches of kfree_rcu: one comes together, one waits, one is being freed. F_SHEAF: every sheaf may wait.
    callbacks = 4 * limits.caches + 4 * limits.memcgs + 3 * nr_cpus
    if room.sheaf_words:
        callbacks += limits.roots * sheaf_count(nr_cpus, limits.nodes, limits.sheaves)
    regions = Plan()
    regions.reserve("machine", MACHINE.SIZE)
    regions.reserve("world", WORLD.SIZE)
    assert regions.end <= MEM_MAP
    regions.end = MEM_MAP
    align = 1 << MAX_ORDER
    with_memory = limits.nodes - limits.memoryless
    frames = -(-limits.memory // PAGE_BYTES // with_memory // align) * align * with_memory
    metadata = (
        stride * nr_cpus
        + limits.caches * (CACHE.SIZE + NODE.SIZE * limits.nodes)
        + limits.memcgs * MEMCG.SIZE
        + limits.roots * limits.memcgs
        + ring_words(4 * limits.caches + 4 * limits.memcgs)
        + ring_words(callbacks)
        + 2 * MAX_OBJECTS
        + limits.cgroup_indices
        + limits.cache_indices
        + HISTOGRAM.SIZE
        + sum(extra.values())
        + 8 * len(extra)
        + sum(words for name, words in room.regions.items() if name not in room.per_frame)
        + 4096
        + 64
    )
    # The mem_map covers itself and the metadata too; a little more than needed is harmless.
    total_frames = frames + 2 * align + (metadata + MEM_MAP) // PAGE_WORDS
    per_frame = PAGE.SIZE + sum(room.regions[name] for name in room.per_frame)
    total_frames += total_frames * per_frame // (PAGE_WORDS - per_frame) + 1
    own = {name: words * (total_frames if name in room.per_frame else 1) for name, words in room.regions.items()}
    regions.reserve("mem_map", total_frames * PAGE.SIZE)
    percpu = regions.reserve("percpu", stride * nr_cpus, 64)
    regions.reserve("zones", ZONE.SIZE * limits.nodes)
    regions.reserve("caches", CACHE.SIZE * limits.caches)
    regions.reserve("nodes", NODE.SIZE * limits.nodes * limits.caches)
    regions.reserve("memcgs", MEMCG.SIZE * limits.memcgs)
    regions.reserve("slots", limits.roots * limits.memcgs)
    regions.reserve("workqueue", ring_words(4 * limits.caches + 4 * limits.memcgs))
    regions.reserve("rcu_queue", ring_words(callbacks))
    regions.reserve("shrink_scratch", 2 * MAX_OBJECTS)
    regions.reserve("cgroup_table", max(1, limits.cgroup_indices))
    regions.reserve("cache_table", max(1, limits.cache_indices))
    regions.reserve("lifetimes", HISTOGRAM.SIZE)
    regions.reserve("retired", STAT_WORDS)
    for name, size in (own | extra).items():
        regions.reserve(name, size)
    first = -(-regions.end // (PAGE_WORDS * align)) * align
    last = first + frames
    assert last <= total_frames
    if last * PAGE_WORDS >= 1 << 31:
        raise ValueError("a segment can hold 16 GiB at most: pointers inside slabs are 31-bit word indices")
    regions.end = last * PAGE_WORDS
    if room.mirror:
        regions.reserve(room.mirror, frames * PAGE_WORDS)
    return Layout(limits, regions, regions.end, percpu, stride, first, last, room.arrays, room.objcgs, room.sheaf_words)
