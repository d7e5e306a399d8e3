"""The engine: compiled loops that play tapes on a machine and run its kworker.

Knows the tapes' format and the allocators' front door, nothing else. Words of a play, all in the
segment (regions of `stress.arena`):

    RUN     one struct: barriers, the schedule's progress, the end of the block
    PLAY    one per CPU: where its tape is, its round, its sums of timed sections
    EVENT   the schedule, read only

Who may write: a PLAY by its CPU (the kworker reads `round`); `RUN.ready`, `RUN.done` atomically by
the CPUs; `events_done` and `over` by the kworker; `stop` of the machine by the coordinator.

A slot holds 0 (empty), an object, or SLOT_FAILED for an allocation that found no memory: its free is
then skipped, so a tape plays to its end whatever memory there is.
"""

from __future__ import annotations

from allocators.kmem_cache import CACHE, NODE
from allocators.memcg_caches import create_memcg, destroy_root, register_child, run_deferred_work, unregister_child
from allocators.offline import offline_child, offline_memcg
from allocators.slab.reap import reaper_due, run_reapers, serve_reaper, wake_reapers
from allocators.slab_common import kmem_cache_alloc, kmem_cache_free, kmem_cache_shrink
from allocators.world import OPS, OPS_AT, WORLD, WORLD_AT, kernel_ns, world
from scenarios.tape import (
    EV_CREATE_CACHE,
    EV_CREATE_CGROUP,
    EV_DESTROY_CACHE,
    EV_MARK,
    EV_OFFLINE_CACHE,
    EV_OFFLINE_CGROUP,
    EV_SHRINK_CACHE,
    OP_ALLOC,
    OP_END,
    OP_FREE,
    OP_ROUND,
    OP_SECTION_BEGIN,
    OP_SECTION_END,
    OP_WAIT,
    SECTIONS,
)
from shm.atomics import (
    cpu_area,
    cpu_relax,
    cycles,
    fetch_add,
    load,
    load_acquire,
    on_cpu,
    os_sleep,
    read_once,
    store,
    store_release,
    this_cpu,
    write_once,
)
from shm.compiler import dual, dual_inline, dual_slow, entry
from shm.ipi import PATIENCE
from shm.layout import struct
from shm.locks import LIST_LOCK, LOCK_COUNT, LOCK_COUNTS, MEMCG_SLAB_MUTEX, mutex_lock, mutex_unlock
from shm.machine import MACHINE
from shm.rcu import quiescent_point, synchronize_sched
from shm.ring import ring_count

RUN = struct(
    "RUN",
    "ready",  # CPUs that stand at the start line
    "expected",
    ("pad0", 6),
    "events_done",
    "events",
    "over",  # 1: tapes, schedule and deferred work are done
    ("pad1", 5),
    "done",  # CPUs whose tape has ended
    "plays",  # PLAY[workers]
    "schedule",  # EVENT[events]
    "slots",
    "marks",  # slabs per cache index at each EV_MARK
    "cache_indices",
    "outcomes",  # one word per tape operation in global order, 0 = not wanted: 1 fast, 2 slow
    "seed",
    "step_ns",  # serial play: kernel time that passes with each operation
    "settle_ns",  # SLAB: kernel time after the last tape's end for dead caches to die in
    "settled_at",  # when that time is over, 0 as long as tapes are played. Kworker only.
    size=64,
)

SECTION = struct(
    "SECTION",
    "operations",
    "cycles",
    "sections",
    "list_lock",
    "list_lock_contended",
    "page_cas",
    "page_cas_failed",
    "began",
    "b_list_lock",
    "b_contended",
    "b_page_cas",
    "b_page_cas_failed",
    size=16,
)

PLAY = struct(
    "PLAY",
    "round",
    ("pad0", 7),
    "tape",  # next operation
    "operations",
    "failed",
    "skipped",  # operations on caches that are gone
    ("pad1", 4),
    ("section", SECTION.SIZE * len(SECTIONS)),
    size=128,
)

EVENT = struct("EVENT", "kind", "arg", "round", "extra", "cpu", size=8)

SLOT_FAILED = -1
FAST, SLOW = 1, 2
PLAYING, FINISHED, STUCK = 0, 1, 2


