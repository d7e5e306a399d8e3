"""SLOB's statistics and lists, read from a world at rest. A kernel with SLOB shows nothing of either."""

from __future__ import annotations

from collections.abc import Iterator

from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE, address_of
from allocators.slob.state import LISTS, PAGE_UNITS, SLOB, STATISTICS, block_next, block_units, heap, page_first_block
from shm.atomics import area_of
from shm.machine import Machine


def statistics(m: Machine, s: int, cpus: int) -> dict[str, list[int]]:
    """The counters of a cache, each as a list by CPU (the last one is the kworker's)."""
    bases = [area_of(m, cpu) + m.mem[s + CACHE.stats] for cpu in range(cpus)]
    return {name: [m.mem[b + i] for b in bases] for i, name in enumerate(STATISTICS)}


def pages(m: Machine, name: str) -> Iterator[int]:
    """Pages of a list (small, medium, large), from where the next search begins."""
    assert name in LISTS
    head = heap(m) + getattr(SLOB, name)
    page = m.mem[head + PAGE.next]
    while page != head:
        yield page
        page = m.mem[page + PAGE.next]


def blocks(m: Machine, page: int) -> list[tuple[int, int]]:
    """(first unit, units) of each free block of a page in shared use."""
    found = []
    block = page_first_block(m, page)
    while block < PAGE_UNITS:
        found.append((block, block_units(m, address_of(page), block)))
        block = block_next(m, address_of(page), block)
    return found
