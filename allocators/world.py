"""The world every allocator lives in: where things are in the segment, and its singletons.

    word 0      MACHINE   header of shm.machine
    word 64     WORLD     singletons: mutexes, queues, tables
    MEM_MAP     PAGE[]    one struct for each page frame of the segment (as vmemmap)
    ...         per-CPU areas, cache descriptors, memcg descriptors, rings   (sized by `Limits`)
    frames      page frames of the nodes' zones; slabs are made of these

A word index >> 9 is a page frame number, so `page_of` is a shift and an add, as in a kernel.

Counters (`OPS`) are per CPU, plain words of their owner, and exist only under the feature STATS.
"""

from __future__ import annotations

import dataclasses

from shm.atomics import cpu_area, load, store
from shm.compiler import dual
from shm.layout import Plan, struct
from shm.locks import PERCPU_WORDS
from shm.machine import MACHINE
from shm.ring import ITEM, ring_words

PAGE_WORDS = 512
PAGE_SHIFT = 9  # of word indices
PAGE_BYTES = 4096

WORLD = struct(
    "WORLD",
    "nr_nodes",
    "zones",  # ZONE[nr_nodes]
    "caches",  # kmem_cache descriptors
    "max_caches",
    "cache_free",  # first free descriptor, linked through CACHE.next. slab_mutex.
    "memcgs",
    "max_memcgs",
    "memcg_free",  # first free descriptor. memcg_slab_mutex.
    "slab_mutex",
    "memcg_slab_mutex",
    "slab_caches",  # first cache of the global list. slab_mutex.
    "workqueue",  # RING
    "rcu_queue",  # RING
    "shrink_scratch",  # kmem_cache_shrink's sort array: 2 * MAX_OBJECTS words. Kworker only.
    "fail_shrink_alloc",  # 1: the sort array's allocation fails
    "first_frame",
    "cgroup_table",  # cgroup index of the workload -> memcg
    "cache_table",  # cache index of the workload -> kmem_cache
    "lifetimes",  # HISTOGRAM of kmem_cache lifetimes after their last free, in cycles. Kworker only.
    # The kworker's tallies; only it writes them.
    "offlined",  # child caches whose memcg went offline
    "destroyed",  # of those, destroyed
    "shrink_discarded",  # slabs discarded by shrink, which SLUB_STATS does not count
    "cgroups_online",
    "cgroups_offline",  # offline and not yet freed: pinned by something
    "nr_caches",
    "node_shift",  # CPU -> node is cpu * nr_nodes / workers; kept for observers
    "retired",  # STAT sums of destroyed caches, SLUB order
    "rcu_slabs",  # slabs whose pages wait for a grace period, a stack
    size=64,
)
WORLD_AT = MACHINE.SIZE
MEM_MAP = 1024

MAX_OBJECTS = 4096  # per slab: order 3 of 8-byte objects

OPS = struct(
    "OPS",
    "page_cas",
    "page_cas_failed",
    "this_cpu_cas",
    "page_alloc",
    "page_free",
    "ipi",
    "dead_free",  # frees into caches of offline cgroups
    "free",
    "alloc",
    "alloc_failed",
    "slow",  # allocations and frees that left the fast path
    size=16,
)
OPS_AT = PERCPU_WORDS
SCRATCH_AT = OPS_AT + OPS.SIZE
CACHES_AT = SCRATCH_AT + 2 * ITEM.SIZE
KMEM_CACHE_CPU_WORDS = 4
STAT_WORDS = 32


@dual
def count(m, counter: int) -> None:
    """Count one operation on this CPU (feature STATS)."""
    if m.has("STATS"):
        a = cpu_area(m) + OPS_AT + counter
        store(m, a, load(m, a) + 1)


