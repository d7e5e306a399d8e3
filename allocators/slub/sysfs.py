"""A user's writes to a cache's attributes in sysfs (v3.16 min_partial_store, memcg_propagate_slab_attrs).

What is written to a root cache is replayed on all its children, the dead ones included (R13).
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.world import WORLD, WORLD_AT
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.sizing import MAX_PARTIAL, MIN_PARTIAL
from shm.atomics import load, write_once
from shm.compiler import dual
from shm.locks import MEMCG_SLAB_MUTEX, SLAB_MUTEX, mutex_lock, mutex_unlock
from shm.machine import Machine


@dual
def min_partial_store(m: Machine, root: int, value: int) -> None:
    """Write to /sys/kernel/slab/ROOT/min_partial.

    F_SYSFS: dead children keep theirs, and the offline's mutex is held lest one die after the test.
    """
    value = min(max(value, MIN_PARTIAL), MAX_PARTIAL)
    if m.has("F_SYSFS"):
        mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
    mutex_lock(m, WORLD_AT + WORLD.slab_mutex, SLAB_MUTEX)
    write_once(m, root + CACHE.min_partial, value)
    s = load(m, WORLD_AT + WORLD.slab_caches)
    while s:
        if load(m, s + CACHE.root) == root:
            if not (m.has("F_SYSFS") and memcg_cache_dead(m, s)):
                write_once(m, s + CACHE.min_partial, value)
        s = load(m, s + CACHE.next)
    mutex_unlock(m, WORLD_AT + WORLD.slab_mutex)
    if m.has("F_SYSFS"):
        mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
