"""What /sys/kernel/slab/<cache> shows of a SLUB cache, read from a world at rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from allocators.catalogue import SHEAF_STATISTICS
from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import inuse_of, objects_of
from allocators.core.world import WORLD, WORLD_AT
from allocators.slub.partial import PAGES_SHIFT, POBJECTS_MASK
from allocators.slub.state import PARTIAL_DISABLED, STATISTICS
from shm.atomics import area_of
from shm.machine import MACHINE, Machine


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes by their names in sysfs; partial_cpus: (pobjects, pages) of each CPU's stack."""

    slabs: int
    objects: int
    total_objects: int
    partial: int
    objects_partial: int
    cpu_slabs: int
    partial_cpus: tuple[tuple[int, int], ...]


def walk_partial(m: Machine, n: int) -> Iterator[int]:
    """Pages of a node's partial list, from the head."""
    page = m.mem[n + NODE.first]
    while page:
        yield page
        page = m.mem[page + PAGE.next]


def statistics(m: Machine, s: int, cpus: int) -> dict[str, list[int]]:
    """The 26 counters of a cache, each as a list by CPU (the last one is the kworker's)."""
    bases = [area_of(m, cpu) + m.mem[s + CACHE.stats] for cpu in range(cpus)]
    return {name: [m.mem[b + i] for b in bases] for i, name in enumerate((*STATISTICS, *SHEAF_STATISTICS))}


def attributes(m: Machine, s: int) -> Attributes:
    """The attributes of one cache. The world must be at rest."""
    mem = m.mem
    slabs = total = partial = objects_partial = free_partial = 0
    for node in range(mem[WORLD_AT + WORLD.nr_nodes]):
        n = mem[s + CACHE.node] + node * NODE.SIZE
        slabs += mem[n + NODE.nr_slabs]
        total += mem[n + NODE.total_objects]
        partial += mem[n + NODE.nr_partial]
        for page in walk_partial(m, n):
            pair = mem[page + PAGE.pair]
            objects_partial += inuse_of(pair)
            free_partial += objects_of(pair) - inuse_of(pair)
    cpu_slabs = 0
    stacks = []
    for cpu in range(mem[MACHINE.nr_cpus]):
        c = area_of(m, cpu) + mem[s + CACHE.cpu_slab]
        top = mem[c + KMEM_CACHE_CPU.partial]
        packed = mem[top + PAGE.prev] if top > PARTIAL_DISABLED else 0
        pages = packed >> PAGES_SHIFT
        # The kernel skips a CPU without a CPU slab, whatever its partial stack holds.
        if mem[c + KMEM_CACHE_CPU.page]:
            cpu_slabs += 1 + pages
        stacks.append((packed & POBJECTS_MASK, pages))
    return Attributes(slabs, total - free_partial, total, partial, objects_partial, cpu_slabs, tuple(stacks))