@dual_inline
def execute(m, p: int, run: int, op: int) -> bool:
    """Carry one tape operation out; False when it must wait for another CPU or an event."""
    code = op & 15
    if code == OP_FREE:
        slot = load(m, run + RUN.slots) + (op >> 36)
        obj = load_acquire(m, slot)
        if obj == 0:
            return False
        store_release(m, slot, 0)
        if obj != SLOT_FAILED:
            kmem_cache_free(m, obj)
    elif code == OP_ALLOC:
        slot = load(m, run + RUN.slots) + (op >> 36)
        if load_acquire(m, slot) != 0:
            return False
        root = load(m, world(m, WORLD.cache_table) + (op >> 4 & 4095))
        cgroup = op >> 16 & 1048575
        memcg = 0
        if cgroup:
            memcg = load_acquire(m, world(m, WORLD.cgroup_table) + cgroup)
        obj = 0
        if root:
            obj = kmem_cache_alloc(m, root, memcg)
        else:
            store(m, p + PLAY.skipped, load(m, p + PLAY.skipped) + 1)
        if obj == 0:
            store(m, p + PLAY.failed, load(m, p + PLAY.failed) + 1)
            obj = SLOT_FAILED
        store_release(m, slot, obj)
    else:
        return _execute_rare(m, p, run, op, code)
    return True


@dual_slow
def _execute_rare(m, p: int, run: int, op: int, code: int) -> bool:
    if code == OP_SECTION_BEGIN:
        _section_begin(m, p + PLAY.section + (op >> 4 & 4095) * SECTION.SIZE)
    elif code == OP_SECTION_END:
        _section_end(m, p + PLAY.section + (op >> 4 & 4095) * SECTION.SIZE, op >> 36)
    elif code == OP_ROUND:
        store_release(m, p + PLAY.round, op >> 36)
    elif code == OP_WAIT:
        return load_acquire(m, run + RUN.events_done) >= op >> 36
    return True


@dual
def _section_begin(m, a: int) -> None:
    if m.has("STATS"):
        lock = cpu_area(m) + LOCK_COUNTS + LIST_LOCK * LOCK_COUNT.SIZE
        store(m, a + SECTION.b_list_lock, load(m, lock + LOCK_COUNT.acquired))
        store(m, a + SECTION.b_contended, load(m, lock + LOCK_COUNT.contended))
        store(m, a + SECTION.b_page_cas, load(m, cpu_area(m) + OPS_AT + OPS.page_cas))
        store(m, a + SECTION.b_page_cas_failed, load(m, cpu_area(m) + OPS_AT + OPS.page_cas_failed))
    store(m, a + SECTION.began, cycles(m))


@dual
def _add(m, a: int, delta: int) -> None:
    store(m, a, load(m, a) + delta)


@dual
def _section_end(m, a: int, operations: int) -> None:
    now = cycles(m)
    _add(m, a + SECTION.cycles, now - load(m, a + SECTION.began))
    _add(m, a + SECTION.operations, operations)
    _add(m, a + SECTION.sections, 1)
    if m.has("STATS"):
        lock = cpu_area(m) + LOCK_COUNTS + LIST_LOCK * LOCK_COUNT.SIZE
        _add(m, a + SECTION.list_lock, load(m, lock + LOCK_COUNT.acquired) - load(m, a + SECTION.b_list_lock))
        _add(m, a + SECTION.list_lock_contended, load(m, lock + LOCK_COUNT.contended) - load(m, a + SECTION.b_contended))
        _add(m, a + SECTION.page_cas, load(m, cpu_area(m) + OPS_AT + OPS.page_cas) - load(m, a + SECTION.b_page_cas))
        _add(m, a + SECTION.page_cas_failed, load(m, cpu_area(m) + OPS_AT + OPS.page_cas_failed) - load(m, a + SECTION.b_page_cas_failed))


@dual
def _pause(m, turns: int) -> None:
    """One turn of a wait with interrupts on: spin, then sleep.

    No yielding: the operating system counts that as an involuntary switch, by which blocks are graded.
    """
    if turns < 4 * PATIENCE:
        cpu_relax(m)
    else:
        os_sleep(m, 50)


@dual
def _start_line(m, run: int) -> None:
    fetch_add(m, run + RUN.ready, 1)
    turns = 0
    while load_acquire(m, run + RUN.ready) < load(m, run + RUN.expected) and read_once(m, MACHINE.stop) == 0:
        turns += 1
        _pause(m, turns)


@dual
def _bound_work(m) -> None:
    """Between two operations: the periodic work of this CPU, when it is due."""
    if m.has("SLAB"):
        serve_reaper(m)


@dual
def _timers(m) -> None:
    """The kworker's look at the clock: whose periodic work is due?"""
    if m.has("SLAB"):
        wake_reapers(m)


