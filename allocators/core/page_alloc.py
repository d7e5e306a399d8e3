"""Page allocator: a binary buddy per node, orders 0 to 10, one zone lock each.

PAGE is the struct of a page frame, one cache line, as in a kernel; its words are a union by `kind`:

    word         in a slab's head (SLOB: in a page of objects)               in a free block's first page
    pair         SLUB: allocators.core.page_pair; SLAB: active;              -
                 SLOB: free blocks (allocators.slob.state)
    next, prev   list of its node; SLUB also: (next) the CPU partial         the zone's list of its order
                 stack, with prev = pages:32, pobjects:32
    slab_cache   owning kmem_cache; SLOB: 0 unless of one large object       0
    order        of the block; F_REPARENT_SLABS: with the slab's bit lock    of the block
    head         itself; tails point to their head                           itself

A frame is reserved · the first page of a free block (KIND_BUDDY) or another one of it (KIND_FREE_TAIL) · the head of a
slab (KIND_SLAB) or a tail (KIND_TAIL). A block's first page changes sides under the zone lock.

Who may write: `kind`, `order`, `next`, `prev` of a free block under the zone lock; of an allocated
page by its owner. Blocks are naturally aligned, so a buddy's frame number differs in one bit.
v3.16: mm/page_alloc.c without per-CPU page lists (they would hide the zone lock, not slabs).
"""

from __future__ import annotations

from allocators.core.injection import page_alloc_fails
from allocators.core.lists import list_push, list_remove
from allocators.core.world import MEM_MAP, OPS, PAGE_SHIFT, PAGE_WORDS, WORLD, count, world
from shm.atomics import load, local_irq_restore, local_irq_save, store
from shm.compiler import dual
from shm.layout import struct
from shm.locks import ZONE_LOCK, spin_lock, spin_unlock
from shm.machine import Machine
from shm.virtual.words import PAGES, enter, leave

MAX_ORDER = 10

KIND_RESERVED, KIND_BUDDY, KIND_SLAB, KIND_FREE_TAIL, KIND_TAIL = range(5)

PAGE = struct("PAGE", "pair", "next", "prev", "slab_cache", "head", "kind", "order", "node")

ZONE = struct(
    "ZONE",
    "lock",
    "start",  # first frame
    "end",
    "free_pages",
    ("pad", 4),
    ("first", MAX_ORDER + 1),  # free list heads by order
    ("pad2", 5),
)


@dual
def page_of(word: int) -> int:
    """The PAGE of the frame that holds a word (virt_to_page)."""
    return MEM_MAP + (word >> PAGE_SHIFT) * PAGE.SIZE


@dual
def head_of(m: Machine, word: int) -> int:
    """The head PAGE of the block that holds a word (virt_to_head_page)."""
    return load(m, MEM_MAP + (word >> PAGE_SHIFT) * PAGE.SIZE + PAGE.head)


@dual
def address_of(page: int) -> int:
    """First word of a PAGE's frame (page_address)."""
    return (page - MEM_MAP) // PAGE.SIZE * PAGE_WORDS


@dual
def _push(m: Machine, zone: int, page: int, order: int) -> None:
    """A block becomes a free one of its zone; zone_lock held."""
    list_push(m, zone + ZONE.first + order, page, PAGE.next, PAGE.prev)
    store(m, page + PAGE.kind, KIND_BUDDY)
    store(m, page + PAGE.order, order)


@dual
def _unlink(m: Machine, zone: int, page: int, order: int) -> None:
    """A free block leaves its list, and is still marked as free; zone_lock held."""
    list_remove(m, zone + ZONE.first + order, page, PAGE.next, PAGE.prev)


@dual
def _take(m: Machine, zone: int, order: int) -> int:
    for have in range(order, MAX_ORDER + 1):
        page = load(m, zone + ZONE.first + have)
        if page:
            _unlink(m, zone, page, have)
            while have > order:
                have -= 1
                _push(m, zone, page + (PAGE.SIZE << have), have)
            store(m, zone + ZONE.free_pages, load(m, zone + ZONE.free_pages) - (1 << order))
            # Still under the lock: who frees the buddy next must not take this block for a free one.
            store(m, page + PAGE.kind, KIND_SLAB)
            store(m, page + PAGE.order, order)
            return page
    return 0


@dual
def alloc_pages(m: Machine, node: int, order: int) -> int:
    """A block of 1 << order pages, from `node` if it has one, else from the next; 0 when none has.

    The block's pages are KIND_SLAB/KIND_TAIL and point to their head.
    """
    if page_alloc_fails(m):
        return 0
    nodes = world(m, WORLD.nr_nodes)
    for i in range(nodes):
        page = _alloc_on_node(m, (node + i) % nodes, order)
        if page:
            return page
    return 0


@dual
def alloc_pages_exact_node(m: Machine, node: int, order: int) -> int:
    """As alloc_pages, from `node` or not at all (GFP_THISNODE)."""
    if page_alloc_fails(m):
        return 0
    return _alloc_on_node(m, node, order)


@dual
def _alloc_on_node(m: Machine, node: int, order: int) -> int:
    where = 0
    if m.has("VTIME"):
        where = enter(m, PAGES)
    zone = world(m, WORLD.zones) + node * ZONE.SIZE
    flags = local_irq_save(m)
    spin_lock(m, zone + ZONE.lock, ZONE_LOCK)
    page = _take(m, zone, order)
    spin_unlock(m, zone + ZONE.lock)
    local_irq_restore(m, flags)
    if page:
        count(m, OPS.page_alloc)
        for i in range(1 << order):
            store(m, page + i * PAGE.SIZE + PAGE.head, page)
            if i:
                store(m, page + i * PAGE.SIZE + PAGE.kind, KIND_TAIL)
    if m.has("VTIME"):
        leave(m, where)
    return page


@dual
def free_pages(m: Machine, page: int, order: int) -> None:
    """Return a block to its node, merging it with its buddies."""
    count(m, OPS.page_free)
    where = 0
    if m.has("VTIME"):
        where = enter(m, PAGES)
    zone = world(m, WORLD.zones) + load(m, page + PAGE.node) * ZONE.SIZE
    for i in range(1 << order):
        store(m, page + i * PAGE.SIZE + PAGE.kind, KIND_FREE_TAIL)
        store(m, page + i * PAGE.SIZE + PAGE.head, page + i * PAGE.SIZE)
    store(m, page + PAGE.slab_cache, 0)
    flags = local_irq_save(m)
    spin_lock(m, zone + ZONE.lock, ZONE_LOCK)
    store(m, zone + ZONE.free_pages, load(m, zone + ZONE.free_pages) + (1 << order))
    frame = (page - MEM_MAP) // PAGE.SIZE
    while order < MAX_ORDER:
        buddy = MEM_MAP + (frame ^ (1 << order)) * PAGE.SIZE
        if load(m, buddy + PAGE.kind) != KIND_BUDDY or load(m, buddy + PAGE.order) != order:
            break
        _unlink(m, zone, buddy, order)
        store(m, buddy + PAGE.kind, KIND_FREE_TAIL)
        frame &= ~(1 << order)
        order += 1
    _push(m, zone, MEM_MAP + frame * PAGE.SIZE, order)
    spin_unlock(m, zone + ZONE.lock)
    local_irq_restore(m, flags)
    if m.has("VTIME"):
        leave(m, where)
