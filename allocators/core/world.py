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

from shm.atomics import book, cpu_area, cycles, load
from shm.compiler import dual
from shm.layout import CACHE_LINE, struct
from shm.locks import PERCPU_WORDS
from shm.machine import MACHINE, Machine
from shm.ring import ITEM
from shm.virtual.words import clock_of

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
    "fail_page_alloc",  # probability that a page allocation fails, of injection.CERTAIN
    "first_frame",
    "cgroup_table",  # cgroup index of the workload -> memcg
    "cache_table",  # cache index of the workload -> kmem_cache
    "lifetimes",  # HISTOGRAM of kmem_cache lifetimes after their last free, in cycles. Kworker only.
    # The kworker's tallies; only it writes them.
    "offlined",  # child caches whose memcg went offline
    "destroyed",  # of those, destroyed
    "shrink_allocs_failed",  # sort arrays that failed on purpose
    "shrink_discarded",  # slabs discarded by shrink, which SLUB_STATS does not count
    "cgroups_online",
    "cgroups_offline",  # offline and not yet freed: pinned by something
    "nr_caches",
    "node_shift",  # CPU -> node is cpu * nr_nodes / workers; kept for observers
    "reparented",  # F_REPARENT: first child that belongs to the root cgroup now. memcg_slab_mutex.
    "retired",  # STAT sums of destroyed caches, SLUB order
    "rcu_slabs",  # slabs whose pages wait for a grace period, a stack
    # F_OBJCG's regions, 0 when no design wants them.
    "objcgs",  # OBJCG[max_objcgs]
    "max_objcgs",
    "objcg_free",  # first free descriptor. memcg_slab_mutex.
    "objcg_refs",  # per CPU: a part of the references of each OBJCG
    "obj_cgroups",  # by page frame: is there a vector of owners?
    "owners",  # mirror of the page frames: the vectors
    "owner_bytes",  # of all vectors now. Atomically.
    "owner_bytes_peak",
    "node_objcgs",  # F_OBJCGNODE: by kmemcg_id and node, the obj_cgroups of online memcgs
    "objcg_left_over",  # F_STOCKMEMCG: bytes that obj_cgroups had when they were freed. memcg_slab_mutex.
    # The kernel's clock, see `kernel_ns`.
    "now",  # serial play: the time itself, ns. The engine writes.
    "clock_origin",  # else: the cycle counter when the block began
    "clock_rate",  # and its cycles per millisecond of kernel time
    "reaper_due",  # serial play: when SLAB's next reaper is due; the engine looks here
    "awake",  # serial play: 0, or 1 + the only CPU that is not idle, and so alone runs deferrable timers
    # SLAB's regions, 0 for other allocators.
    "slab_nodes",  # SLAB_NODE[max_caches][nr_nodes]
    "arrays",  # per cache: an array_cache per CPU, then per node a shared one and its alien ones
    "array_words",  # of a per-CPU array_cache
    "shared_words",
    "alien_words",
    "freelists",  # index arrays of slabs that keep them outside, FREELIST_WORDS per page frame
    "slob",  # SLOB; 0 for other allocators
    "nodes_with_memory",  # the first ones
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
    "objcg_ref",  # F_OBJCG: references taken and dropped on obj_cgroups
    "objcg_charge",  # F_OBJCG: atomic charges and uncharges of a memcg
    "owned_free",  # F_OBJCG: frees of objects that had an owner
    "owner_vector",  # F_OBJCG: vectors of owners made
    "drain_obj_stock",  # F_OBJCG: slots of a stock given up
    "drain_stock",  # F_PAGESTOCK: slots of a page stock given up
    "sheaf_alloc",  # F_SHEAF: allocations from a sheaf
    "sheaf_free",  # F_SHEAF: frees into a sheaf
    "sheaf_refill",  # F_SHEAF: objects that sheaves got from SLUB
    "sheaf_flush",  # F_SHEAF: objects of sheaves freed to SLUB
    "barn_exchange",  # F_SHEAF: sheaves exchanged with the barn
    "refill_failed",  # F_SHEAF: refills that got less than a sheaf
    "deferred_free",  # F_NOLOCK: frees left to an interrupt
    "nolock_failed",  # F_NOLOCK: allocations that found a lock taken, or nothing without one
    "cache_ref",  # references taken and dropped on child caches (F_REPARENT, F_ALLOCREF, F_FREEREF)
    size=32,
)
OPS_AT = PERCPU_WORDS
SCRATCH_AT = OPS_AT + OPS.SIZE
# SLAB's periodic work on this CPU. Only the CPU writes; the kworker reads `due`.
REAPER = struct(
    "REAPER",
    "due",  # kernel time of the next pass, ns
    "node",  # slab_reap_node: whose alien array is drained next
    "passes",
    "skipped",  # passes given up because slab_mutex was taken
    "cycles",  # spent in passes
    "longest",  # cycles of the longest pass
    size=8,
)
REAPER_AT = SCRATCH_AT + 2 * ITEM.SIZE
# Failures on purpose, see allocators.core.injection. Only the CPU writes.
INJECTION = struct(
    "INJECTION",
    "random",  # state of the generator, not 0
    "page_allocs",  # page allocations that failed on purpose
    "vector_allocs",  # vectors of owners that are still to fail; scenes of the explorer set it
    size=4,
)
INJECTION_AT = REAPER_AT + REAPER.SIZE
# SLUB's search of other nodes, see allocators.slub.alloc. A generator of its own: failing on purpose must not
# change what is searched. Only the CPU writes.
DEFRAG = struct("DEFRAG", "random", size=4)  # state of the generator, not 0
DEFRAG_AT = INJECTION_AT + INJECTION.SIZE
# F_OBJCG, see allocators.memcg.objcg.
OBJCG = struct(
    "OBJCG",
    "refcnt",
    "ref_atomic",  # 0 while references are counted per CPU
    "memcg",  # 0: the root cgroup
    "charged",  # bytes that stocks left over (nr_charged_bytes)
    "offline",
    "used",
    "next_free",
    size=8,
)
# A slot of a CPU's stock; behind the slots (all but the first: F_STOCK5) the one whose turn it is to be drained.
STOCK = struct("STOCK", "objcg", "bytes", size=2)
STOCK_SLOTS = 5
STOCK_AT = DEFRAG_AT + DEFRAG.SIZE
STOCK_TURN_AT = STOCK_AT + STOCK_SLOTS * STOCK.SIZE
RCU_BATCH_AT = STOCK_TURN_AT + 1  # the last of kfree_rcu's objects that come together, linked by their first words
# F_PAGESTOCK, see allocators.memcg.page_stock: a slot of a CPU's page stock, and the turn behind the slots.
PAGE_STOCK = struct("PAGE_STOCK", "memcg", "pages", size=2)
PAGE_STOCK_SLOTS = 7
PAGE_STOCK_AT = STOCK_AT + 2 * CACHE_LINE
PAGE_STOCK_TURN_AT = PAGE_STOCK_AT + PAGE_STOCK_SLOTS * PAGE_STOCK.SIZE
DEFERRED_AT = PAGE_STOCK_TURN_AT + 1  # F_NOLOCK: objects that are freed by an interrupt, linked by their first words
CACHES_AT = PAGE_STOCK_AT + 2 * CACHE_LINE
assert DEFERRED_AT < CACHES_AT
KMEM_CACHE_CPU_WORDS = 4
STAT_WORDS = 48
FREELIST_WORDS = 8  # of a SLAB index array outside of its slab


@dual
def count(m: Machine, counter: int) -> None:
    """Count one operation on this CPU (feature STATS)."""
    if m.has("STATS"):
        book(m, cpu_area(m) + OPS_AT + counter, 1)


@dual
def world(m: Machine, field: int) -> int:
    """A word of WORLD that is written only at boot."""
    return load(m, WORLD_AT + field)


@dual
def kernel_ns(m: Machine) -> int:
    """Kernel time in nanoseconds since the block began; a timer of the kernel reads jiffies instead."""
    if m.has("VTIME"):
        return clock_of(m) // 1000
    if load(m, MACHINE.serial):
        return load(m, WORLD_AT + WORLD.now)
    return (cycles(m) - load(m, WORLD_AT + WORLD.clock_origin)) * 1_000_000 // load(m, WORLD_AT + WORLD.clock_rate)


@dual
def node_of_cpu(m: Machine, cpu: int) -> int:
    """Node of a CPU; the kworker sits on the last one."""
    nodes = world(m, WORLD.nr_nodes)
    if nodes == 1:
        return 0
    workers = load(m, MACHINE.workers)
    return nodes - 1 if cpu >= workers else cpu * nodes // workers
