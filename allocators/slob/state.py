"""SLOB's words: the heap's lists, a page's free blocks, the counters (v3.16 struct slob_block, struct page).

    SLOB       one: the lock, the heads of the three lists, counts
    PAGE.pair  of a page in shared use: first free block:16 at 16 | free units:16 at 0
    list       circular through PAGE.next and PAGE.prev; a head has the shape of a PAGE; next is 0 off a list

Space is counted in units of 2 bytes, PAGE_UNITS a page. Free blocks describe themselves, as in a
kernel, in the page's own memory, in signed 16-bit numbers: a block of several units begins with its
size and then the number of the unit where the next free block begins; a block of one unit holds the
latter negated. They are in order of address, and the last one's next is the end of the page.

A word holds four units, lowest first. Where a block shares a word with an object, writing the
block rewrites that word: a kernel's 16-bit stores do not, but nothing here writes into objects.
"""

from __future__ import annotations

from allocators import catalogue
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE
from allocators.core.world import PAGE_BYTES, WORLD, world
from shm.atomics import book, cpu_area, load, read_book, store
from shm.compiler import dual
from shm.layout import struct
from shm.machine import Machine

UNIT_BYTES = 2
PAGE_UNITS = PAGE_BYTES // UNIT_BYTES
BREAK1, BREAK2 = 256, 1024  # bytes: sizes from here on are medium, large

LISTS = ("small", "medium", "large")
SLOB = struct(
    "SLOB",
    "lock",
    ("pad0", 7),
    *((name, PAGE.SIZE) for name in LISTS),
    # bookkeeping, STATS only
    "pages",  # in shared use, and the most there ever were
    "peak_pages",
    "free_units",  # in those pages, and when they were most
    "free_units_at_peak",
    ("pad1", 4),
    "waiting",  # reference to the newest object that waits for a grace period (allocators.slob.cache)
    ("pad2", 7),
)

SLOB_RCU_BYTES = 24  # struct slob_rcu, which SLAB_DESTROY_BY_RCU adds behind an object

STATISTICS = catalogue.SLOB.statistics
SLOB_STAT = struct("SLOB_STAT", *STATISTICS, size=32)

REFERENCE_SHIFT = 32
OBJECT_MASK = (1 << REFERENCE_SHIFT) - 1


@dual
def slob_stat(m: Machine, s: int, item: int, delta: int) -> None:
    """Count for cache `s` on this CPU (STATS)."""
    if m.has("STATS"):
        book(m, cpu_area(m) + read_book(m, s + CACHE.stats) + item, delta)


@dual
def heap(m: Machine) -> int:
    """The SLOB struct."""
    return world(m, WORLD.slob)


@dual
def reference(m: Machine, s: int, obj: int) -> int:
    """What the caller of an allocation keeps: the object and its cache's number; 0 for none."""
    if obj == 0:
        return 0
    return load(m, s + CACHE.id) << REFERENCE_SHIFT | obj


@dual
def cache_of(m: Machine, ref: int) -> int:
    """The cache that a reference names."""
    return world(m, WORLD.caches) + (ref >> REFERENCE_SHIFT) * CACHE.SIZE


@dual
def units_of(size: int) -> int:
    """Units that hold `size` bytes (SLOB_UNITS)."""
    return (size + UNIT_BYTES - 1) // UNIT_BYTES


# Free blocks. `base`: the page's first word; blocks are named by their first unit.


@dual
def get_unit(m: Machine, base: int, u: int) -> int:
    """The signed number that unit `u` of a page holds."""
    x = load(m, base + (u >> 2)) >> ((u & 3) << 4) & 0xFFFF
    return (x ^ 0x8000) - 0x8000


@dual
def set_unit(m: Machine, base: int, u: int, number: int) -> None:
    """Let unit `u` of a page hold a signed number."""
    a = base + (u >> 2)
    shift = (u & 3) << 4
    w = load(m, a)
    old = w >> shift & 0xFFFF
    new = number & 0xFFFF
    # The highest unit carries the word's sign; as a difference it never leaves 64 bits.
    delta = (new ^ 0x8000) - (old ^ 0x8000) if shift == 48 else new - old
    store(m, a, w + (delta << shift))


@dual
def block_units(m: Machine, base: int, block: int) -> int:
    """Size of a free block (slob_units)."""
    first = get_unit(m, base, block)
    return first if first > 0 else 1


@dual
def block_next(m: Machine, base: int, block: int) -> int:
    """The free block after this one, PAGE_UNITS after the last (slob_next)."""
    first = get_unit(m, base, block)
    if first > 0:
        return get_unit(m, base, block + 1)
    return -first


@dual
def set_block(m: Machine, base: int, block: int, units: int, after: int) -> None:
    """Describe a free block in its own memory (set_slob)."""
    if units > 1:
        set_unit(m, base, block, units)
        set_unit(m, base, block + 1, after)
    else:
        set_unit(m, base, block, -after)


@dual
def page_free_units(m: Machine, page: int) -> int:
    """Free units of a page in shared use."""
    return load(m, page + PAGE.pair) & 0xFFFF


@dual
def page_first_block(m: Machine, page: int) -> int:
    """Its first free block; PAGE_UNITS when it is full."""
    return load(m, page + PAGE.pair) >> 16


@dual
def set_page(m: Machine, page: int, first: int, units: int) -> None:
    """Set both. slob_lock held."""
    store(m, page + PAGE.pair, first << 16 | units)


# Lists of pages with free space. slob_lock held.


@dual
def list_for(m: Machine, size: int) -> int:
    """The list for objects of `size` bytes."""
    if size < BREAK1:
        return heap(m) + SLOB.small
    if size < BREAK2:
        return heap(m) + SLOB.medium
    return heap(m) + SLOB.large


@dual
def on_list(m: Machine, page: int) -> bool:
    """Is a page in shared use partly free? (slob_page_free)"""
    return load(m, page + PAGE.next) != 0


@dual
def list_add(m: Machine, head: int, page: int) -> None:
    """Put a page first (set_slob_page_free)."""
    after = load(m, head + PAGE.next)
    store(m, page + PAGE.next, after)
    store(m, page + PAGE.prev, head)
    store(m, after + PAGE.prev, page)
    store(m, head + PAGE.next, page)


@dual
def list_del(m: Machine, page: int) -> None:
    """Take a page off its list (clear_slob_page_free)."""
    after = load(m, page + PAGE.next)
    before = load(m, page + PAGE.prev)
    store(m, before + PAGE.next, after)
    store(m, after + PAGE.prev, before)
    store(m, page + PAGE.next, 0)
    store(m, page + PAGE.prev, 0)


@dual
def list_begin_at(m: Machine, head: int, page: int) -> None:
    """Turn the list so that it begins with a page that is on it (list_move_tail of the head)."""
    after = load(m, head + PAGE.next)
    before = load(m, head + PAGE.prev)
    store(m, before + PAGE.next, after)
    store(m, after + PAGE.prev, before)
    before = load(m, page + PAGE.prev)
    store(m, before + PAGE.next, head)
    store(m, head + PAGE.prev, before)
    store(m, head + PAGE.next, page)
    store(m, page + PAGE.prev, head)
