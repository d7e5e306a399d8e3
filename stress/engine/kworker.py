"""The kworker: the schedule's events when they are due, deferred work, the end of the block."""

from __future__ import annotations

from allocators.caches.memcg_caches import create_memcg, destroy_root, register_child, run_deferred_work
from allocators.caches.offline import offline_memcg, offline_one
from allocators.caches.slab_common import kmem_cache_flush, kmem_cache_shrink
from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.world import WORLD, WORLD_AT, kernel_ns, world
from scenarios.tape import (
    EV_CREATE_CACHE,
    EV_CREATE_CGROUP,
    EV_DESTROY_CACHE,
    EV_FLUSH_CACHE,
    EV_MARK,
    EV_OFFLINE_CACHE,
    EV_OFFLINE_CGROUP,
    EV_SHRINK_CACHE,
)
from shm.atomics import (
    call_settling,
    call_timers,
    cycles,
    fetch_add,
    load,
    load_acquire,
    on_cpu,
    read_once,
    store,
    store_release,
    write_once,
)
from shm.compiler import dual
from shm.idle import ask, idle
from shm.ipi import SERVICE_BELL
from shm.locks import MEMCG_SLAB_MUTEX, mutex_lock, mutex_unlock
from shm.machine import MACHINE, Machine
from shm.rcu import quiescent_point
from shm.ring import ITEM, RING, ring_count
from shm.waiting import NAP
from stress.engine.curve import sample_when_due, take_sample
from stress.engine.notes import OF_EVENT, OF_WORK, note, noted, time_of
from stress.engine.play import add_to, reached
from stress.engine.words import EVENT, RUN

# Microseconds. The kworker often shares a real CPU with a worker, which each of its looks interrupts.
LONGEST_NAP = 200


@dual
def _census(m: Machine, run: int, mark: int) -> None:
    """EV_MARK: slabs per cache index; children that the model made itself count for their root."""
    a = load(m, run + RUN.marks) + mark * load(m, run + RUN.cache_indices)
    s = load(m, WORLD_AT + WORLD.slab_caches)
    while s:
        index = load(m, s + CACHE.index)
        if index < 0:
            index = load(m, load(m, s + CACHE.root) + CACHE.index)
        for node in range(world(m, WORLD.nr_nodes)):
            if index >= 0:
                add_to(m, a + index, read_once(m, load(m, s + CACHE.node) + node * NODE.SIZE + NODE.nr_slabs))
        s = load(m, s + CACHE.next)


@dual
def _run_event(m: Machine, run: int, e: int) -> None:
    kind = load(m, e + EVENT.kind)
    arg = load(m, e + EVENT.arg)
    table = world(m, WORLD.cache_table)
    if kind == EV_CREATE_CGROUP:
        create_memcg(m, arg)
    elif kind == EV_OFFLINE_CGROUP:
        memcg = load(m, world(m, WORLD.cgroup_table) + arg)
        if memcg:
            offline_memcg(m, memcg)
    elif kind == EV_MARK:
        _census(m, run, arg)
    elif kind == EV_CREATE_CACHE:
        memcg = load(m, world(m, WORLD.cgroup_table) + load(m, e + EVENT.cgroup))
        root = load(m, table + load(m, e + EVENT.parent))
        if memcg and root:
            mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
            child = register_child(m, root, memcg)
            if child and load(m, child + CACHE.index) < 0:
                store(m, child + CACHE.index, arg)
                store_release(m, table + arg, child)
            mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
    elif load(m, table + arg):
        s = load(m, table + arg)
        if kind == EV_SHRINK_CACHE:
            kmem_cache_shrink(m, s)
        elif kind == EV_FLUSH_CACHE:
            kmem_cache_flush(m, s)
        elif kind == EV_OFFLINE_CACHE:
            offline_one(m, s)
        elif kind == EV_DESTROY_CACHE:
            destroy_root(m, s)


