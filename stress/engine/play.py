"""A CPU plays its tape: one operation after another, then idles until the block is over."""

from __future__ import annotations

from allocators.caches.kfree_rcu import kfree_rcu
from allocators.caches.nolock import free_nolock
from allocators.caches.slab_common import kmem_cache_alloc, kmem_cache_alloc_gfp, kmem_cache_free
from allocators.core.world import OPS, OPS_AT, WORLD, world
from scenarios.tape import (
    OP_ALLOC,
    OP_CUT,
    OP_FREE,
    OP_KFREE_RCU,
    OP_ROUND,
    OP_SECTION_BEGIN,
    OP_SECTION_END,
    OP_WAIT,
)
from shm.atomics import (
    call_bound_work,
    call_free_lock,
    cpu_area,
    cpu_relax,
    cycles,
    fetch_add,
    load,
    load_acquire,
    read_once,
    smp_mb,
    store,
    store_release,
    this_cpu,
    thread_load,
    thread_store,
)
from shm.compiler import dual, dual_inline, dual_slow
from shm.entry import entry
from shm.idle import ask, idle
from shm.ipi import SERVICE_BELL
from shm.locks import LOCK_COUNT, LOCK_COUNTS
from shm.machine import MACHINE, Machine
from shm.rcu import quiescent_point
from shm.virtual.words import ALLOC, FREE, begin_call_of, end_call_of
from shm.waiting import PATIENCE, pause
from stress.engine.latency import begin_operation, end_alloc, end_free, maker_of, measure_clock
from stress.engine.notes import OF_SECTION, note, noted, time_of
from stress.engine.words import PLAY, RUN, SECTION, SLOT_FAILED, TURN, a_of, b_of, c_of, may_block, may_spin, opcode

LONGEST_IDLE = 1000  # microseconds that a CPU sleeps at a turn's end without looking around: the run may be to stop


@dual_inline
def execute(m: Machine, p: int, run: int, op: int) -> bool:
    """Carry one tape operation out; False when it must wait for another CPU or an event."""
    code = opcode(op)
    if code == OP_FREE:
        slot = load(m, run + RUN.slots) + c_of(op)
        obj = load_acquire(m, slot)
        if obj == 0:
            return False
        if m.has("STATS"):
            maker = maker_of(m, run, c_of(op))
        store_release(m, slot, 0)
        if obj != SLOT_FAILED:
            if m.has("STATS"):
                begin_operation(m, run)
            if m.has("SPIN"):
                slow_down(m, p, run)
            where = 0
            if m.has("VTIME"):
                where = begin_call_of(m, FREE)
            if m.has("F_NOLOCK") and not may_spin(op):
                free_nolock(m, obj)
            else:
                kmem_cache_free(m, obj)
            if m.has("VTIME"):
                end_call_of(m, FREE, where)
            if m.has("STATS"):
                end_free(m, run, maker, op)
    elif code == OP_ALLOC:
        slot = load(m, run + RUN.slots) + c_of(op)
        if load_acquire(m, slot) != 0:
            return False
        root = load(m, world(m, WORLD.cache_table) + a_of(op))
        cgroup = b_of(op)
        memcg = 0
        if cgroup:
            memcg = load_acquire(m, world(m, WORLD.cgroup_table) + cgroup)
        obj = 0
        if root:
            if m.has("STATS"):
                begin_operation(m, run)
            where = 0
            if m.has("VTIME"):
                where = begin_call_of(m, ALLOC)
            if m.has("F_GATE"):
                obj = kmem_cache_alloc_gfp(m, root, memcg, may_block(op))
            else:
                obj = kmem_cache_alloc(m, root, memcg)
            if m.has("VTIME"):
                end_call_of(m, ALLOC, where)
            if m.has("STATS"):
                end_alloc(m, run, op)
        else:
            store(m, p + PLAY.skipped, load(m, p + PLAY.skipped) + 1)
        if obj == 0:
            store(m, p + PLAY.failed, load(m, p + PLAY.failed) + 1)
            obj = SLOT_FAILED
        store_release(m, slot, obj)
    else:
        return _execute_rare(m, p, run, op, code)
    return True


