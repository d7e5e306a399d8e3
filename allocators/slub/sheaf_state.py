"""Words of the sheaves in front of SLUB (v6.18 struct slub_percpu_sheaves, node_barn, slab_sheaf; F_SHEAF).

A root cache with sheaves has one region, `CACHE.sheaves`: a PCS per CPU, a BARN per node, a POOL of
unused sheaves (a kernel has them from kmalloc) and as many SHEAVES as can be in use at once.

Who may write: a PCS and the sheaves it has, its CPU, or the kworker when nobody uses the cache; the
barn's lists and the pool's under their locks (class barn_lock, above list_lock, never held together).
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.world import WORLD, world
from shm.atomics import load, read_once
from shm.compiler import dual
from shm.layout import struct
from shm.machine import MACHINE, Machine

CAPACITY = 32
MAX_FULL = MAX_EMPTY = 10  # sheaves of each kind in a barn

PCS = struct("PCS", "main", "spare", size=8)
BARN = struct("BARN", "lock", "full", "nr_full", "empty", "nr_empty", size=8)
POOL = struct("POOL", "lock", "unused", size=8)
SHEAF = struct("SHEAF", "next", "size", ("objects", CAPACITY), size=40)


def sheaf_count(nr_cpus: int, nodes: int) -> int:
    """Main, spare and one in hand for each CPU, and full barns.

    A barn's limits are tested without its lock, so each CPU may put one sheaf of each kind too many there.
    """
    return 5 * nr_cpus + (MAX_FULL + MAX_EMPTY) * nodes


def sheaf_words(nr_cpus: int, nodes: int) -> int:
    """Words of one cache's region."""
    return PCS.SIZE * nr_cpus + BARN.SIZE * nodes + POOL.SIZE + SHEAF.SIZE * sheaf_count(nr_cpus, nodes)


def boot_sheaves(words, base: int, nr_cpus: int, nodes: int) -> None:
    """Lay a cache's region out: every CPU has an empty main sheaf, all others are unused."""
    pool = base + PCS.SIZE * nr_cpus + BARN.SIZE * nodes
    first = pool + POOL.SIZE
    for cpu in range(nr_cpus):
        words[base + cpu * PCS.SIZE + PCS.main] = first + cpu * SHEAF.SIZE
    unused = [first + i * SHEAF.SIZE for i in range(nr_cpus, sheaf_count(nr_cpus, nodes))]
    words[pool + POOL.unused] = unused[0]
    for sheaf, after in zip(unused, [*unused[1:], 0]):
        words[sheaf + SHEAF.next] = after


@dual
def pcs_of(m: Machine, s: int, cpu: int) -> int:
    """A CPU's PCS of a cache that has sheaves."""
    return load(m, s + CACHE.sheaves) + cpu * PCS.SIZE


@dual
def barn_of(m: Machine, s: int, node: int) -> int:
    """A node's barn of a cache that has sheaves."""
    return load(m, s + CACHE.sheaves) + load(m, MACHINE.nr_cpus) * PCS.SIZE + node * BARN.SIZE


@dual
def pool_of(m: Machine, s: int) -> int:
    """The unused sheaves of a cache that has sheaves."""
    return barn_of(m, s, world(m, WORLD.nr_nodes))


@dual
def has_sheaved(m: Machine, s: int, cpu: int) -> bool:
    """flush_all's predicate (has_pcs_used): racy, as the one for CPU slabs; a live cache's flush may miss a push."""
    if load(m, s + CACHE.sheaves) == 0:
        return False
    p = pcs_of(m, s, cpu)
    main = read_once(m, p + PCS.main)
    return read_once(m, p + PCS.spare) != 0 or (main != 0 and read_once(m, main + SHEAF.size) != 0)
