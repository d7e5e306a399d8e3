"""What one CPU asks of others, in virtual time: interrupts, work, grace periods.

The caller plays the handlers of all others itself, one after another, as in serial play. Each runs at the time when the
interrupt reaches its CPU, or when that CPU's operation is over, if it is ahead: operations are not cut. What the
handler takes is taken from the CPU's own work; one that is idle loses nothing.
"""

from __future__ import annotations

from shm.atomics import read_book, write_book
from shm.compiler import dual, dual_slow
from shm.machine import MACHINE, Machine
from shm.virtual.words import (
    ANSWERS,
    GRACE,
    INTERRUPT,
    INTERRUPTS,
    PRICE,
    STORES,
    VCPU,
    VTIME,
    WORK,
    enter,
    leave,
    price,
    spend,
    vcpu,
    vcpu_of,
    vtime,
    wait_until,
)


@dual_slow
def call_at_once(m: Machine, there: Machine, work: bool) -> int:
    """This CPU interrupts another, or queues work for it; what follows is done there.

    Returns what `call_is_over` wants.
    """
    v = vcpu(m)
    u = vcpu(there)
    spend(m, v, ANSWERS, price(m, PRICE.ipi_send))
    before = read_book(m, u + VCPU.clock)
    arrived = max(before, read_book(m, v + VCPU.clock) + price(m, PRICE.wakeup if work else PRICE.ipi))
    write_book(m, u + VCPU.before, before)
    write_book(m, u + VCPU.arrived, arrived)
    write_book(m, u + VCPU.clock, arrived)
    where = enter(there, WORK if work else INTERRUPT)
    if not work:
        spend(there, u, INTERRUPTS, price(m, PRICE.interrupt))
    return where


@dual_slow
def call_is_over(m: Machine, there: Machine, where: int) -> None:
    """The other CPU has done it."""
    v = vcpu(m)
    u = vcpu(there)
    # The return from an interrupt, or from a worker's function, waits for all stores.
    wait_until(there, u, STORES, read_book(m, u + VCPU.drained))
    leave(there, where)
    end = read_book(m, u + VCPU.clock)
    write_book(m, v + VCPU.awaited, max(end, read_book(m, v + VCPU.awaited)))
    if read_book(m, u + VCPU.idle) == 0:
        # It went on with its own work until the interrupt came. Its store buffer is empty, so that nothing of the
        # handler's is waited for by work of its own that lies before.
        clock = read_book(m, u + VCPU.before) + end - read_book(m, u + VCPU.arrived)
        write_book(m, u + VCPU.clock, clock)
        write_book(m, u + VCPU.drained, clock)
        for slot in range(vtime(m, VTIME.depth)):
            write_book(m, u + VCPU.pending + slot, min(clock, read_book(m, u + VCPU.pending + slot)))


@dual
def await_calls(m: Machine) -> None:
    """Wait until all that were called have answered."""
    v = vcpu(m)
    wait_until(m, v, ANSWERS, read_book(m, v + VCPU.awaited))


@dual
def _grace_ends(m: Machine) -> int:
    """When a grace period that begins now is over: all operations that go on are, and the kernel has noticed."""
    last = read_book(m, vcpu(m) + VCPU.clock) + price(m, PRICE.grace_period)
    for cpu in range(read_book(m, MACHINE.nr_cpus)):
        u = vcpu_of(m, cpu)
        if read_book(m, u + VCPU.idle) == 0:
            last = max(last, read_book(m, u + VCPU.clock))
    return last


@dual_slow
def callbacks_by_now(m: Machine, waiting: int) -> int:
    """How many of the callbacks that wait may run now? A grace period begins for them if none goes on."""
    vtime_at = read_book(m, MACHINE.vtime)
    due = read_book(m, vtime_at + VTIME.grace_due)
    if due == 0:
        write_book(m, vtime_at + VTIME.grace_due, _grace_ends(m))
        write_book(m, vtime_at + VTIME.grace_covers, waiting)
        return 0
    if read_book(m, vcpu(m) + VCPU.clock) < due:
        return 0
    write_book(m, vtime_at + VTIME.grace_due, 0)
    return min(waiting, read_book(m, vtime_at + VTIME.grace_covers))


@dual_slow
def grace_at_once(m: Machine) -> None:
    """Wait until every CPU has passed a quiescent state."""
    wait_until(m, vcpu(m), GRACE, _grace_ends(m))