@dual_inline
def slow_down(m: Machine, p: int, run: int) -> None:
    """SPIN: make frees slower by a known time (`python -m stress calibrate`), in sections of some kinds.

    A percent of a free is less than a look at the clock takes, so few frees spin for long, not all for a moment.
    All are counted, whether any is to spin or not: programs with SPIN differ in the spinning alone.
    """
    due = load(m, p + PLAY.spin_due) - load(m, p + PLAY.spinning)
    store(m, p + PLAY.spin_due, due)
    if due <= 0:
        _spin(m, p, run)


@dual_slow
def _spin(m: Machine, p: int, run: int) -> None:
    began = cycles(m)
    now = began
    while now - began < load(m, run + RUN.spin_cycles):
        now = cycles(m)
    store(m, p + PLAY.spin_due, load(m, run + RUN.spin_every))
    store(m, p + PLAY.spins, load(m, p + PLAY.spins) + 1)
    # One that was interrupted is in a section that does not count.
    store(m, p + PLAY.spun, load(m, p + PLAY.spun) + min(now - began, 2 * load(m, run + RUN.spin_cycles)))


@dual_slow
def _execute_rare(m: Machine, p: int, run: int, op: int, code: int) -> bool:
    if code == OP_SECTION_BEGIN:
        if m.has("SPIN"):
            store(m, p + PLAY.spinning, load(m, run + RUN.spin_kinds) >> a_of(op) & 1)
        _section_begin(m, p, run, p + PLAY.section + a_of(op) * SECTION.SIZE)
    elif code == OP_SECTION_END:
        _section_end(m, p, run, op)
        if m.has("SPIN"):
            store(m, p + PLAY.spinning, 0)
    elif code == OP_KFREE_RCU:
        return _kfree_rcu(m, run, op)
    elif code == OP_ROUND:
        store_release(m, p + PLAY.round, c_of(op))
        if load(m, run + RUN.nap):
            smp_mb(m)  # of two that come to it at once one sees that it is the last
            if reached(m, run) >= c_of(op):
                ring_bell(m)
    elif code == OP_WAIT:
        return load_acquire(m, run + RUN.events_done) >= c_of(op)
    return True


@dual
def _kfree_rcu(m: Machine, run: int, op: int) -> bool:
    slot = load(m, run + RUN.slots) + c_of(op)
    obj = load_acquire(m, slot)
    if obj == 0:
        return False
    if m.has("STATS"):
        maker = maker_of(m, run, c_of(op))
    store_release(m, slot, 0)
    if obj != SLOT_FAILED:
        if m.has("STATS"):
            begin_operation(m, run)
        where = 0
        if m.has("VTIME"):
            where = begin_call_of(m, FREE)
        kfree_rcu(m, obj)
        if m.has("VTIME"):
            end_call_of(m, FREE, where)
        if m.has("STATS"):
            end_free(m, run, maker, op)
    return True


@dual
def ring_bell(m: Machine) -> None:
    """Call the kworker, where it does not look for work by itself (RUN.nap).

    The last CPU that comes to a round or to the end of a turn does: sooner there is nothing to do, and the kworker's
    look would take the CPU from one that has not come so far.
    """
    ask(m, load(m, MACHINE.workers), SERVICE_BELL)


@dual
def reached(m: Machine, run: int) -> int:
    """The round every CPU has reached."""
    plays = load(m, run + RUN.plays)
    least = load_acquire(m, plays + PLAY.round)
    for cpu in range(1, load(m, MACHINE.workers)):
        r = load_acquire(m, plays + cpu * PLAY.SIZE + PLAY.round)
        if r < least:
            least = r
    return least


@dual
def _lock_counts(m: Machine) -> int:
    """This CPU's counts of the lock that frees contend for."""
    return cpu_area(m) + LOCK_COUNTS + call_free_lock(m) * LOCK_COUNT.SIZE


@dual
def _section_begin(m: Machine, p: int, run: int, a: int) -> None:
    if m.has("STATS"):
        lock = _lock_counts(m)
        store(m, a + SECTION.b_list_lock, load(m, lock + LOCK_COUNT.acquired))
        store(m, a + SECTION.b_contended, load(m, lock + LOCK_COUNT.contended))
        store(m, a + SECTION.b_page_cas, load(m, cpu_area(m) + OPS_AT + OPS.page_cas))
        store(m, a + SECTION.b_page_cas_failed, load(m, cpu_area(m) + OPS_AT + OPS.page_cas_failed))
        if noted(m, run):
            store(m, a + SECTION.b_noted, time_of(m))
    watch = load(m, p + PLAY.watch)
    if watch:
        thread_store(m, watch, load(m, p + PLAY.descriptor))
    store(m, a + SECTION.began, cycles(m))


