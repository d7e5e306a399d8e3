"""SLAB's words: array_cache, a cache's part per node, a slab's index array, the statistics.

    array_cache   header, then `limit` words: objects, the newest last
    SLAB_NODE     one per cache and node; NODE.nr_slabs beside it is kept for observers
    PAGE.pair     active
    index array   a byte per object: inside of small-object slabs before the first object, else in
                  the region WORLD.freelists, FREELIST_WORDS for each page frame
    CPU area      KMEM_CACHE_ARRAY at CACHE.cpu_slab, the statistics at CACHE.stats

Statistics bear the names of /proc/slabinfo's globalstat and cpustat, but `free_noarray`, which no
kernel counts. high_mark and max_freeable are maxima of a cache and live in its descriptor; sums over
caches add them up.
"""

from __future__ import annotations

from allocators.catalogue import SLAB
from allocators.core.kmem_cache import CACHE
from allocators.core.lists import deque_append, deque_push, deque_remove
from allocators.core.page_alloc import PAGE, address_of
from allocators.core.world import FREELIST_WORDS, MEM_MAP, WORLD, world
from shm.atomics import book, cpu_area, load, read_book, store
from shm.compiler import dual
from shm.layout import struct
from shm.machine import Machine

ARRAY_CACHE = struct("ARRAY_CACHE", "avail", "limit", "batchcount", "touched", "lock", ("pad", 3))

SLAB_NODE = struct(
    "SLAB_NODE",
    "list_lock",
    ("slabs_partial", 2),  # first and last page of each list
    ("slabs_full", 2),
    ("slabs_free", 2),
    "free_objects",  # free places on partial and free slabs
    "free_limit",
    "shared",  # array_cache, 0 none
    "alien",  # array_cache[nr_nodes], the own node's unused; 0 with one node
    "free_touched",
    "next_reap",  # kernel time, ns
    size=16,
)

KMEM_CACHE_ARRAY = struct("KMEM_CACHE_ARRAY", "array", size=4)  # 0: none (the kworker's CPU; P8v3: dead)

STATISTICS = SLAB.statistics
SLAB_STAT = struct("SLAB_STAT", *STATISTICS, size=32)

BATCHREFILL_LIMIT = 16
ALIEN_LIMIT = 12


@dual
def slab_stat(m: Machine, s: int, item: int, delta: int) -> None:
    """Count a statistic of cache `s` on this CPU (STATS)."""
    if m.has("STATS"):
        book(m, cpu_area(m) + read_book(m, s + CACHE.stats) + item, delta)


@dual
def cpu_array(m: Machine, s: int) -> int:
    """This CPU's array_cache of cache `s`; 0 when it has none."""
    return load(m, cpu_area(m) + load(m, s + CACHE.cpu_slab) + KMEM_CACHE_ARRAY.array)


@dual
def slab_node(m: Machine, s: int, node: int) -> int:
    """The SLAB_NODE of cache `s` on a node."""
    return load(m, s + CACHE.slab_node) + node * SLAB_NODE.SIZE


@dual
def alien_array(m: Machine, n: int, node: int) -> int:
    """The alien array of SLAB_NODE `n` for objects of another node; 0 when there is none."""
    first = load(m, n + SLAB_NODE.alien)
    return first + node * world(m, WORLD.alien_words) if first else 0


@dual
def entry_of(ac: int, i: int) -> int:
    """Where the array keeps its entry number i, 0 the oldest."""
    return ac + ARRAY_CACHE.SIZE + i


@dual
def push(m: Machine, ac: int, obj: int) -> None:
    """Put an object on the array; there must be room."""
    avail = load(m, ac + ARRAY_CACHE.avail)
    store(m, entry_of(ac, avail), obj)
    store(m, ac + ARRAY_CACHE.avail, avail + 1)


@dual
def pop(m: Machine, ac: int) -> int:
    """Take the newest object; there must be one."""
    avail = load(m, ac + ARRAY_CACHE.avail) - 1
    store(m, ac + ARRAY_CACHE.avail, avail)
    return load(m, entry_of(ac, avail))


@dual
def drop_oldest(m: Machine, ac: int, count: int) -> None:
    """Forget the `count` oldest entries: they have been given back."""
    left = load(m, ac + ARRAY_CACHE.avail) - count
    store(m, ac + ARRAY_CACHE.avail, left)
    for i in range(left):
        store(m, entry_of(ac, i), load(m, entry_of(ac, count + i)))


@dual
def transfer_objects(m: Machine, to: int, source: int, most: int) -> int:
    """Move up to `most` objects, the newest of `source`, their order kept; returns how many."""
    count = load(m, source + ARRAY_CACHE.avail)
    have = load(m, to + ARRAY_CACHE.avail)
    room = load(m, to + ARRAY_CACHE.limit) - have
    if count > most:
        count = most
    if count > room:
        count = room
    if count <= 0:
        return 0
    first = load(m, source + ARRAY_CACHE.avail) - count
    for i in range(count):
        store(m, entry_of(to, have + i), load(m, entry_of(source, first + i)))
    store(m, source + ARRAY_CACHE.avail, first)
    store(m, to + ARRAY_CACHE.avail, have + count)
    return count


# Lists of slabs; `slabs`: the words that hold the first and the last page of one. list_lock held.


@dual
def add_head(m: Machine, slabs: int, page: int) -> None:
    deque_push(m, slabs, slabs + 1, page, PAGE.next, PAGE.prev)


@dual
def add_tail(m: Machine, slabs: int, page: int) -> None:
    deque_append(m, slabs, slabs + 1, page, PAGE.next, PAGE.prev)


@dual
def unlink(m: Machine, slabs: int, page: int) -> None:
    deque_remove(m, slabs, slabs + 1, page, PAGE.next, PAGE.prev)


@dual
def first_object(m: Machine, s: int, page: int) -> int:
    """Address of object 0 of a slab (s_mem)."""
    return address_of(page) + load(m, s + CACHE.management)


@dual
def index_array(m: Machine, s: int, page: int) -> int:
    """The slab's index array."""
    if load(m, s + CACHE.management):
        return address_of(page)
    return world(m, WORLD.freelists) + (page - MEM_MAP) // PAGE.SIZE * FREELIST_WORDS


@dual
def index_at(m: Machine, array: int, i: int) -> int:
    """Number of the object that place i of an index array names."""
    return load(m, array + (i >> 3)) >> ((i & 7) << 3) & 255


@dual
def set_index(m: Machine, array: int, i: int, number: int) -> None:
    """Let place i of an index array name object `number`."""
    a = array + (i >> 3)
    shift = (i & 7) << 3
    w = load(m, a)
    old = w >> shift & 255
    # The highest byte carries the word's sign; as a difference it never leaves 64 bits.
    delta = (number ^ 128) - (old ^ 128) if shift == 56 else number - old
    store(m, a, w + (delta << shift))
