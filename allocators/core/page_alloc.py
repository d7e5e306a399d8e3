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
from shm.atomics import (
    book,
    load,
    local_irq_restore,
    local_irq_save,
    on_cpu,
    read_book,
    store,
    write_book,
)
from shm.compiler import dual
from shm.layout import struct
from shm.locks import ZONE_LOCK, spin_lock, spin_unlock
from shm.machine import MACHINE, Machine
from shm.virtual.words import (
    OWN,
    PAGES,
    PCP,
    PCP_ORDERS,
    PRICE,
    VCPU,
    VTIME,
    enter,
    leave,
    price,
    spend,
    vcpu,
    vtime,
)

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
    if m.has("VTIME"):
        page = _alloc_in_time(m, zone, node, order)
    else:
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
    if m.has("VTIME"):
        _free_in_time(m, zone, page, order)
    else:
        spin_lock(m, zone + ZONE.lock, ZONE_LOCK)
        _give_back(m, zone, page, order)
        spin_unlock(m, zone + ZONE.lock)
    local_irq_restore(m, flags)
    if m.has("VTIME"):
        leave(m, where)


@dual
def _give_back(m: Machine, zone: int, page: int, order: int) -> None:
    """A block is free again and merged with its buddies; zone_lock held."""
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


# Per-CPU page lists, in virtual time only: they keep CPUs off the zone lock, and nothing else depends on them. A kernel
# has them for single pages (v3.16 buffered_rmqueue, free_hot_cold_page), and from 5.13 on for blocks up to order 3.
# A block on a list is KIND_FREE_TAIL, so no buddy merges with it, and linked by PAGE.next.


@dual
def _list_of(m: Machine, node: int, order: int) -> int:
    """This CPU's PCP for a node's blocks of an order."""
    return read_book(m, vcpu(m) + VCPU.pcp) + (node * PCP_ORDERS + order) * PCP.SIZE


@dual
def _pcp_push(m: Machine, pcp: int, page: int) -> None:
    store(m, page + PAGE.next, read_book(m, pcp + PCP.first))
    write_book(m, pcp + PCP.first, page)
    book(m, pcp + PCP.count, 1)
    spend(m, vcpu(m), OWN, 3 * price(m, PRICE.access))


@dual
def _pcp_pop(m: Machine, pcp: int) -> int:
    page = read_book(m, pcp + PCP.first)
    if page:
        write_book(m, pcp + PCP.first, load(m, page + PAGE.next))
        book(m, pcp + PCP.count, -1)
    spend(m, vcpu(m), OWN, 3 * price(m, PRICE.access))
    return page


@dual
def _alloc_in_time(m: Machine, zone: int, node: int, order: int) -> int:
    """A block from this CPU's list, which is filled from the zone when it is empty. Interrupts off."""
    if order > vtime(m, VTIME.pcp_order):
        spin_lock(m, zone + ZONE.lock, ZONE_LOCK)
        page = _take(m, zone, order)
        spin_unlock(m, zone + ZONE.lock)
        return page
    pcp = _list_of(m, node, order)
    if read_book(m, pcp + PCP.first) == 0:
        spin_lock(m, zone + ZONE.lock, ZONE_LOCK)
        for _ in range(max(1, vtime(m, VTIME.pcp_batch) >> order)):
            page = _take(m, zone, order)
            if page == 0:
                break
            store(m, page + PAGE.kind, KIND_FREE_TAIL)
            _pcp_push(m, pcp, page)
        spin_unlock(m, zone + ZONE.lock)
    page = _pcp_pop(m, pcp)
    if page:
        store(m, page + PAGE.kind, KIND_SLAB)
        store(m, page + PAGE.order, order)
    return page


@dual
def _free_in_time(m: Machine, zone: int, page: int, order: int) -> None:
    """A block to this CPU's list; when that is too long, a batch of it goes to the zone. Interrupts off."""
    if order > vtime(m, VTIME.pcp_order):
        spin_lock(m, zone + ZONE.lock, ZONE_LOCK)
        _give_back(m, zone, page, order)
        spin_unlock(m, zone + ZONE.lock)
        return
    pcp = _list_of(m, load(m, page + PAGE.node), order)
    _pcp_push(m, pcp, page)
    if read_book(m, pcp + PCP.count) << order > vtime(m, VTIME.pcp_high):
        _drain(m, zone, pcp, order, max(1, vtime(m, VTIME.pcp_batch) >> order))


@dual
def _drain(m: Machine, zone: int, pcp: int, order: int, most: int) -> None:
    """So many blocks of a list go back to the zone. Interrupts off."""
    spin_lock(m, zone + ZONE.lock, ZONE_LOCK)
    for _ in range(most):
        page = _pcp_pop(m, pcp)
        if page == 0:
            break
        _give_back(m, zone, page, order)
    spin_unlock(m, zone + ZONE.lock)


@dual
def drain_all_pages(m: Machine) -> None:
    """Every CPU's lists go back to their zones (v3.16 drain_all_pages), after a play: an observer knows no lists."""
    for cpu in range(load(m, MACHINE.nr_cpus)):
        there = on_cpu(m, cpu)
        for node in range(world(m, WORLD.nr_nodes)):
            for order in range(PCP_ORDERS):
                pcp = _list_of(there, node, order)
                _drain(there, world(m, WORLD.zones) + node * ZONE.SIZE, pcp, order, read_book(m, pcp + PCP.count))
