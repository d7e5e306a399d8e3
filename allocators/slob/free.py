"""SLOB's free: the last object gives its page back, others become free blocks in order of address.

v3.16 mm/slob.c: slob_free. A page goes back after slob_lock is dropped; it is on no list then, and nobody's.
"""

from __future__ import annotations

from allocators.core.page_alloc import address_of, free_pages, page_of
from allocators.core.world import OPS, PAGE_WORDS, count
from allocators.slob.state import (
    PAGE_UNITS,
    SLOB,
    SLOB_STAT,
    block_next,
    block_units,
    heap,
    list_add,
    list_del,
    list_for,
    on_list,
    page_first_block,
    page_free_units,
    set_block,
    set_page,
    slob_stat,
    units_of,
)
from shm.atomics import book, local_irq_restore, local_irq_save
from shm.compiler import dual
from shm.locks import SLOB_LOCK, spin_lock, spin_unlock
from shm.machine import Machine


@dual
def slob_free(m: Machine, s: int, obj: int, size: int) -> None:
    """Free `size` bytes, less than a page, at address `obj`. s: whose statistics count it."""
    page = page_of(obj)
    units = units_of(size)
    flags = local_irq_save(m)
    h = heap(m)
    spin_lock(m, h + SLOB.lock, SLOB_LOCK)
    free = page_free_units(m, page) + units
    if m.has("STATS"):
        book(m, h + SLOB.free_units, units)
    empty = free == PAGE_UNITS
    if empty:
        if on_list(m, page):
            list_del(m, page)
        if m.has("STATS"):
            book(m, h + SLOB.pages, -1)
            book(m, h + SLOB.free_units, -PAGE_UNITS)
    elif on_list(m, page):
        set_page(m, page, _insert(m, s, page, (obj & (PAGE_WORDS - 1)) << 2, units), free)
        slob_stat(m, s, SLOB_STAT.free_to_partial, 1)
    else:
        # It was full; the list is that of what is freed now, whatever else lies in the page.
        block = (obj & (PAGE_WORDS - 1)) << 2
        set_block(m, address_of(page), block, units, PAGE_UNITS)
        set_page(m, page, block, units)
        list_add(m, list_for(m, size), page)
        slob_stat(m, s, SLOB_STAT.free_to_full, 1)
    spin_unlock(m, h + SLOB.lock)
    local_irq_restore(m, flags)
    if empty:
        count(m, OPS.slow)
        slob_stat(m, s, SLOB_STAT.free_page, 1)
        free_pages(m, page, 0)


@dual
def _insert(m: Machine, s: int, page: int, block: int, units: int) -> int:
    """Put a block among the free ones of its page, joined with its neighbours; returns the first one.

    slob_lock held.
    """
    base = address_of(page)
    first = page_first_block(m, page)
    before = -1
    after = first
    scanned = 0
    while after < block:
        scanned += 1
        before = after
        after = block_next(m, base, after)
    slob_stat(m, s, SLOB_STAT.free_blocks_scanned, scanned)
    if after < PAGE_UNITS and block + units == after:
        units += block_units(m, base, after)
        after = block_next(m, base, after)
        slob_stat(m, s, SLOB_STAT.free_coalesced, 1)
    if before < 0:
        set_block(m, base, block, units, after)
        return block
    have = block_units(m, base, before)
    if before + have == block:
        set_block(m, base, before, have + units, after)
        slob_stat(m, s, SLOB_STAT.free_coalesced, 1)
    else:
        set_block(m, base, block, units, after)
        set_block(m, base, before, have, block)
    return first