@dual
def add_to(m: Machine, a: int, delta: int) -> None:
    """Add to a word that only this CPU writes."""
    store(m, a, load(m, a) + delta)


@dual
def _section_end(m: Machine, p: int, run: int, op: int) -> None:
    a = p + PLAY.section + a_of(op) * SECTION.SIZE
    took = cycles(m) - load(m, a + SECTION.began)
    log = load(m, p + PLAY.log)
    if log:
        watch = load(m, p + PLAY.watch)
        stayed = thread_load(m, watch) if watch else 1
        store(m, log + load(m, p + PLAY.logged), took if stayed else -took)
        add_to(m, p + PLAY.logged, 1)
    add_to(m, a + SECTION.cycles, took)
    add_to(m, a + SECTION.operations, c_of(op))
    add_to(m, a + SECTION.sections, 1)
    if m.has("STATS"):
        lock = _lock_counts(m)
        add_to(m, a + SECTION.list_lock, load(m, lock + LOCK_COUNT.acquired) - load(m, a + SECTION.b_list_lock))
        add_to(
            m, a + SECTION.list_lock_contended, load(m, lock + LOCK_COUNT.contended) - load(m, a + SECTION.b_contended)
        )
        add_to(m, a + SECTION.page_cas, load(m, cpu_area(m) + OPS_AT + OPS.page_cas) - load(m, a + SECTION.b_page_cas))
        add_to(
            m,
            a + SECTION.page_cas_failed,
            load(m, cpu_area(m) + OPS_AT + OPS.page_cas_failed) - load(m, a + SECTION.b_page_cas_failed),
        )
        if noted(m, run):
            note(m, run, load(m, a + SECTION.b_noted), time_of(m), OF_SECTION + a_of(op), c_of(op))


@dual
def start_line(m: Machine, run: int, turn: int) -> None:
    """Wait until all CPUs stand at the start of a turn, the `turn`-th, and the kworker has been there, or the run is to
    stop."""
    fetch_add(m, run + RUN.ready, 1)
    turns = 0
    while load_acquire(m, run + RUN.ready) < turn * load(m, run + RUN.expected) and read_once(m, MACHINE.stop) == 0:
        turns += 1
        pause(m, turns)


@dual_inline
def ends_turn(code: int) -> bool:
    """Is this opcode OP_END or OP_CUT?"""
    return code & OP_CUT - 1 == 0


@entry
def cpu_main(m: Machine, run: int) -> int:
    """A worker's turn: start together, play the tape to its next cut or its end, then idle as a CPU until the turn is
    over.

    Nobody leaves a turn before all have done what they can in it, so none waits for an interrupt's answer or a grace
    period of a CPU that is gone to another world. Returns the number of operations played.
    """
    p = load(m, run + RUN.plays) + this_cpu(m) * PLAY.SIZE
    turn = load(m, p + PLAY.turns) + 1
    store(m, p + PLAY.turns, turn)
    at = load(m, p + PLAY.tape)
    first = at
    if m.has("STATS"):
        measure_clock(m, run)
    start_line(m, run, turn)
    times = load(m, p + PLAY.times)
    if times:
        store(m, times + (turn - 1) * TURN.SIZE + TURN.began, cycles(m))
    turns = 0
    while True:
        quiescent_point(m)
        call_bound_work(m)
        op = load(m, at)
        if execute(m, p, run, op):
            at += 1
            turns = 0
            if ends_turn(opcode(op)):
                break
        else:
            turns += 1
            pause(m, turns)
            if read_once(m, MACHINE.stop):
                break
    store(m, p + PLAY.tape, at)
    add_to(m, p + PLAY.operations, at - first)
    if times:
        store(m, times + (turn - 1) * TURN.SIZE + TURN.ended, cycles(m))
    if fetch_add(m, run + RUN.done, 1) + 1 == turn * load(m, MACHINE.workers) and load(m, run + RUN.nap):
        ring_bell(m)
    turns = 0
    while load_acquire(m, run + RUN.over) < turn and read_once(m, MACHINE.stop) == 0:
        quiescent_point(m)
        call_bound_work(m)
        turns += 1
        if turns < PATIENCE:
            cpu_relax(m)
        else:
            idle(m, LONGEST_IDLE)
            turns = 0  # who asked once will ask again
    return at - first