@dual
def world(m, field: int) -> int:
    """A word of WORLD that is written only at boot."""
    return load(m, WORLD_AT + field)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much of everything a segment has room for. `memory` is bytes of page frames."""

    workers: int
    nodes: int
    memory: int
    caches: int
    memcgs: int
    roots: int
    cgroup_indices: int
    cache_indices: int

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < (0 if "indices" in field.name else 1):
                raise ValueError(f"{field.name} must be positive, not {getattr(self, field.name)}")
        if not 1 <= self.workers <= 62:
            raise ValueError(f"1 to 62 CPUs can be simulated, not {self.workers}")
        if self.nodes > self.workers:
            raise ValueError(f"{self.nodes} nodes need at least as many CPUs, there are {self.workers}")


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Word offsets of a planned segment."""

    limits: Limits
    plan: Plan
    words: int
    percpu_base: int
    percpu_stride: int
    first_frame: int
    last_frame: int  # exclusive

    @property
    def nr_cpus(self) -> int:
        return self.limits.workers + 1


def plan(limits: Limits, extra: dict[str, int] | None = None) -> Layout:
    """Lay a segment out; nothing is allocated yet. extra: regions of the caller, name -> words."""
    from allocators.kmem_cache import CACHE, NODE
    from allocators.memcontrol import MEMCG
    from allocators.page_alloc import MAX_ORDER, PAGE, ZONE
    from shm.histogram import HISTOGRAM

    extra = extra or {}
    nr_cpus = limits.workers + 1
    stride = -(-(CACHES_AT + (KMEM_CACHE_CPU_WORDS + STAT_WORDS) * limits.caches) // 64) * 64
    regions = Plan()
    regions.reserve("machine", MACHINE.SIZE)
    regions.reserve("world", WORLD.SIZE)
    assert regions.end <= MEM_MAP
    regions.end = MEM_MAP
    align = 1 << MAX_ORDER
    frames = -(-limits.memory // PAGE_BYTES // limits.nodes // align) * align * limits.nodes
    metadata = (
        stride * nr_cpus
        + limits.caches * (CACHE.SIZE + NODE.SIZE * limits.nodes)
        + limits.memcgs * MEMCG.SIZE
        + limits.roots * limits.memcgs
        + ring_words(4 * limits.caches + 4 * limits.memcgs) * 2
        + 2 * MAX_OBJECTS
        + limits.cgroup_indices + limits.cache_indices
        + HISTOGRAM.SIZE
        + sum(extra.values())
        + 8 * len(extra)
        + 4096
    )
    # The mem_map covers itself and the metadata too; a little more than needed is harmless.
    total_frames = frames + 2 * align + (metadata + MEM_MAP) // PAGE_WORDS
    total_frames += total_frames * PAGE.SIZE // PAGE_WORDS + 1
    regions.reserve("mem_map", total_frames * PAGE.SIZE)
    percpu = regions.reserve("percpu", stride * nr_cpus, 64)
    regions.reserve("zones", ZONE.SIZE * limits.nodes)
    regions.reserve("caches", CACHE.SIZE * limits.caches)
    regions.reserve("nodes", NODE.SIZE * limits.nodes * limits.caches)
    regions.reserve("memcgs", MEMCG.SIZE * limits.memcgs)
    regions.reserve("slots", limits.roots * limits.memcgs)
    regions.reserve("workqueue", ring_words(4 * limits.caches + 4 * limits.memcgs))
    regions.reserve("rcu_queue", ring_words(4 * limits.caches + 4 * limits.memcgs))
    regions.reserve("shrink_scratch", 2 * MAX_OBJECTS)
    regions.reserve("cgroup_table", max(1, limits.cgroup_indices))
    regions.reserve("cache_table", max(1, limits.cache_indices))
    regions.reserve("lifetimes", HISTOGRAM.SIZE)
    regions.reserve("retired", STAT_WORDS)
    for name, size in extra.items():
        regions.reserve(name, size)
    first = -(-regions.end // (PAGE_WORDS * align)) * align
    last = first + frames
    assert last <= total_frames
    if last * PAGE_WORDS >= 1 << 31:
        raise ValueError("a segment can hold 16 GiB at most: pointers inside slabs are 31-bit word indices")
    return Layout(limits, regions, last * PAGE_WORDS, percpu, stride, first, last)
