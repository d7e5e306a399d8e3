"""Virtual time, an access at a time: what each CPU's flow does (`shm.virtual.turns`), and the hub that lets them.

What a CPU waits for (a slot that another one fills or empties, an event) wakes it at the time at which it came. As in
`stress.engine.virtual`, what keeps this going is the laboratory's and costs nothing.
"""

from __future__ import annotations

from allocators.core.world import WORLD, WORLD_AT
from scenarios.tape import OP_ALLOC, OP_END, OP_FREE, OP_KFREE_RCU, OP_ROUND, OP_WAIT
from shm.atomics import book, call_settling, call_timers, load, on_cpu, read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.machine import MACHINE, Machine
from shm.stacks import entry_here
from shm.virtual.stops import let_in, stop_here
from shm.virtual.turns import (
    FLOW,
    block,
    current,
    flow_of,
    go_on_at,
    pause_here,
    play_on,
    turns,
)
from shm.virtual.words import (
    ASLEEP,
    PRICE,
    TURNS,
    VCPU,
    VTIME,
    WORK,
    clock_of,
    enter,
    price,
    vcpu,
    vcpu_of,
    vtime,
    wait_until,
)
from stress.engine.kworker import kworker_turn
from stress.engine.virtual import LOOP, all_ended, crowd_out, play_one, queued_work
from stress.engine.words import FINISHED, PLAY, PLAYING, RUN, STUCK, c_of, opcode


@dual_slow
def flow_main(m: Machine, run: int, loop: int) -> int:
    """What the flow of a CPU does on its stack; it never ends. Called elsewhere: the address for `Stacks.prepare`."""
    if current(m) < 0:
        return entry_here(m)
    if this_cpu(m) == read_book(m, MACHINE.workers):
        _kworker(m, run, loop)
    else:
        _worker(m, run, loop)
    return 0


@dual_slow
def begin_flows(m: Machine, run: int, loop: int) -> int:
    """All CPUs can go on, the kworker too; their clocks stay as they are. Returns the address of `flow_main`."""
    t = turns(m)
    write_book(m, read_book(m, t + TURNS.heap), 0)
    workers = read_book(m, MACHINE.workers)
    for cpu in range(workers + 1):
        write_book(m, flow_of(m, cpu) + FLOW.acting, cpu)
        go_on_at(m, cpu, read_book(m, vcpu_of(m, cpu) + VCPU.clock))
    enter(on_cpu(m, workers), WORK)
    write_book(m, t + TURNS.current, -1)
    entry = flow_main(m, run, loop)
    write_book(m, t + TURNS.current, 0)
    return entry


@dual_slow
def play_flows(m: Machine, run: int, loop: int, steps: int) -> int:
    """Play `steps` operations; m is the kworker's machine. Returns PLAYING, FINISHED, or STUCK: nothing can move."""
    write_book(m, turns(m) + TURNS.steps, steps)
    workers = read_book(m, MACHINE.workers)
    grace_due = read_book(m, MACHINE.vtime) + VTIME.grace_due
    while not play_on(m):
        if read_book(m, grace_due) and read_book(m, vcpu_of(m, workers) + VCPU.idle):
            _wake(m, workers, read_book(m, grace_due))
        elif not all_ended(m, run):
            return STUCK
        elif not _settle(m, run):
            return FINISHED
    write_book(m, read_book(m, MACHINE.vtime) + VTIME.horizon, clock_of(on_cpu(m, current(m))))
    return PLAYING


