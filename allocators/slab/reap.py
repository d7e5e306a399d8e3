"""SLAB's periodic work: `cache_reap`, every 2 s of kernel time on every CPU (v3.16, P8, P8v3).

A CPU runs it as work bound to itself, between two operations, interrupts on. Who finds it due: in
parallel play the kworker, which looks at the clock and sets SERVICE_WORK in the CPU's service word;
in serial play the engine whenever it lets time pass. The work is deferrable: an idle CPU runs it late, when
something else wakes it. Serial play keeps to that where a tape says that CPUs are idle (`OP_SLEEP`); elsewhere
all timers are on time.

A pass tries slab_mutex and gives up if it is taken. For every cache, on this CPU's node:

1. the alien array of *one* other node goes home; which one, changes from pass to pass;
2. this CPU's array gives back a fifth of its limit, unless it was used since the last pass;
3. if the node was not scanned by another CPU within 4 s: the same for the shared array, and a fifth
   of free_limit in free slabs, unless all free slabs were in use since the last scan.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE
from allocators.core.world import REAPER, REAPER_AT, WORLD, WORLD_AT, kernel_ns, node_of_cpu, world
from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slab.drain import drain_array, drain_freelist, slabs_of_free_objects
from allocators.slab.free import drain_alien_cache
from allocators.slab.setup import REAPTIMEOUT_NODE
from allocators.slab.state import ARRAY_CACHE, SLAB_NODE, SLAB_STAT, alien_array, cpu_array, slab_node, slab_stat
from shm.atomics import (
    area_of,
    book,
    cpu_area,
    cycles,
    fetch_and,
    fetch_or,
    load,
    local_irq_restore,
    local_irq_save,
    on_cpu,
    read_book,
    read_once,
    store,
    this_cpu,
    write_book,
    write_once,
)
from shm.compiler import dual, dual_slow
from shm.ipi import SERVICE_WORK, serve_ipis
from shm.locks import ALIEN_LOCK, SLAB_MUTEX, mutex_unlock, spin_trylock, spin_unlock
from shm.machine import CPU, MACHINE, Machine

SECOND = 1_000_000_000
REAPTIMEOUT_AC = 2 * SECOND
SKEW = 12_000_000  # three jiffies a CPU, so that not all CPUs run at once


@dual
def round_jiffies(cpu: int, at: int) -> int:
    """A time rounded to a whole second, up from its second quarter on, less the CPU's skew."""
    at += cpu * SKEW
    rest = at % SECOND
    at -= rest
    if rest >= SECOND // 4:
        at += SECOND
    return at - cpu * SKEW


@dual
def start_reapers(m: Machine) -> None:
    """Every worker CPU's first pass is due after about a second (start_cpu_timer)."""
    nodes = world(m, WORLD.nr_nodes)
    for cpu in range(load(m, MACHINE.workers)):
        a = area_of(m, cpu) + REAPER_AT
        store(m, a + REAPER.due, round_jiffies(cpu, SECOND))
        store(m, a + REAPER.node, (node_of_cpu(m, cpu) + 1) % nodes)


@dual
def cache_reap(m: Machine) -> None:
    """One pass on this CPU, and the next one planned."""
    a = cpu_area(m) + REAPER_AT
    if spin_trylock(m, WORLD_AT + WORLD.slab_mutex, SLAB_MUTEX):
        began = cycles(m)
        s = load(m, WORLD_AT + WORLD.slab_caches)
        while s:
            serve_ipis(m)
            if m.has("P8v3"):
                if not memcg_cache_dead(m, s):
                    reap_one(m, s)
            else:
                reap_one(m, s)
            s = load(m, s + CACHE.next)
        mutex_unlock(m, WORLD_AT + WORLD.slab_mutex)
        store(m, a + REAPER.node, (load(m, a + REAPER.node) + 1) % world(m, WORLD.nr_nodes))
        store(m, a + REAPER.passes, load(m, a + REAPER.passes) + 1)
        if m.has("STATS"):
            took = cycles(m) - began
            book(m, a + REAPER.cycles, took)
            if took > read_book(m, a + REAPER.longest):
                write_book(m, a + REAPER.longest, took)
    else:
        store(m, a + REAPER.skipped, load(m, a + REAPER.skipped) + 1)
    write_once(m, a + REAPER.due, round_jiffies(this_cpu(m), kernel_ns(m) + REAPTIMEOUT_AC))