@entry
def cpu_main(m, run):
    """A worker's block: start together, play the tape, then idle as a CPU until the block is over.

    Returns the number of operations played.
    """
    p = load(m, run + RUN.plays) + this_cpu(m) * PLAY.SIZE
    at = load(m, p + PLAY.tape)
    first = at
    _start_line(m, run)
    turns = 0
    while True:
        quiescent_point(m)
        _bound_work(m)
        op = load(m, at)
        if execute(m, p, run, op):
            at += 1
            turns = 0
            if op & 15 == OP_END:
                break
        else:
            turns += 1
            _pause(m, turns)
            if read_once(m, MACHINE.stop):
                break
    store(m, p + PLAY.operations, at - first)
    fetch_add(m, run + RUN.done, 1)
    turns = 0
    while load_acquire(m, run + RUN.over) == 0 and read_once(m, MACHINE.stop) == 0:
        quiescent_point(m)
        _bound_work(m)
        turns += 1
        _pause(m, turns)
    return at - first


@dual
def _reached(m, run: int) -> int:
    """The round every CPU has reached."""
    plays = load(m, run + RUN.plays)
    least = load_acquire(m, plays + PLAY.round)
    for cpu in range(1, load(m, MACHINE.workers)):
        r = load_acquire(m, plays + cpu * PLAY.SIZE + PLAY.round)
        if r < least:
            least = r
    return least


@dual
def _census(m, run: int, mark: int) -> None:
    """EV_MARK: slabs per cache index; children that the model made itself count for their root."""
    a = load(m, run + RUN.marks) + mark * load(m, run + RUN.cache_indices)
    s = load(m, WORLD_AT + WORLD.slab_caches)
    while s:
        index = load(m, s + CACHE.index)
        if index < 0:
            index = load(m, load(m, s + CACHE.root) + CACHE.index)
        for node in range(world(m, WORLD.nr_nodes)):
            if index >= 0:
                _add(m, a + index, read_once(m, load(m, s + CACHE.node) + node * NODE.SIZE + NODE.nr_slabs))
        s = load(m, s + CACHE.next)


@dual
def _run_event(m, run: int, e: int) -> None:
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
        memcg = load(m, world(m, WORLD.cgroup_table) + (load(m, e + EVENT.extra) & 1048575))
        root = load(m, table + (load(m, e + EVENT.extra) >> 20))
        if memcg and root:
            mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
            child = register_child(m, root, memcg)
            if child:
                store(m, child + CACHE.index, arg)
                store_release(m, table + arg, child)
            mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
    elif load(m, table + arg):
        s = load(m, table + arg)
        if kind == EV_SHRINK_CACHE:
            kmem_cache_shrink(m, s)
        elif kind == EV_OFFLINE_CACHE:
            mutex_lock(m, WORLD_AT + WORLD.memcg_slab_mutex, MEMCG_SLAB_MUTEX)
            if offline_child(m, s):
                if m.has("F_RCU"):
                    synchronize_sched(m)
                unregister_child(m, s)
            mutex_unlock(m, WORLD_AT + WORLD.memcg_slab_mutex)
        elif kind == EV_DESTROY_CACHE:
            destroy_root(m, s)


@dual
def kworker_turn(m, run: int) -> bool:
    """One turn of the kworker: the next event if it is due (after the work queued before it), or one
    piece of deferred work; False when there is nothing to do now."""
    done = load(m, run + RUN.events_done)
    if done < load(m, run + RUN.events):
        e = load(m, run + RUN.schedule) + done * EVENT.SIZE
        if _reached(m, run) >= load(m, e + EVENT.round):
            for _ in range(ring_count(m, world(m, WORLD.workqueue)) + 1):
                if not run_deferred_work(m):
                    break
            cpu = load(m, e + EVENT.cpu)
            if cpu >= 0 and load(m, MACHINE.serial):
                _run_event(on_cpu(m, cpu), run, e)
            else:
                _run_event(m, run, e)
            store_release(m, run + RUN.events_done, done + 1)
            return True
    return run_deferred_work(m)


@dual
def _settling(m, run: int) -> bool:
    """SLAB, when all tapes have ended: may the reaper still find dead caches, and is there time left?"""
    if m.has("SLAB"):
        if load(m, WORLD_AT + WORLD.offlined) == load(m, WORLD_AT + WORLD.destroyed):
            return False
        if load(m, run + RUN.settled_at) == 0:
            store(m, run + RUN.settled_at, kernel_ns(m) + load(m, run + RUN.settle_ns))
        return kernel_ns(m) < load(m, run + RUN.settled_at)
    return False


@entry
def kworker_main(m, run):
    """The kworker's block: events and deferred work until all is done; then ends the block for all.

    Returns the number of events that were run.
    """
    write_once(m, WORLD_AT + WORLD.clock_origin, cycles(m))
    _start_line(m, run)
    turns = 0
    while read_once(m, MACHINE.stop) == 0:
        quiescent_point(m)
        _timers(m)
        ended = load_acquire(m, run + RUN.done) == load(m, MACHINE.workers)
        if kworker_turn(m, run):
            turns = 0
        elif ended and load(m, run + RUN.events_done) == load(m, run + RUN.events) and not _settling(m, run):
            break
        else:
            turns += 1
            os_sleep(m, 20)
    write_once(m, run + RUN.over, 1)
    return load(m, run + RUN.events_done)


