"""The kmem_cache descriptor, its parts per node and per CPU, and a node's partial list (v3.16 slub_def.h, slab.h).

CACHE is shared by all allocators; the fields of one allocator are marked. Who may write what:

- constants of the cache (`size` … `min_objects`): creation, before the cache is published;
- `min_partial`, `cpu_partial`: creation; shrink of a dead cache (P7) under each node's list_lock;
- `refcnt`: atomically, by whoever charges or uncharges a slab, and by offline (ON reference, P2);
- `dead`: once, 0 to 1, by offline (P3);
- `next`/`prev` (slab_caches) under slab_mutex; `memcg_next`/`memcg_prev` under memcg_slab_mutex;
- `live`, `last_free`: atomically by every CPU, feature STATS only (bookkeeping of the laboratory).

NODE: `list_lock` covers `nr_partial`, the lists, and the links of the pages on them; `nr_partial` is read without it by
who is content with a slab more or less. `nr_slabs` and `total_objects`: atomically by anybody.
KMEM_CACHE_CPU: its CPU, once the cache is published; the kworker takes `ref` over (allocators.memcg.cache_ref).

A descriptor's `state` goes CACHE_FREE, CACHE_LIVE, CACHE_FREE under slab_mutex and says whether it may be touched: a
free one is poison, and touching it is the use after free that the review of the series was about.
"""

from __future__ import annotations

from allocators.core.lists import deque_append, deque_push, deque_remove
from allocators.core.page_alloc import PAGE
from allocators.core.world import OPS, count, kernel_ns
from shm.atomics import add_book, load, peek_book, write_once
from shm.compiler import dual
from shm.layout import struct
from shm.machine import Machine

CACHE_FREE, CACHE_LIVE = 0, 1

CACHE = struct(
    "CACHE",
    # read on every allocation and free
    "cpu_slab",  # offset of kmem_cache_cpu in a per-CPU area
    "offset",  # word of an object that holds the next pointer; SLOB: alignment, bytes
    "stats",  # offset of the statistics in a per-CPU area
    "node",  # NODE[nr_nodes]
    "size",  # stride, words; SLOB: bytes an object takes
    "cpu_partial",  # of a CPU's list: free objects; F_PARTIALSLABS: slabs
    "min_partial",
    "dead",
    # slow paths
    "oo_order",
    "oo_objects",
    "min_order",
    "min_objects",
    "max_objects",
    "object_size",  # bytes
    "flags",
    "id",
    # written all the time: a line of its own
    "refcnt",  # P1: slabs; else pages; P2: +1 while the memcg is online
    "ref_atomic",  # F_REPARENT, F_REPARENT_SLABS: 0 while references are counted per CPU (allocators.memcg.cache_ref)
    "active",  # who uses a root cache's sysfs files (kernfs); SYSFS_GONE is added when they are deleted
    ("pad0", 5),
    # management
    "state",
    "next",
    "prev",
    "root",  # root cache of a child, 0 for a root
    "memcg",
    "memcg_next",
    "memcg_prev",
    "slots",  # root: child caches by kmemcg_id
    "work_pending",  # 1 from scheduling the unregister work until it runs
    "index",  # cache index of the workload, -1 none
    "offline",  # 1 from its memcg's offline on
    "closing",  # 1 while being destroyed
    # SLAB: the tunables, and its part per node
    "limit",
    "batchcount",
    "shared",
    "slab_node",  # SLAB_NODE[nr_nodes]
    # bookkeeping, STATS only
    "live",  # objects handed out
    "last_free",  # kernel time of the free that took live to 0, 0 never
    "offline_at",  # kernel time when offline was done with it
    "management",  # SLAB: words of the index array inside a slab, 0: it lies outside (a constant)
    "num_active",  # SLAB: objects outside of slabs, and its maximum
    "high_mark",
    "max_freeable",  # SLAB: most slabs ever seen on a slabs_free list
    "sheaves",  # F_SHEAF: region of a root cache with sheaves (a constant), 0 none
    "sheaf_capacity",  # F_SHEAF: objects of each of its sheaves (a constant), 0 none
)

SYSFS_GONE = 1 << 20

SLAB_DESTROY_BY_RCU = 1
SLAB_NO_CPU_PARTIAL = 2  # as a debug cache, or a kernel without CONFIG_SLUB_CPU_PARTIAL

NODE = struct(
    "NODE",
    "list_lock",
    "nr_partial",
    "first",  # partial list
    "last",
    "nr_slabs",  # atomically
    "total_objects",  # atomically
    "full",  # F_FULL: first full slab of a child cache
    "pad",
)


KMEM_CACHE_CPU = struct(
    "KMEM_CACHE_CPU",
    "pair",
    "page",
    "partial",
    "ref",  # see allocators.memcg.cache_ref
)


@dual
def count_free(m: Machine, s: int) -> None:
    """The laboratory's books of a free to cache `s`, feature STATS. Before the free: after it the cache may be gone."""
    count(m, OPS.free)
    offline = peek_book(m, s + CACHE.offline)
    if offline:
        count(m, OPS.dead_free)
    if add_book(m, s + CACHE.live, -1) == 1 and offline:
        write_once(m, s + CACHE.last_free, kernel_ns(m))


@dual
def node_of(m: Machine, s: int, node: int) -> int:
    """The NODE of cache `s` on a node (get_node)."""
    return load(m, s + CACHE.node) + node * NODE.SIZE


@dual
def list_add_head(m: Machine, n: int, page: int) -> None:
    """Put a page first on the partial list; list_lock held. Does not count it."""
    deque_push(m, n + NODE.first, n + NODE.last, page, PAGE.next, PAGE.prev)


@dual
def list_add_tail(m: Machine, n: int, page: int) -> None:
    """Put a page last on the partial list; list_lock held. Does not count it."""
    deque_append(m, n + NODE.first, n + NODE.last, page, PAGE.next, PAGE.prev)


@dual
def list_del(m: Machine, n: int, page: int) -> None:
    """Take a page off the partial list; list_lock held. Does not count it."""
    deque_remove(m, n + NODE.first, n + NODE.last, page, PAGE.next, PAGE.prev)
