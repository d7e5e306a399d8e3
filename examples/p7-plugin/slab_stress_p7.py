"""Patch 7 of the series of 30 May 2014 as a plugin: what slab-stress has built in as P7, under the name MY_P7.

    python -m stress run --serial --plugin slab_stress_p7.py --before v1 --after v1+MY_P7
    python -m stress check slab_stress_p7.py

"slub: make dead caches discard free slabs immediately" does three things to a dead cache: its min_partial becomes 0, so
no empty slab stays on a node's list; each CPU's flush leaves a mark in c->partial; and a free that finds the mark
gives its slab to the node instead of stacking it. Where the patch changes a line within a function, the replacement is
a copy of that function, as in a patched kernel; such lines end in `# patch`.
"""

from __future__ import annotations

from allocators.core.bugs import BUG_ALLOC_FROM_DEAD
from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import freelist_of
from allocators.core.world import OPS, count
from allocators.invariants.snapshot import SENTINELS
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.alloc import NO_NODE, get_freelist, get_partial, new_slab_objects, slab_alloc_slow
from allocators.slub.deactivate import deactivate_slab, flush_cpu_slab
from allocators.slub.partial import POBJECTS_MASK, put_cpu_partial, stack, unfreeze_one, unfreeze_partials
from allocators.slub.shrink import slub_shrink
from allocators.slub.state import STAT, cas_this_cpu, cpu_pair, cpu_slab, next_tid, stat
from allocators.switches import Switch
from shm.atomics import bug, load, local_irq_restore, local_irq_save, read_once, write_once
from shm.hooks import original, replaces
from shm.machine import Machine

MY_P7 = Switch(
    "MY_P7",
    "dead caches: no empty slab stays, the CPU partial list is disabled by a sentinel (P7 as a plugin)",
    ("slub",),
    group="P7",
    needs=("P3", "P3v3"),
)
SWITCHES = [MY_P7]
BASE = "v1-P7"  # the rest of the series, which this patch is meant to complete
LIVE_UNCHANGED = True  # while no cgroup is taken offline, every counter stays as it was

DISABLED = 1  # no slab has this address
SENTINELS.add("MY_P7")  # the invariants then know that a dead cache's c->partial may hold it

unfreeze_unpatched = original(unfreeze_partials)
flush_unpatched = original(flush_cpu_slab)
shrink_unpatched = original(slub_shrink)


@replaces(slub_shrink, MY_P7)
def shrink_dead(m: Machine, s: int) -> int:
    """__kmem_cache_shrink."""
    if memcg_cache_dead(m, s):
        write_once(m, s + CACHE.min_partial, 0)
    return shrink_unpatched(m, s)


@replaces(flush_cpu_slab, MY_P7)
def flush_and_disable(m: Machine, s: int) -> None:
    """flush_cpu_slab: on each CPU that shrinking interrupts."""
    flush_unpatched(m, s)
    if memcg_cache_dead(m, s):
        write_once(m, cpu_slab(m, s) + KMEM_CACHE_CPU.partial, DISABLED)


@replaces(unfreeze_partials, MY_P7)
def unfreeze_enabled(m: Machine, s: int) -> None:
    """unfreeze_partials: the mark is no slab."""
    if read_once(m, cpu_slab(m, s) + KMEM_CACHE_CPU.partial) == DISABLED:
        return
    unfreeze_unpatched(m, s)


@replaces(put_cpu_partial, MY_P7)
def put_if_enabled(m: Machine, s: int, page: int, drain: bool) -> None:
    """put_cpu_partial."""
    while True:
        a = cpu_slab(m, s) + KMEM_CACHE_CPU.partial
        old = read_once(m, a)
        if old == DISABLED:  # patch
            unfreeze_one(m, s, page)  # patch
            return  # patch
        below = 0
        if old:
            below = load(m, old + PAGE.prev)
            if drain and (below & POBJECTS_MASK) > load(m, s + CACHE.cpu_partial):
                flags = local_irq_save(m)
                unfreeze_partials(m, s)
                local_irq_restore(m, flags)
                old = 0
                below = 0
                stat(m, s, STAT.cpu_partial_drain)
        stack(m, page, old, below)
        if cas_this_cpu(m, a, old, page):
            return


@replaces(slab_alloc_slow, MY_P7)
def alloc_from_live(m: Machine, s: int, node: int) -> int:
    """__slab_alloc: nobody allocates from a dead cache, so it must not meet the mark."""
    count(m, OPS.slow)
    flags = local_irq_save(m)
    c = cpu_slab(m, s)
    obj = 0
    while True:
        page = load(m, c + KMEM_CACHE_CPU.page)
        pair = load(m, c + KMEM_CACHE_CPU.pair)
        if page:
            if node != NO_NODE and load(m, page + PAGE.node) != node:
                stat(m, s, STAT.alloc_node_mismatch)
                deactivate_slab(m, s, page, freelist_of(pair))
                write_once(m, c + KMEM_CACHE_CPU.page, 0)
                write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(0, pair))
            else:
                obj = freelist_of(pair)
                if obj == 0:
                    obj = get_freelist(m, s, page)
                    if obj:
                        stat(m, s, STAT.alloc_refill)
                if obj:
                    break
                write_once(m, c + KMEM_CACHE_CPU.page, 0)
                stat(m, s, STAT.deactivate_bypass)
        partial = load(m, c + KMEM_CACHE_CPU.partial)
        if partial == DISABLED:  # patch
            bug(m, BUG_ALLOC_FROM_DEAD, s)  # patch
            partial = 0  # patch
        if partial:
            write_once(m, c + KMEM_CACHE_CPU.page, partial)
            write_once(m, c + KMEM_CACHE_CPU.partial, load(m, partial + PAGE.next))
            stat(m, s, STAT.cpu_partial_alloc)
            write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(0, pair))
            continue
        obj = get_partial(m, s, node)
        if obj == 0:
            obj = new_slab_objects(m, s, node)
            c = cpu_slab(m, s)
        if obj == 0:
            local_irq_restore(m, flags)
            return 0
        break
    pair = load(m, c + KMEM_CACHE_CPU.pair)
    write_once(m, c + KMEM_CACHE_CPU.pair, cpu_pair(load(m, obj + load(m, s + CACHE.offset)), next_tid(pair)))
    local_irq_restore(m, flags)
    return obj
