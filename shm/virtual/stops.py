"""Interrupts, work and grace periods, an access at a time: a CPU is stopped where it can be, and goes on afterwards."""

from __future__ import annotations

from shm.atomics import read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.machine import CPU, MACHINE, Machine
from shm.virtual.calls import call_at_once, call_is_over
from shm.virtual.turns import (
    FLOW,
    area_here,
    block,
    current,
    flow_of,
    go_on_at,
    leave_until,
    take_turn,
    turns,
)
from shm.virtual.words import (
    GRACE,
    PRICE,
    TURNS,
    VCPU,
    VTIME,
    clock_of,
    price,
    spend,
    vcpu,
    vcpu_of,
    vtime,
)

_LOOK_AGAIN = 1_000_000  # ps between two looks whether a grace period is over


@dual
def _reachable(m: Machine, work: int) -> bool:
    """Can a handler, or else work, run on this CPU now?"""
    f = flow_of(m, this_cpu(m))
    if read_book(m, f + FLOW.stopped):
        return False
    if work:
        return read_book(m, f + FLOW.busy) == 0
    return read_book(m, area_here(m) + CPU.irq) == 0


@dual_slow
def stop_here(m: Machine) -> bool:
    """Who wants to run something on this CPU, and can now, gets it."""
    f = flow_of(m, this_cpu(m))
    before = 0
    one = read_book(m, f + FLOW.calling)
    while one:
        sender = flow_of(m, one - 1)
        if _reachable(m, read_book(m, sender + FLOW.kind)):
            after = read_book(m, sender + FLOW.next)
            if before:
                write_book(m, flow_of(m, before - 1) + FLOW.next, after)
            else:
                write_book(m, f + FLOW.calling, after)
            write_book(m, f + FLOW.stopped, one)
            sent = read_book(m, vcpu_of(m, read_book(m, sender + FLOW.acting)) + VCPU.clock)
            go_on_at(m, one - 1, max(clock_of(m), sent))
            return True
        before = one
        one = read_book(m, sender + FLOW.next)
    return False


@dual
def let_in(m: Machine) -> None:
    """This CPU can be interrupted again, or stands between two operations."""
    if vtime(m, VTIME.by_access):
        if read_book(m, flow_of(m, this_cpu(m)) + FLOW.calling) and stop_here(m):
            leave_until(m, clock_of(m))


@dual_slow
def call_in_turn(m: Machine, there: Machine, work: bool) -> int:
    """This CPU interrupts another, or queues work for it; what follows is done there, when it can be.

    Returns what `call_done` wants.
    """
    number = current(m)
    f = flow_of(m, number)
    g = flow_of(m, this_cpu(there))
    wanted = 1 if work else 0
    leave_until(m, clock_of(m) + price(m, PRICE.ipi_send) + price(m, PRICE.wakeup if work else PRICE.ipi))
    if _reachable(there, wanted):
        write_book(m, g + FLOW.stopped, number + 1)
    else:
        write_book(m, f + FLOW.kind, wanted)
        write_book(m, f + FLOW.next, 0)
        last = read_book(m, g + FLOW.calling)
        if last == 0:
            write_book(m, g + FLOW.calling, number + 1)
        else:
            while read_book(m, flow_of(m, last - 1) + FLOW.next):
                last = read_book(m, flow_of(m, last - 1) + FLOW.next)
            write_book(m, flow_of(m, last - 1) + FLOW.next, number + 1)
        block(m)  # until the CPU has been stopped for this flow
    idle = read_book(m, vcpu(there) + VCPU.idle)
    write_book(m, f + FLOW.acting, this_cpu(there))
    return 2 * call_at_once(m, there, work) + idle


@dual_slow
def call_done(m: Machine, there: Machine, where: int) -> None:
    """The other CPU has done it, and goes on."""
    u = vcpu(there)
    idle = read_book(m, u + VCPU.idle)
    write_book(m, u + VCPU.idle, where & 1)  # if it was woken meanwhile, it has lost nothing all the same
    call_is_over(m, there, where >> 1)
    write_book(m, u + VCPU.idle, idle)
    write_book(m, flow_of(m, current(m)) + FLOW.acting, this_cpu(m))
    g = flow_of(m, this_cpu(there))
    write_book(m, g + FLOW.stopped, 0)
    stop_here(there)
    one = read_book(m, g + FLOW.parked)
    write_book(m, g + FLOW.parked, 0)
    while one:
        after = read_book(m, flow_of(m, one - 1) + FLOW.next)
        go_on_at(m, one - 1, clock_of(there))
        one = after


@dual
def _grace_begins(m: Machine, who: int) -> int:
    """A grace period begins for a flow; or for callbacks, which are the last one's. Returns what `_goes_on` wants."""
    workers = read_book(m, MACHINE.workers)
    began = read_book(m, turns(m) + TURNS.began) + who * workers
    for cpu in range(workers):
        write_book(m, began + cpu, read_book(m, flow_of(m, cpu) + FLOW.operations))
    return began


@dual
def _goes_on(m: Machine, began: int) -> bool:
    """Is a CPU in the middle of the operation that it was in the middle of?"""
    for cpu in range(read_book(m, MACHINE.workers)):
        f = flow_of(m, cpu)
        if read_book(m, f + FLOW.busy) and read_book(m, f + FLOW.asleep) == 0:
            if read_book(m, began + cpu) == read_book(m, f + FLOW.operations):
                return True
    return False


@dual_slow
def grace_in_turn(m: Machine) -> None:
    """Wait until every CPU has passed a quiescent state: its operation is over, and the kernel has noticed."""
    began = _grace_begins(m, current(m))
    spend(m, vcpu(m), GRACE, price(m, PRICE.grace_period))
    take_turn(m)
    while _goes_on(m, began):
        spend(m, vcpu(m), GRACE, _LOOK_AGAIN)
        take_turn(m)


@dual_slow
def callbacks_in_turn(m: Machine, waiting: int) -> int:
    """How many of the callbacks that wait may run now? A grace period begins for them if none goes on."""
    vtime_at = read_book(m, MACHINE.vtime)
    due = read_book(m, vtime_at + VTIME.grace_due)
    callbacks = read_book(m, MACHINE.nr_cpus)
    if due == 0:
        _grace_begins(m, callbacks)
        write_book(m, vtime_at + VTIME.grace_due, clock_of(m) + price(m, PRICE.grace_period))
        write_book(m, vtime_at + VTIME.grace_covers, waiting)
        return 0
    if clock_of(m) < due:
        return 0
    if _goes_on(m, read_book(m, turns(m) + TURNS.began) + callbacks * read_book(m, MACHINE.workers)):
        write_book(m, vtime_at + VTIME.grace_due, clock_of(m) + _LOOK_AGAIN)
        return 0
    write_book(m, vtime_at + VTIME.grace_due, 0)
    return min(waiting, read_book(m, vtime_at + VTIME.grace_covers))
