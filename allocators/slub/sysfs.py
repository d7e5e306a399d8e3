"""A user's writes to a cache's attributes in sysfs (v3.16 min_partial_store, memcg_propagate_slab_attrs).

What is written to a root cache is replayed on all its children, the dead ones included (R13).

Who uses a file has an active reference to it meanwhile, and who deletes the cache's directory waits until there is none
(kernfs). Root caches only: directories of child caches are not modelled.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, SYSFS_GONE
from allocators.core.world import WORLD, WORLD_AT
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.sizing import MAX_PARTIAL, MIN_PARTIAL
from shm.atomics import cmpxchg, fetch_add, load, os_sleep, read_once, write_once
from shm.compiler import dual
from shm.ipi import serve_ipis
from shm.locks import MEMCG_SLAB_MUTEX, SLAB_MUTEX, mutex_lock, mutex_unlock
from shm.machine import Machine
from shm.waiting import NAP


@dual
def kernfs_get_active(m: Machine, s: int) -> bool:
    """Before a file of the cache is used; False when its directory was deleted."""
    while True:
        users = read_once(m, s + CACHE.active)
        if users >= SYSFS_GONE:
            return False
        if cmpxchg(m, s + CACHE.active, users, users + 1) == users:
            return True


@dual
def kernfs_put_active(m: Machine, s: int) -> None:
    fetch_add(m, s + CACHE.active, -1)


@dual
def sysfs_slab_unlink(m: Machine, s: int) -> None:
    """kobject_del: no file of the cache can be opened any more, and who uses one is waited for. Interrupts on."""
    fetch_add(m, s + CACHE.active, SYSFS_GONE)
    while read_once(m, s + CACHE.active) != SYSFS_GONE:
        serve_ipis(m)
        os_sleep(m, NAP)
    write_once(m, s + CACHE.active, 0)


@dual
def min_partial_store(m: Machine, root: int, value: int) -> None:
    """Write to /sys/kernel/slab/ROOT/min_partial.

    F_SYSFS: dead children keep theirs, and the offline's mutex is held lest one die after the test.
    """
    if not kernfs_get_active(m, root):
        return
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
    kernfs_put_active(m, root)
