"""What /proc/slabinfo shows of a SLAB cache, read from a world at rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE
from allocators.core.world import WORLD, WORLD_AT
from allocators.slab.state import ARRAY_CACHE, SLAB_NODE, STATISTICS
from shm.atomics import area_of
from shm.machine import Machine

MAXIMA = ("high_mark", "max_freeable")


@dataclass(frozen=True, slots=True)
class SlabInfo:
    """A line of /proc/slabinfo by the names of its columns."""

    active_objs: int
    num_objs: int
    objsize: int
    objperslab: int
    pagesperslab: int
    limit: int
    batchcount: int
    shared: int
    active_slabs: int
    num_slabs: int
    sharedavail: int


def walk(m: Machine, slabs: int) -> Iterator[int]:
    """Pages of a list of slabs, from its head."""
    page = m.mem[slabs]
    while page:
        yield page
        page = m.mem[page + PAGE.next]


def statistics(m: Machine, s: int, cpus: int) -> dict[str, list[int]]:
    """The statistics of a cache, each as a list by CPU; maxima stand with CPU 0."""
    bases = [area_of(m, cpu) + m.mem[s + CACHE.stats] for cpu in range(cpus)]
    found = {name: [m.mem[b + i] for b in bases] for i, name in enumerate(STATISTICS)}
    for name in MAXIMA:
        found[name][0] += m.mem[s + getattr(CACHE, name)]
    return found


def slabinfo(m: Machine, s: int) -> SlabInfo:
    """The line of one cache. Objects that wait in arrays count as active. The world must be at rest."""
    mem = m.mem
    num = mem[s + CACHE.oo_objects]
    active = active_slabs = free_slabs = shared = 0
    for node in range(mem[WORLD_AT + WORLD.nr_nodes]):
        n = mem[s + CACHE.slab_node] + node * SLAB_NODE.SIZE
        full = sum(1 for _ in walk(m, n + SLAB_NODE.slabs_full))
        active += full * num
        active_slabs += full
        for page in walk(m, n + SLAB_NODE.slabs_partial):
            active += mem[page + PAGE.pair]
            active_slabs += 1
        free_slabs += sum(1 for _ in walk(m, n + SLAB_NODE.slabs_free))
        if mem[n + SLAB_NODE.shared]:
            shared += mem[mem[n + SLAB_NODE.shared] + ARRAY_CACHE.avail]
    return SlabInfo(
        active_objs=active,
        num_objs=(active_slabs + free_slabs) * num,
        objsize=8 * mem[s + CACHE.size],
        objperslab=num,
        pagesperslab=1 << mem[s + CACHE.oo_order],
        limit=mem[s + CACHE.limit],
        batchcount=mem[s + CACHE.batchcount],
        shared=mem[s + CACHE.shared],
        active_slabs=active_slabs,
        num_slabs=active_slabs + free_slabs,
        sharedavail=shared,
    )