@dual
def reap_one(m: Machine, s: int) -> None:
    """What a pass does to one cache on this CPU's node."""
    node = node_of_cpu(m, this_cpu(m))
    n = slab_node(m, s, node)
    dead = False
    if m.has("P8"):
        dead = memcg_cache_dead(m, s)
    reap_alien(m, s, node, n)
    drain_array(m, s, n, cpu_array(m, s), dead)
    # Racy: it does no harm if a scan is skipped or done twice.
    now = kernel_ns(m)
    if read_once(m, n + SLAB_NODE.next_reap) > now:
        return
    write_once(m, n + SLAB_NODE.next_reap, now + REAPTIMEOUT_NODE)
    drain_array(m, s, n, load(m, n + SLAB_NODE.shared), dead)
    if read_once(m, n + SLAB_NODE.free_touched):
        write_once(m, n + SLAB_NODE.free_touched, 0)
        return
    fifth = 5 * load(m, s + CACHE.oo_objects)
    most = (read_once(m, n + SLAB_NODE.free_limit) + fifth - 1) // fifth
    if dead:
        most = slabs_of_free_objects(m, s, n)
    slab_stat(m, s, SLAB_STAT.reaped, drain_freelist(m, s, n, most))


@dual
def reap_alien(m: Machine, s: int, node: int, n: int) -> None:
    """Send the alien array for the node whose turn it is home, unless somebody holds its lock."""
    home = load(m, cpu_area(m) + REAPER_AT + REAPER.node)
    if home == node:
        return
    alien = alien_array(m, n, home)
    if alien and read_once(m, alien + ARRAY_CACHE.avail):
        flags = local_irq_save(m)
        if spin_trylock(m, alien + ARRAY_CACHE.lock, ALIEN_LOCK):
            drain_alien_cache(m, s, alien, home)
            spin_unlock(m, alien + ARRAY_CACHE.lock)
        local_irq_restore(m, flags)


@dual_slow
def _serve(m: Machine) -> None:
    cache_reap(m)
    # Only now: the next pass is planned, so the kworker does not ask for this one again.
    fetch_and(m, cpu_area(m) + CPU.service, ~SERVICE_WORK)


@dual
def serve_reaper(m: Machine) -> None:
    """Between two operations: run the pass that is due, if one is."""
    if read_once(m, cpu_area(m) + CPU.service) & SERVICE_WORK:
        _serve(m)


@dual
def wake_reapers(m: Machine) -> None:
    """The kworker's part in parallel play: tell the CPUs whose pass is due."""
    now = kernel_ns(m)
    for cpu in range(load(m, MACHINE.workers)):
        a = area_of(m, cpu)
        if read_once(m, a + REAPER_AT + REAPER.due) <= now and read_once(m, a + CPU.service) & SERVICE_WORK == 0:
            fetch_or(m, a + CPU.service, SERVICE_WORK)


@dual
def next_reaper(m: Machine) -> int:
    """The CPU whose pass is due first."""
    first = 0
    for cpu in range(1, load(m, MACHINE.workers)):
        if load(m, area_of(m, cpu) + REAPER_AT + REAPER.due) < load(m, area_of(m, first) + REAPER_AT + REAPER.due):
            first = cpu
    return first


@dual
def reaper_due(m: Machine) -> int:
    """Kernel time of the next pass on any CPU."""
    return load(m, area_of(m, next_reaper(m)) + REAPER_AT + REAPER.due)


@dual
def run_reapers(m: Machine) -> None:
    """Serial play: every pass that is due by now, in the order of time; an idle CPU runs none (deferrable work)."""
    awake = load(m, WORLD_AT + WORLD.awake)
    if awake:
        own = area_of(m, awake - 1) + REAPER_AT + REAPER.due
        while load(m, own) <= kernel_ns(m):
            cache_reap(on_cpu(m, awake - 1))
        store(m, WORLD_AT + WORLD.reaper_due, load(m, own))
        return
    while reaper_due(m) <= kernel_ns(m):
        cache_reap(on_cpu(m, next_reaper(m)))
    store(m, WORLD_AT + WORLD.reaper_due, reaper_due(m))
