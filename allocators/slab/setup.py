"""A new cache's arrays and nodes (v3.16 enable_cpucache, alloc_kmemlist)."""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.world import WORLD, kernel_ns, node_of_cpu, world
from allocators.slab.state import ALIEN_LIMIT, ARRAY_CACHE, KMEM_CACHE_ARRAY, SLAB_NODE
from shm.atomics import area_of, load, store
from shm.compiler import dual
from shm.machine import MACHINE, Machine

REAPTIMEOUT_NODE = 4_000_000_000  # ns


@dual
def init_array(m: Machine, ac: int, limit: int, batchcount: int) -> None:
    """An empty array_cache."""
    for i in range(ARRAY_CACHE.SIZE):
        store(m, ac + i, 0)
    store(m, ac + ARRAY_CACHE.limit, limit)
    store(m, ac + ARRAY_CACHE.batchcount, batchcount)


@dual
def slab_setup(m: Machine, s: int) -> None:
    """Give a cache whose constants are set its arrays and nodes; children take their root's tunables.

    The kworker's CPU allocates and frees nothing, so it gets no array.
    """
    root = load(m, s + CACHE.root)
    if root:
        for field in (CACHE.management, CACHE.limit, CACHE.batchcount, CACHE.shared):
            store(m, s + field, load(m, root + field))
    number = load(m, s + CACHE.id)
    nodes = world(m, WORLD.nr_nodes)
    workers = load(m, MACHINE.workers)
    limit = load(m, s + CACHE.limit)
    batchcount = load(m, s + CACHE.batchcount)
    shared = load(m, s + CACHE.shared) * batchcount
    first = world(m, WORLD.slab_nodes) + number * nodes * SLAB_NODE.SIZE
    store(m, s + CACHE.slab_node, first)
    for i in range(nodes * SLAB_NODE.SIZE):
        store(m, first + i, 0)
    per_node = world(m, WORLD.shared_words) + nodes * world(m, WORLD.alien_words)
    at = world(m, WORLD.arrays) + number * (workers * world(m, WORLD.array_words) + nodes * per_node)
    for cpu in range(workers):
        init_array(m, at, limit, batchcount)
        store(m, area_of(m, cpu) + load(m, s + CACHE.cpu_slab) + KMEM_CACHE_ARRAY.array, at)
        at += world(m, WORLD.array_words)
    for node in range(nodes):
        n = first + node * SLAB_NODE.SIZE
        cpus = 0
        for cpu in range(workers):
            if node_of_cpu(m, cpu) == node:
                cpus += 1
        store(m, n + SLAB_NODE.free_limit, (1 + cpus) * batchcount + load(m, s + CACHE.oo_objects))
        # Caches are reaped at different times: a phase by descriptor, as by address in a kernel.
        phase = (number * 40503 & 65535) * REAPTIMEOUT_NODE >> 16
        store(m, n + SLAB_NODE.next_reap, kernel_ns(m) + REAPTIMEOUT_NODE + phase)
        if shared:
            init_array(m, at, shared, 0)
            store(m, n + SLAB_NODE.shared, at)
        at += world(m, WORLD.shared_words)
        if nodes > 1:
            store(m, n + SLAB_NODE.alien, at)
            for _ in range(nodes):
                init_array(m, at, ALIEN_LIMIT if limit > 1 else 1, 0)
                at += world(m, WORLD.alien_words)