@dual
def _random(m, run: int) -> int:
    """xorshift64*, seeded from RUN.seed; 31 bits."""
    x = load(m, run + RUN.seed)
    x ^= (x << 13) & 0x7FFFFFFFFFFFFFFF
    x ^= x >> 7
    x ^= (x << 17) & 0x7FFFFFFFFFFFFFFF
    store(m, run + RUN.seed, x)
    return x >> 20 & 0x7FFFFFFF


@dual
def _step(m, run: int, cpu: int) -> bool:
    """One operation of one CPU in serial play; False when it waits or its tape has ended."""
    p = load(m, run + RUN.plays) + cpu * PLAY.SIZE
    at = load(m, p + PLAY.tape)
    op = load(m, at)
    if op & 15 == OP_END:
        return False
    if not execute(on_cpu(m, cpu), p, run, op):
        return False
    store(m, p + PLAY.tape, at + 1)
    store(m, p + PLAY.operations, load(m, p + PLAY.operations) + 1)
    _pass_time(m, load(m, WORLD_AT + WORLD.now) + load(m, run + RUN.step_ns))
    return True


@dual
def _pass_time(m, now: int) -> None:
    """Serial play: it is `now` in the kernel; what is due by then runs."""
    store(m, WORLD_AT + WORLD.now, now)
    if m.has("SLAB"):
        if now >= load(m, WORLD_AT + WORLD.reaper_due):
            run_reapers(m)


@dual
def _settle(m, run: int) -> bool:
    """Serial play, when all tapes have ended: jump to the reaper's next pass; False when it is time to end."""
    if m.has("SLAB"):
        if _settling(m, run):
            due = reaper_due(m)
            end = load(m, run + RUN.settled_at)
            _pass_time(m, due if due < end else end)
            return True
    return False


@dual
def _slow_count(m, cpu: int) -> int:
    return load(m, cpu_area(on_cpu(m, cpu)) + OPS_AT + OPS.slow)


@entry
def serial_ordered(m, run, order, steps, first):
    """Play exactly `steps` operations in the global order given as CPU numbers from word `order`.

    m is the kworker's machine; deferred work runs as soon as it is queued. With RUN.outcomes set, a
    word per operation is written, from word `first` on: FAST or SLOW (feature STATS). When the tapes
    have ended, SLAB's reaper settles the world.
    Returns -1 when all were played, else the index of the operation that could not be.
    """
    outcomes = load(m, run + RUN.outcomes)
    while kworker_turn(m, run):
        pass
    for i in range(steps):
        cpu = load(m, order + i)
        before = _slow_count(m, cpu)
        if not _step(m, run, cpu):
            return i
        if outcomes:
            store(m, outcomes + first + i, FAST if _slow_count(m, cpu) == before else SLOW)
        while kworker_turn(m, run):
            pass
    if _all_ended(m, run):
        while _settle(m, run):
            while kworker_turn(m, run):
                pass
    return -1


@entry
def serial_seeded(m, run, bursts):
    """Step all CPUs in a seeded random order; returns PLAYING after `bursts` bursts, or how it ended.

    m is the kworker's machine. A CPU plays a burst of 1 to 16 operations, the kworker gets its turn
    between bursts with a chance of one half. FINISHED: every tape has ended and all work is done;
    STUCK: nothing can move any more.
    """
    cpus = load(m, MACHINE.workers)
    for _ in range(bursts):
        x = _random(m, run)
        cpu = x % cpus
        moved = False
        for _ in range((x >> 8 & 15) + 1):
            if not _step(m, run, cpu):
                break
            moved = True
        if x >> 16 & 1 and kworker_turn(m, run):
            moved = True
        if not moved:
            for other in range(cpus):
                if _step(m, run, other):
                    moved = True
            while kworker_turn(m, run):
                moved = True
            if not moved:
                if not _all_ended(m, run):
                    return STUCK
                if not _settle(m, run):
                    return FINISHED
    return PLAYING


@dual
def _all_ended(m, run: int) -> bool:
    plays = load(m, run + RUN.plays)
    for cpu in range(load(m, MACHINE.workers)):
        if load(m, load(m, plays + cpu * PLAY.SIZE + PLAY.tape)) & 15 != OP_END:
            return False
    return load(m, run + RUN.events_done) == load(m, run + RUN.events)
