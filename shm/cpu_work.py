"""Work on CPUs: a function that each of them runs between two of its operations (queue_work_on, flush_work).

Unlike an interrupt (`shm.ipi`) work is not taken in the middle of an operation, so what an operation does to words of
its CPU needs no protection from it, natively: there is no other task. Under the feature PREEMPT an operation keeps
preemption off over such words, as a kernel's local locks do.

The sender sleeps until all have done it. A CPU that sleeps is one between two operations: while it waits it answers
interrupts, grace periods and work, so two CPUs that wait for each other do not deadlock; mailboxes are locked in
ascending order.
"""

from __future__ import annotations

from shm.atomics import (
    area_of,
    call_ipi,
    cmpxchg,
    load,
    load_acquire,
    on_cpu,
    os_sleep,
    preempt_disable,
    preempt_enable,
    read_once,
    store_release,
    this_cpu,
)
from shm.compiler import dual
from shm.cpumask import cpus_from
from shm.ipi import SERVICE_CALL, post
from shm.machine import CPU, MACHINE, Machine
from shm.rcu import quiescent_point
from shm.virtual.waits import begin_call, end_call
from shm.waiting import NAP


@dual
def _queue(m: Machine, cpu: int, func: int, arg: int) -> None:
    while cmpxchg(m, area_of(m, cpu) + CPU.ipi_lock, 0, this_cpu(m) + 1) != 0:
        quiescent_point(m)
        os_sleep(m, NAP)
    post(m, cpu, func, arg, SERVICE_CALL)


@dual
def _flush(m: Machine, cpu: int) -> None:
    a = area_of(m, cpu)
    while load_acquire(m, a + CPU.ipi_pending) and read_once(m, a + CPU.online):
        if read_once(m, MACHINE.stop):
            break
        quiescent_point(m)
        os_sleep(m, NAP)
    store_release(m, a + CPU.ipi_lock, 0)


@dual
def _run_there(m: Machine, there: Machine, func: int, arg: int) -> None:
    """Serial play: another CPU's work runs at once."""
    where = 0
    if m.has("VTIME"):
        where = begin_call(m, there, True)
    call_ipi(there, func, arg)
    if m.has("VTIME"):
        end_call(m, there, where)


@dual
def work_on_cpus(m: Machine, first: int, mask: int, func: int, arg: int) -> None:
    """Run call_ipi(func, arg) as work on every CPU of the mask's word from `first` and wait for all; it gives
    interrupts and preemption back as they were.

    Must be called with interrupts and preemption on. The own CPU's turn comes last, directly.
    """
    end = first + cpus_from(m, first)
    serial = load(m, MACHINE.serial)
    me = this_cpu(m)
    for cpu in range(first, end):
        if mask >> cpu - first & 1 and cpu != me:
            if serial:
                _run_there(m, on_cpu(m, cpu), func, arg)
            else:
                _queue(m, cpu, func, arg)
    if not serial:
        for cpu in range(first, end):
            if mask >> cpu - first & 1 and cpu != me:
                _flush(m, cpu)
    if first <= me < end and mask >> me - first & 1:
        if m.has("PREEMPT") and not m.has("F_RT"):
            preempt_disable(m)
        call_ipi(m, func, arg)
        if m.has("PREEMPT") and not m.has("F_RT"):
            preempt_enable(m)