@dual
def kworker_turn(m: Machine, run: int) -> bool:
    """One turn of the kworker: the next event if it is due (after the work queued before it), or one
    piece of deferred work; False when there is nothing to do now."""
    done = load(m, run + RUN.events_done)
    if done < load(m, run + RUN.events):
        e = load(m, run + RUN.schedule) + done * EVENT.SIZE
        if reached(m, run) >= load(m, e + EVENT.round):
            for _ in range(ring_count(m, world(m, WORLD.workqueue)) + 1):
                if not _deferred_work(m, run):
                    break
            cpu = load(m, e + EVENT.cpu)
            began = time_of(m)
            if cpu >= 0 and load(m, MACHINE.serial):
                _run_event(on_cpu(m, cpu), run, e)
            else:
                _run_event(m, run, e)
            if noted(m, run):
                note(m, run, began, time_of(m), OF_EVENT + load(m, e + EVENT.kind), load(m, e + EVENT.arg))
            store_release(m, run + RUN.events_done, done + 1)
            return True
    return _deferred_work(m, run)


@dual
def _deferred_work(m: Machine, run: int) -> bool:
    """A piece of it, noted if that is wanted; False when there is none."""
    if not noted(m, run):
        return run_deferred_work(m)
    # The first item stays where it is: nobody else takes items from the ring.
    queue = world(m, WORLD.workqueue)
    func = 0
    of = 0
    if ring_count(m, queue) > 0:
        item = queue + RING.SIZE + load(m, queue + RING.head) % load(m, queue + RING.capacity) * ITEM.SIZE
        func = load(m, item + ITEM.func)
        of = load(m, item + ITEM.a)
    began = time_of(m)
    done = run_deferred_work(m)
    if done:
        note(m, run, began, time_of(m), OF_WORK + func, of)
    return done


@dual
def settling(m: Machine, run: int) -> int:
    """All tapes have ended: kernel time when timers may next find dead caches, or when the time for that is over; 0
    if it is time to end."""
    due = call_settling(m)
    if due == 0:
        return 0
    now = kernel_ns(m)
    if load(m, run + RUN.settled_at) == 0:
        store(m, run + RUN.settled_at, now + load(m, run + RUN.settle_ns))
    end = load(m, run + RUN.settled_at)
    if now >= end:
        return 0
    return due if due < end else end


@dual
def _settled(m: Machine, run: int) -> bool:
    """All tapes have ended: has the schedule too, and have timers had their time?"""
    return load(m, run + RUN.events_done) == load(m, run + RUN.events) and settling(m, run) == 0


@dual
def run_kworker(m: Machine, run: int) -> int:
    """The kworker's turn: it sets the clock and lets the CPUs begin, runs events and deferred work until all CPUs have
    come to the turn's end and none is left, then ends it for all. In the last one timers may settle the world too.

    Kernel time stands still between turns. Returns the number of events that were run.
    """
    turn = load(m, run + RUN.turns) + 1
    store(m, run + RUN.turns, turn)
    last = turn > load(m, run + RUN.cuts)
    rested = cycles(m) - load(m, run + RUN.rested_at)  # the origin is 0 at boot, and so is the end of a turn before
    write_once(m, WORLD_AT + WORLD.clock_origin, load(m, WORLD_AT + WORLD.clock_origin) + rested)
    fetch_add(m, run + RUN.ready, 1)
    turns = 0
    while read_once(m, MACHINE.stop) == 0:
        quiescent_point(m)
        call_timers(m)
        ended = load_acquire(m, run + RUN.done) == turn * load(m, MACHINE.workers)
        sample_when_due(m, run)
        if kworker_turn(m, run):
            turns = 0
        elif ended and (not last or _settled(m, run)):
            break
        else:
            turns += 1
            nap = load(m, run + RUN.nap)
            idle(m, nap if nap else min(turns * NAP, LONGEST_NAP))
    if last:
        take_sample(m, run)
    store(m, run + RUN.rested_at, cycles(m))
    store_release(m, run + RUN.over, turn)
    for cpu in range(load(m, MACHINE.workers)):
        ask(m, cpu, SERVICE_BELL)
    return load(m, run + RUN.events_done)
