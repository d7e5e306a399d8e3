"""Virtual time: one process plays all CPUs, always the one whose clock is least, an operation at a time (VTIME).

CPUs that can go on lie in a heap by their clocks. One that waits (for a slot that another CPU fills or empties, or for
an event) leaves it, and comes back with the clock of whoever gave what it waited for. The kworker is one of them: it
wakes when work is queued, when a round that an event waits for is reached everywhere, or when the grace period that
callbacks wait for is over.

What keeps this going is the laboratory's and costs nothing; what a tape's operation does is priced, the tape included.
"""

from __future__ import annotations

from allocators.core.world import WORLD, WORLD_AT
from scenarios.tape import OP_ALLOC, OP_END, OP_FREE, OP_KFREE_RCU, OP_ROUND, OP_WAIT
from shm.atomics import call_settling, call_timers, load, on_cpu, read_book, write_book
from shm.compiler import dual, dual_slow
from shm.layout import struct
from shm.machine import MACHINE, Machine
from shm.ring import RING
from shm.virtual.heap import first_number, first_time, pop, postpone, push
from shm.virtual.tags import forget_first
from shm.virtual.words import ASLEEP, PRICE, VCPU, VTIME, WORK, enter, price, vcpu_of, vtime, wait_until
from stress.engine.kworker import kworker_turn
from stress.engine.play import execute
from stress.engine.words import FINISHED, PLAY, PLAYING, RUN, STUCK, c_of, opcode

# What the loop keeps. `heap`: CPUs by their clocks, as they were when they came in. `waiters`: by slot, the CPU
# that waits for it, plus 1. `since`: by slot, when it was filled or emptied; whoever comes earlier than that waits too,
# since an operation is played to its end at the time of its beginning. `waits`: by CPU, 1 while it waits for an event.
# `event_at`: when the last event was over.
LOOP = struct("LOOP", "heap", "waiters", "waits", "queued", "since", "event_at", size=8)


@dual
def _come_in(m: Machine, loop: int, cpu: int) -> None:
    """A CPU can go on."""
    push(m, read_book(m, loop + LOOP.heap), read_book(m, vcpu_of(m, cpu) + VCPU.clock), cpu)


@dual
def _leave_first(m: Machine, loop: int) -> None:
    """The first CPU of the heap waits, or has ended."""
    heap = read_book(m, loop + LOOP.heap)
    write_book(m, vcpu_of(m, first_number(m, heap)) + VCPU.idle, 1)
    pop(m, heap)


@dual
def _wake(m: Machine, loop: int, cpu: int, at: int) -> bool:
    """A CPU that waited goes on, not before `at`; False when it did not wait."""
    v = vcpu_of(m, cpu)
    if read_book(m, v + VCPU.idle) == 0:
        return False
    write_book(m, v + VCPU.idle, 0)
    wait_until(m, v, ASLEEP, at)
    _come_in(m, loop, cpu)
    return True


@dual
def queued_work(m: Machine) -> int:
    """Items that were ever queued for the kworker."""
    workqueue = read_book(m, WORLD_AT + WORLD.workqueue)
    rcu_queue = read_book(m, WORLD_AT + WORLD.rcu_queue)
    return read_book(m, workqueue + RING.tail) + read_book(m, rcu_queue + RING.tail)


@dual_slow
def play_one(m: Machine, p: int, run: int, op: int) -> bool:
    """See `execute`; compiled once for both ways to play."""
    return execute(m, p, run, op)


@dual
def begin_virtual(m: Machine, run: int, loop: int) -> int:
    """All CPUs come to the heap, the kworker too; their clocks stay as they are."""
    write_book(m, read_book(m, loop + LOOP.heap), 0)
    workers = read_book(m, MACHINE.workers)
    for cpu in range(workers + 1):
        _come_in(m, loop, cpu)
    enter(on_cpu(m, workers), WORK)
    return 0


@dual
def play_virtual(m: Machine, run: int, loop: int, steps: int) -> int:
    """Play `steps` operations; m is the kworker's machine. Returns PLAYING, FINISHED, or STUCK: nothing can move."""
    workers = read_book(m, MACHINE.workers)
    horizon = read_book(m, MACHINE.vtime) + VTIME.horizon
    grace_due = read_book(m, MACHINE.vtime) + VTIME.grace_due
    heap = read_book(m, loop + LOOP.heap)
    for _ in range(steps):
        while read_book(m, heap) == 0:
            if read_book(m, grace_due):
                _wake(m, loop, workers, read_book(m, grace_due))
            elif not all_ended(m, run):
                return STUCK
            elif not _settle(m, run, loop):
                return FINISHED
        cpu = first_number(m, heap)
        clock = read_book(m, vcpu_of(m, cpu) + VCPU.clock)
        if clock > first_time(m, heap):
            postpone(m, heap, clock)  # an interrupt has taken time from it since it came in
            continue
        write_book(m, horizon, clock)
        if 0 < read_book(m, grace_due) <= clock and _wake(m, loop, workers, read_book(m, grace_due)):
            continue
        if cpu == workers:
            _kworker(m, run, loop)
        else:
            _step(m, run, loop, cpu)
    return PLAYING


@dual
def _known(m: Machine, run: int, loop: int, op: int) -> int:
    """From when on the CPUs can know what an operation looks at: its slot, or that its event is over."""
    code = opcode(op)
    if code == OP_ALLOC or code == OP_FREE or code == OP_KFREE_RCU:
        return read_book(m, read_book(m, loop + LOOP.since) + c_of(op))
    if code == OP_WAIT and c_of(op) == read_book(m, run + RUN.events_done):
        return read_book(m, loop + LOOP.event_at)
    return 0