@dual
def _settle(m: Machine, run: int) -> bool:
    """All tapes have ended: on to when timers may find dead caches; False when it is time to end."""
    workers = read_book(m, MACHINE.workers)
    last = 0
    for cpu in range(workers + 1):
        last = max(last, read_book(m, vcpu_of(m, cpu) + VCPU.clock))
    wait_until(m, vcpu(m), ASLEEP, last)
    due = call_settling(m)
    if due == 0:
        return False
    if read_book(m, run + RUN.settled_at) == 0:
        write_book(m, run + RUN.settled_at, last // 1000 + read_book(m, run + RUN.settle_ns))
    end = read_book(m, run + RUN.settled_at)
    if last // 1000 >= end:
        return False
    at = min(due, end)
    for cpu in range(workers + 1):
        wait_until(m, vcpu_of(m, cpu), ASLEEP, 1000 * at)
    write_book(m, turns(m) + TURNS.settle, 1)
    _wake(m, workers, 1000 * at)
    return True


@dual
def _wake(m: Machine, cpu: int, at: int) -> None:
    """A CPU that waits goes on, not before `at`; the kworker looks again, if it does not wait."""
    v = vcpu_of(m, cpu)
    if read_book(m, v + VCPU.idle):
        write_book(m, v + VCPU.idle, 0)
        wait_until(m, v, ASLEEP, at)
        go_on_at(m, cpu, read_book(m, v + VCPU.clock))
    elif cpu == read_book(m, MACHINE.workers):
        write_book(m, turns(m) + TURNS.kicked, 1)


@dual
def _idle(m: Machine) -> None:
    """This CPU has nothing to do until it is woken."""
    write_book(m, vcpu(m) + VCPU.idle, 1)
    stop_here(m)
    block(m)


@dual_slow
def _worker(m: Machine, run: int, loop: int) -> None:
    t = turns(m)
    p = read_book(m, run + RUN.plays) + this_cpu(m) * PLAY.SIZE
    f = flow_of(m, this_cpu(m))
    while True:
        at = read_book(m, p + PLAY.tape)
        op = load(m, at)
        code = opcode(op)
        if code == OP_END:
            write_book(m, vcpu(m) + VCPU.ended, clock_of(m))
            _idle(m)
            continue
        write_book(m, f + FLOW.busy, 1)
        done = play_one(m, p, run, op)
        write_book(m, f + FLOW.busy, 0)
        book(m, f + FLOW.operations, 1)
        if not done:
            if code == OP_WAIT:
                write_book(m, read_book(m, loop + LOOP.waits) + this_cpu(m), 1)
            else:
                waiter = read_book(m, loop + LOOP.waiters) + c_of(op)
                write_book(m, f + FLOW.next, read_book(m, waiter))
                write_book(m, waiter, this_cpu(m) + 1)
            _idle(m)
            continue
        write_book(m, p + PLAY.tape, at + 1)
        book(m, p + PLAY.operations, 1)
        _operation_over(m, loop, code, op)
        let_in(m)
        book(m, t + TURNS.steps, -1)
        if read_book(m, t + TURNS.steps) <= 0:
            pause_here(m)


@dual
def _operation_over(m: Machine, loop: int, code: int, op: int) -> None:
    """Who waits for it goes on."""
    clock = clock_of(m)
    workers = read_book(m, MACHINE.workers)
    if code == OP_ALLOC or code == OP_FREE or code == OP_KFREE_RCU:
        waiter = read_book(m, loop + LOOP.waiters) + c_of(op)
        other = read_book(m, waiter)
        if other:
            write_book(m, waiter, 0)
            while other:
                after = read_book(m, flow_of(m, other - 1) + FLOW.next)
                _wake(m, other - 1, clock)
                other = after
    elif code == OP_ROUND:
        _wake(m, workers, clock)
    if queued_work(m) != read_book(m, loop + LOOP.queued):
        write_book(m, loop + LOOP.queued, queued_work(m))
        _wake(m, workers, clock + price(m, PRICE.wakeup))
    grace_due = vtime(m, VTIME.grace_due)
    if 0 < grace_due <= clock:
        _wake(m, workers, grace_due)
    if clock // 1000 >= read_book(m, WORLD_AT + WORLD.reaper_due):
        call_timers(m)


@dual_slow
def _kworker(m: Machine, run: int, loop: int) -> None:
    t = turns(m)
    while True:
        write_book(m, t + TURNS.kicked, 0)
        if read_book(m, t + TURNS.settle):
            write_book(m, t + TURNS.settle, 0)
            call_timers(m)
        events = read_book(m, run + RUN.events_done)
        waits = read_book(m, loop + LOOP.waits)
        if kworker_turn(m, run):
            crowd_out(m, waits)
            write_book(m, loop + LOOP.queued, queued_work(m))
        elif read_book(m, t + TURNS.kicked) == 0:
            _idle(m)
        if read_book(m, run + RUN.events_done) != events:
            for cpu in range(read_book(m, MACHINE.workers)):
                if read_book(m, waits + cpu):
                    write_book(m, waits + cpu, 0)
                    _wake(m, cpu, clock_of(m))
        book(m, t + TURNS.steps, -1)
        if read_book(m, t + TURNS.steps) <= 0:
            pause_here(m)
