"""Words of the sheaves in front of SLUB (v6.18 and v7.0 struct slub_percpu_sheaves, node_barn, slab_sheaf; F_SHEAF).

A root cache with sheaves has one region, `CACHE.sheaves`: a PCS per CPU, a BARN per node, a POOL of unused sheaves (a
kernel has them from kmalloc) and SHEAVES. Sheaves of a cache have one capacity, `CACHE.sheaf_capacity`.

Who may write: a PCS and the sheaves it has, its CPU, or the kworker when nobody uses the cache; the
barn's lists and the pool's under their locks (class barn_lock, above list_lock, never held together); a sheaf on no
list and with no CPU, who took it off.
"""

from __future__ import annotations

from collections.abc import Set

from allocators.core.kmem_cache import CACHE
from allocators.core.world import WORLD, world
from allocators.sheaf_settings import SheafSettings
from shm.atomics import (
    cmpxchg,
    load,
    os_sleep,
    preempt_disable,
    preempt_enable,
    read_once,
    store_release,
    this_cpu,
)
from shm.compiler import dual
from shm.layout import struct
from shm.machine import MACHINE, Machine
from shm.waiting import NAP

MAX_CAPACITY = 64  # of any design, unless it is set
ASKED = 32  # capacity that vm_area_struct and maple_node ask for (6.18)
RCU_WAITING = 16  # sheaves of a CPU that wait for a grace period; a kernel has no such limit

PCS = struct("PCS", "main", "spare", "rcu_free", "lock", size=8)  # lock: F_RT, the CPU + 1 of who holds it
BARN = struct(
    "BARN",
    "lock",
    "full",
    "nr_full",
    "empty",
    "nr_empty",
    "max_full",  # constants
    "max_empty",
    "present",  # constant: 0 where a node has no barn
)
POOL = struct("POOL", "lock", "unused", size=8)
SHEAF = struct(
    "SHEAF", "next", "size", "node", "cache", ("objects", 0)
)  # node, cache: of one that waits for a grace period; objects: as many words as its capacity

# By the size of objects in bytes, from the largest on: how many a sheaf is to hold (v7.0 calculate_sheaf_capacity).
_NOMINAL = ((4096, 4), (1024, 12), (256, 26), (0, 60))
_KMALLOC = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)


def sheaf_capacity(features: Set[str], size: int, *, asked: int = 0, set_to: int = 0) -> int:
    """Objects that a sheaf of a cache holds; 0: the cache has no sheaves.

    size: of the objects in bytes. asked: what the cache's creator asks for. set_to: SheafSettings.capacity.
    F_CAP7: a sheaf is a kmalloc object, and holds what fits.
    """
    if "F_SHEAF" not in features:
        return 0
    if "F_CAP7" in features:
        header = SHEAF.SIZE * 8
        nominal = next(count for least, count in _NOMINAL if size >= least)
        room = next(k for k in _KMALLOC if k >= header + 8 * nominal)
        return set_to or max((room - header) // 8, asked)
    if "F_SHEAFASK" in features and not asked:
        return 0
    return set_to or asked or ASKED


def sheaf_count(nr_cpus: int, nodes: int, settings: SheafSettings) -> int:
    """Main, spare, rcu_free and one in hand for each CPU, RCU_WAITING of each, and full barns.

    A barn's limits are tested without its lock, so each CPU may put one sheaf of each kind too many there.
    """
    return (6 + RCU_WAITING) * nr_cpus + (settings.max_full + settings.max_empty) * nodes


def sheaf_words(nr_cpus: int, nodes: int, capacity: int, settings: SheafSettings) -> int:
    """Words of one cache's region."""
    sheaves = sheaf_count(nr_cpus, nodes, settings) * (SHEAF.SIZE + capacity)
    return -(-(PCS.SIZE * nr_cpus + BARN.SIZE * nodes + POOL.SIZE + sheaves) // 8) * 8


def boot_sheaves(
    words, base: int, nr_cpus: int, nodes: int, capacity: int, settings: SheafSettings, barns: int
) -> None:
    """Lay a cache's region out: every CPU has an empty main sheaf, all others are unused. barns: so many nodes, the
    first ones, have one."""
    first_barn = base + PCS.SIZE * nr_cpus
    for node in range(nodes):
        barn = first_barn + node * BARN.SIZE
        words[barn + BARN.max_full] = settings.max_full
        words[barn + BARN.max_empty] = settings.max_empty
        words[barn + BARN.present] = int(node < barns)
    pool = first_barn + BARN.SIZE * nodes
    first, stride = pool + POOL.SIZE, SHEAF.SIZE + capacity
    for cpu in range(nr_cpus):
        words[base + cpu * PCS.SIZE + PCS.main] = first + cpu * stride
    unused = [first + i * stride for i in range(nr_cpus, sheaf_count(nr_cpus, nodes, settings))]
    words[pool + POOL.unused] = unused[0]
    for sheaf, after in zip(unused, [*unused[1:], 0]):
        words[sheaf + SHEAF.next] = after


@dual
def pcs_of(m: Machine, s: int, cpu: int) -> int:
    """A CPU's PCS of a cache that has sheaves."""
    return load(m, s + CACHE.sheaves) + cpu * PCS.SIZE


@dual
def local_trylock(m: Machine, s: int) -> bool:
    """local_trylock of this CPU's sheaves. Without F_RT nobody on this CPU can find it taken."""
    if m.has("F_RT"):
        return cmpxchg(m, pcs_of(m, s, this_cpu(m)) + PCS.lock, 0, this_cpu(m) + 1) == 0
    if m.has("PREEMPT"):
        preempt_disable(m)
    return True


@dual
def local_lock(m: Machine, s: int) -> None:
    """local_lock of this CPU's sheaves: keeps preemption off. F_RT: waits for a holder that was preempted."""
    while not local_trylock(m, s):
        os_sleep(m, NAP)


@dual
def local_unlock(m: Machine, s: int) -> None:
    """local_unlock of this CPU's sheaves."""
    if m.has("F_RT"):
        store_release(m, pcs_of(m, s, this_cpu(m)) + PCS.lock, 0)
    elif m.has("PREEMPT"):
        preempt_enable(m)


@dual
def barn_of(m: Machine, s: int, node: int) -> int:
    """A node's barn of a cache that has sheaves."""
    return load(m, s + CACHE.sheaves) + load(m, MACHINE.nr_cpus) * PCS.SIZE + node * BARN.SIZE


@dual
def pool_of(m: Machine, s: int) -> int:
    """The unused sheaves of a cache that has sheaves."""
    return barn_of(m, s, world(m, WORLD.nr_nodes))


@dual
def capacity_of(m: Machine, s: int) -> int:
    """Objects that a sheaf of the cache holds."""
    return load(m, s + CACHE.sheaf_capacity)


@dual
def has_sheaved(m: Machine, s: int, cpu: int) -> bool:
    """flush_all's predicate (has_pcs_used): racy, as the one for CPU slabs; a live cache's flush may miss a push."""
    if load(m, s + CACHE.sheaves) == 0:
        return False
    p = pcs_of(m, s, cpu)
    main = read_once(m, p + PCS.main)
    if read_once(m, p + PCS.spare) or read_once(m, p + PCS.rcu_free):
        return True
    return main != 0 and read_once(m, main + SHEAF.size) != 0