@dual
def _step(m: Machine, run: int, loop: int, cpu: int) -> None:
    """The first CPU of the heap plays its next operation, or finds that it must wait."""
    p = read_book(m, run + RUN.plays) + cpu * PLAY.SIZE
    at = read_book(m, p + PLAY.tape)
    there = on_cpu(m, cpu)
    op = load(there, at)
    code = opcode(op)
    if code == OP_END:
        write_book(m, vcpu_of(m, cpu) + VCPU.ended, read_book(m, vcpu_of(m, cpu) + VCPU.clock))
        _leave_first(m, loop)
        return
    known = _known(m, run, loop, op)
    if known > read_book(m, vcpu_of(m, cpu) + VCPU.clock):
        wait_until(m, vcpu_of(m, cpu), ASLEEP, known)
        postpone(m, read_book(m, loop + LOOP.heap), known)
        return
    if not play_one(there, p, run, op):
        if code == OP_WAIT:
            write_book(m, read_book(m, loop + LOOP.waits) + cpu, 1)
        else:
            write_book(m, read_book(m, loop + LOOP.waiters) + c_of(op), cpu + 1)
        _leave_first(m, loop)
        return
    write_book(m, p + PLAY.tape, at + 1)
    write_book(m, p + PLAY.operations, read_book(m, p + PLAY.operations) + 1)
    clock = read_book(m, vcpu_of(m, cpu) + VCPU.clock)
    postpone(m, read_book(m, loop + LOOP.heap), clock)
    if code == OP_ALLOC or code == OP_FREE or code == OP_KFREE_RCU:
        write_book(m, read_book(m, loop + LOOP.since) + c_of(op), clock)
        waiter = read_book(m, loop + LOOP.waiters) + c_of(op)
        if read_book(m, waiter):
            other = read_book(m, waiter) - 1
            write_book(m, waiter, 0)
            _wake(m, loop, other, clock)
    elif code == OP_ROUND:
        _wake(m, loop, read_book(m, MACHINE.workers), clock)
    if queued_work(m) != read_book(m, loop + LOOP.queued):
        write_book(m, loop + LOOP.queued, queued_work(m))
        _wake(m, loop, read_book(m, MACHINE.workers), clock + price(m, PRICE.wakeup))
    if clock // 1000 >= read_book(m, WORLD_AT + WORLD.reaper_due):
        call_timers(there)


@dual
def crowd_out(m: Machine, waits: int) -> None:
    """The kworker has done something. waits: by CPU, 1 while it waits for an event.

    Where it has no CPU of its own, it ran on that of the worker that has waited longest; who has waited longer than it
    spins has given its CPU away, too. When nobody waits it takes one of those that work, by turns.
    """
    spins = vtime(m, VTIME.crowded)
    if spins == 0:
        return
    workers = read_book(m, MACHINE.workers)
    now = read_book(m, vcpu_of(m, workers) + VCPU.clock)
    first = now
    for cpu in range(workers):
        if read_book(m, waits + cpu):
            first = min(first, read_book(m, vcpu_of(m, cpu) + VCPU.clock))
    taken = -1
    if first == now:
        at = read_book(m, MACHINE.vtime) + VTIME.taken
        taken = read_book(m, at) % workers
        write_book(m, at, taken + 1)
    for cpu in range(workers):
        v = vcpu_of(m, cpu)
        since = read_book(m, v + VCPU.clock)
        if cpu == taken or (read_book(m, waits + cpu) and (since == first or now - since > spins)):
            forget_first(m, v)


@dual
def _kworker(m: Machine, run: int, loop: int) -> None:
    """The kworker, first of the heap, does what is to be done, or sleeps."""
    events = read_book(m, run + RUN.events_done)
    if not kworker_turn(m, run):
        _leave_first(m, loop)
        return
    waits = read_book(m, loop + LOOP.waits)
    crowd_out(m, waits)
    write_book(m, loop + LOOP.queued, queued_work(m))
    clock = read_book(m, vcpu_of(m, read_book(m, MACHINE.workers)) + VCPU.clock)
    postpone(m, read_book(m, loop + LOOP.heap), clock)
    if read_book(m, run + RUN.events_done) != events:
        write_book(m, loop + LOOP.event_at, clock)
        for cpu in range(read_book(m, MACHINE.workers)):
            if read_book(m, waits + cpu):
                write_book(m, waits + cpu, 0)
                _wake(m, loop, cpu, clock)


@dual
def all_ended(m: Machine, run: int) -> bool:
    plays = read_book(m, run + RUN.plays)
    for cpu in range(read_book(m, MACHINE.workers)):
        if opcode(read_book(m, read_book(m, plays + cpu * PLAY.SIZE + PLAY.tape))) != OP_END:
            return False
    return read_book(m, run + RUN.events_done) == read_book(m, run + RUN.events)


@dual
def _settle(m: Machine, run: int, loop: int) -> bool:
    """All tapes have ended: on to when timers may find dead caches; False when it is time to end."""
    due = call_settling(m)
    if due == 0:
        return False
    workers = read_book(m, MACHINE.workers)
    last = 0
    for cpu in range(workers + 1):
        last = max(last, read_book(m, vcpu_of(m, cpu) + VCPU.clock))
    if read_book(m, run + RUN.settled_at) == 0:
        write_book(m, run + RUN.settled_at, last // 1000 + read_book(m, run + RUN.settle_ns))
    end = read_book(m, run + RUN.settled_at)
    if last // 1000 >= end:
        return False
    at = min(due, end)
    for cpu in range(workers + 1):
        wait_until(m, vcpu_of(m, cpu), ASLEEP, 1000 * at)
    call_timers(m)
    _wake(m, loop, workers, 1000 * at)
    return True
