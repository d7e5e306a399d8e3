"""rcu_free sheaves: objects of kfree_rcu wait together for a grace period (v6.18 and v7.0 __kfree_rcu_sheaf,
rcu_free_sheaf; F_RCUSHEAF).

A CPU has one, from its first such object on. When it is full it is handed to RCU; afterwards its objects are uncharged,
and it goes to the barn of the node where it became full, to be allocated from. One that is not full waits until the
cache is shrunk or destroyed, however long that takes: so long its objects are charged, and keep their obj_cgroups.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import head_of
from allocators.memcg.objcg import before_free
from allocators.slub.alloc import this_node
from allocators.slub.barn import barn_at, empty_of_barn, free_sheaf, new_sheaf, put_empty, put_full
from allocators.slub.flush import flush, hand_to_rcu
from allocators.slub.rcu_words import RCU_FLUSH_SHEAF, RCU_FREE_SHEAF
from allocators.slub.sheaf_state import BARN, PCS, SHEAF, capacity_of, local_lock, local_unlock, pcs_of
from allocators.slub.state import STAT, stat
from shm.atomics import load, read_once, store, this_cpu, write_once
from shm.compiler import dual
from shm.machine import Machine


@dual
def kfree_rcu_sheaf(m: Machine, s: int, obj: int) -> bool:
    """Put an object on this CPU's rcu_free sheaf, and hand that to RCU when it is full; False: no sheaf can be had."""
    if load(m, s + CACHE.sheaves) == 0:
        return False
    local_lock(m, s)
    p = pcs_of(m, s, this_cpu(m))
    sheaf = load(m, p + PCS.rcu_free)
    if sheaf == 0:
        spare = load(m, p + PCS.spare)
        barn = barn_at(m, s, this_node(m))
        if spare and load(m, spare + SHEAF.size) == 0:
            write_once(m, p + PCS.spare, 0)
            sheaf = spare
        elif barn:
            sheaf = empty_of_barn(m, barn)
            if sheaf == 0:
                local_unlock(m, s)
                sheaf = new_sheaf(m, s)
                if sheaf == 0:
                    stat(m, s, STAT.free_rcu_sheaf_fail)
                    return False
                local_lock(m, s)
                p = pcs_of(m, s, this_cpu(m))
                if load(m, p + PCS.rcu_free):
                    put_empty(m, s, barn, sheaf)
                    sheaf = load(m, p + PCS.rcu_free)
        else:
            local_unlock(m, s)
            stat(m, s, STAT.free_rcu_sheaf_fail)
            return False
        write_once(m, p + PCS.rcu_free, sheaf)
    stat(m, s, STAT.free_rcu_sheaf)
    held = load(m, sheaf + SHEAF.size)
    store(m, sheaf + SHEAF.objects + held, obj)
    write_once(m, sheaf + SHEAF.size, held + 1)
    if held + 1 == capacity_of(m, s):
        # Under the lock: who waits for all of the cache's would miss it in between (kvfree_rcu_barrier_on_cache).
        write_once(m, p + PCS.rcu_free, 0)
        hand_to_rcu(m, s, sheaf, RCU_FREE_SHEAF)
    local_unlock(m, s)
    return True


@dual
def sheaf_rcu(m: Machine, func: int, sheaf: int) -> None:
    """rcu_free_sheaf, rcu_free_sheaf_nobarn: the grace period is over. Kworker only."""
    if func != RCU_FREE_SHEAF and func != RCU_FLUSH_SHEAF:
        return
    s = load(m, sheaf + SHEAF.cache)
    for i in range(load(m, sheaf + SHEAF.size)):
        obj = load(m, sheaf + SHEAF.objects + i)
        before_free(m, s, obj, head_of(m, obj))
    if func == RCU_FLUSH_SHEAF:
        flush(m, s, sheaf)
        free_sheaf(m, s, sheaf)
        return
    barn = barn_at(m, s, load(m, sheaf + SHEAF.node))
    if read_once(m, barn + BARN.nr_full) < load(m, barn + BARN.max_full):
        put_full(m, s, barn, sheaf)
    else:
        stat(m, s, STAT.barn_put_fail)
        flush(m, s, sheaf)
        put_empty(m, s, barn, sheaf)
