"""SLOB's allocation: first fit in a page, next fit over a list of pages.

v3.16 mm/slob.c: slob_page_alloc, slob_alloc, slob_new_pages. slob_lock, interrupts off, is dropped around the page
allocator.
"""

from __future__ import annotations

from allocators.core.bugs import BUG_NEW_PAGE_FULL
from allocators.core.page_alloc import PAGE, address_of, alloc_pages, alloc_pages_exact_node
from allocators.core.world import OPS, count, node_of_cpu
from allocators.slob.state import (
    PAGE_UNITS,
    SLOB,
    SLOB_STAT,
    UNIT_BYTES,
    block_next,
    block_units,
    heap,
    list_add,
    list_begin_at,
    list_del,
    list_for,
    page_first_block,
    page_free_units,
    set_block,
    set_page,
    slob_stat,
    units_of,
)
from shm.atomics import book, bug, load, local_irq_restore, local_irq_save, read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.locks import SLOB_LOCK, spin_lock, spin_unlock
from shm.machine import Machine

NO_NODE = -1


@dual
def slob_page_alloc(m: Machine, s: int, page: int, units: int, align: int) -> int:
    """The first free place of a page that holds `units` at a multiple of `align` units; its address, or 0.

    A page that becomes full leaves its list. slob_lock held. s: whose statistics count it.
    """
    base = address_of(page)
    before = -1
    block = page_first_block(m, page)
    scanned = 0
    while block < PAGE_UNITS:
        scanned += 1
        have = block_units(m, base, block)
        after = block_next(m, base, block)
        gap = -block & (align - 1)
        if have >= units + gap:
            _cut(m, page, before, block, gap, units, have, after)
            slob_stat(m, s, SLOB_STAT.alloc_blocks_scanned, scanned)
            if gap:
                slob_stat(m, s, SLOB_STAT.alloc_aligned, 1)
            return base + ((block + gap) >> 2)
        before = block
        block = after
    slob_stat(m, s, SLOB_STAT.alloc_blocks_scanned, scanned)
    return 0


@dual
def _cut(m: Machine, page: int, before: int, block: int, gap: int, units: int, have: int, after: int) -> None:
    """Take `units` out of a free block of `have`, `gap` units behind its beginning; both ends stay free."""
    base = address_of(page)
    first = page_first_block(m, page)
    rest = have - gap - units
    if rest:
        set_block(m, base, block + gap + units, rest, after)
        after = block + gap + units
    if gap:
        set_block(m, base, block, gap, after)
    elif before >= 0:
        set_block(m, base, before, block_units(m, base, before), after)
    else:
        first = after
    left = page_free_units(m, page) - units
    set_page(m, page, first, left)
    if m.has("STATS"):
        book(m, heap(m) + SLOB.free_units, -units)
    if left == 0:
        list_del(m, page)


@dual
def _from_list(m: Machine, s: int, head: int, units: int, align: int, node: int) -> int:
    """An object from a page that is on the list, or 0; the list then begins where this search ended."""
    page = load(m, head + PAGE.next)
    obj = 0
    scanned = 0
    while page != head and obj == 0:
        scanned += 1
        if (node == NO_NODE or load(m, page + PAGE.node) == node) and page_free_units(m, page) >= units:
            # The page leaves the list if it becomes full, its predecessor does not.
            before = load(m, page + PAGE.prev)
            obj = slob_page_alloc(m, s, page, units, align)
            if obj:
                here = load(m, before + PAGE.next)
                if here != head and here != load(m, head + PAGE.next):
                    list_begin_at(m, head, here)
                    slob_stat(m, s, SLOB_STAT.alloc_rotated, 1)
                break
        page = load(m, page + PAGE.next)
    slob_stat(m, s, SLOB_STAT.alloc_pages_scanned, scanned)
    return obj


@dual
def slob_alloc(m: Machine, s: int, size: int, align: int, node: int) -> int:
    """`size` bytes, less than a page, at a multiple of `align` bytes; the address, or 0.

    node: where the page must lie, or NO_NODE (as every allocation of kmem_cache_alloc, NUMA or not).
    """
    units = units_of(size)
    flags = local_irq_save(m)
    lock = heap(m) + SLOB.lock
    spin_lock(m, lock, SLOB_LOCK)
    obj = _from_list(m, s, list_for(m, size), units, align // UNIT_BYTES, node)
    spin_unlock(m, lock)
    local_irq_restore(m, flags)
    if obj:
        slob_stat(m, s, SLOB_STAT.alloc_found, 1)
        return obj
    return _from_new_page(m, s, size, align, node)


@dual
def new_pages(m: Machine, order: int, node: int) -> int:
    """A block from the page allocator, this CPU's node first (slob_new_pages); its PAGE, or 0."""
    count(m, OPS.slow)
    if node == NO_NODE:
        return alloc_pages(m, node_of_cpu(m, this_cpu(m)), order)
    return alloc_pages_exact_node(m, node, order)


@dual_slow
def _from_new_page(m: Machine, s: int, size: int, align: int, node: int) -> int:
    page = new_pages(m, 0, node)
    if page == 0:
        return 0
    flags = local_irq_save(m)
    h = heap(m)
    spin_lock(m, h + SLOB.lock, SLOB_LOCK)
    set_page(m, page, 0, PAGE_UNITS)
    set_block(m, address_of(page), 0, PAGE_UNITS, PAGE_UNITS)
    list_add(m, list_for(m, size), page)
    if m.has("STATS"):
        book(m, h + SLOB.pages, 1)
        book(m, h + SLOB.free_units, PAGE_UNITS)
    obj = slob_page_alloc(m, s, page, units_of(size), align // UNIT_BYTES)
    if m.has("STATS"):
        if read_book(m, h + SLOB.pages) > read_book(m, h + SLOB.peak_pages):
            write_book(m, h + SLOB.peak_pages, read_book(m, h + SLOB.pages))
            write_book(m, h + SLOB.free_units_at_peak, read_book(m, h + SLOB.free_units))
    spin_unlock(m, h + SLOB.lock)
    local_irq_restore(m, flags)
    if obj == 0:
        bug(m, BUG_NEW_PAGE_FULL, s)
    slob_stat(m, s, SLOB_STAT.alloc_new_page, 1)
    return obj
