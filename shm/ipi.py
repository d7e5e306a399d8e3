"""Inter-processor interrupts: a mailbox per CPU, served by its owner wherever interrupts are on.

A sender takes the target's mailbox lock, writes function and argument, sets `ipi_pending`, then the
IPI bit of the target's `service` word. The owner looks at `service` between operations and in every
loop that waits with interrupts on; it runs the function with interrupts off and clears
`ipi_pending`, which is what the sender waits for. While it waits, the sender serves its own mailbox,
so two CPUs that call each other do not deadlock; senders lock mailboxes in ascending CPU order.

In serial play all other CPUs stand between two operations with interrupts on, so the call simply
runs the function as the target CPU.

The mailbox also takes *work* for a CPU (`shm.cpu_work`): the same words, another bit of `service`, and
the owner runs the function where it may sleep or switch tasks, not wherever interrupts are on.
"""

from __future__ import annotations

from shm.atomics import (
    area_of,
    call_ipi,
    cmpxchg,
    cpu_area,
    cpu_relax,
    fetch_and,
    load,
    load_acquire,
    local_irq_restore,
    local_irq_save,
    on_cpu,
    os_wait,
    os_wake,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    store_release,
    this_cpu,
    write_once,
)
from shm.compiler import dual, dual_slow
from shm.cpumask import CPUS_IN_WORD, cpu_online_mask, cpus_from
from shm.idle import ask
from shm.machine import CPU, MACHINE, Machine
from shm.virtual.calls import await_calls
from shm.virtual.waits import begin_call, end_call
from shm.waiting import NAP, PROMPT, await_answer

SERVICE_IPI = 1
SERVICE_QS = 2
SERVICE_WORK = 4  # periodic work bound to this CPU is due; its owner looks between operations
SERVICE_CALL = 8  # the mailbox holds work, not an interrupt
SERVICE_BELL = 16  # look around: what it waits for may have come
SERVICE_IRQ_WORK = 32  # this CPU has asked itself for an interrupt (irq_work; F_NOLOCK)

IRQ_WORK = 5  # the call_ipi function of it
IPI_BARRIER = 0  # a call_ipi function that no kernel may use for anything: being interrupted is the barrier


@dual
def _answer(m: Machine) -> None:
    """The mailbox of this CPU has been served."""
    a = cpu_area(m)
    store_release(m, a + CPU.ipi_pending, 0)
    os_wake(m, a + CPU.ipi_waited, a + CPU.ipi_pending)


@dual_slow
def serve_ipis(m: Machine) -> None:
    """Answer a pending interrupt, if there is one and interrupts are on.

    A task that does so may not be migrated meanwhile: the interrupt is this CPU's.
    """
    if m.has("PREEMPT"):
        preempt_disable(m)
    a = cpu_area(m)
    if read_once(m, a + CPU.service) & SERVICE_IPI and load(m, a + CPU.irq) == 0:
        fetch_and(m, a + CPU.service, ~SERVICE_IPI)
        if load_acquire(m, a + CPU.ipi_pending):
            flags = local_irq_save(m)
            call_ipi(m, load(m, a + CPU.ipi_func), load(m, a + CPU.ipi_arg))
            local_irq_restore(m, flags)
            _answer(m)
    if m.has("F_NOLOCK") and read_once(m, a + CPU.service) & SERVICE_IRQ_WORK and load(m, a + CPU.irq) == 0:
        fetch_and(m, a + CPU.service, ~SERVICE_IRQ_WORK)
        flags = local_irq_save(m)
        call_ipi(m, IRQ_WORK, 0)
        local_irq_restore(m, flags)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual_slow
def serve_cpu_work(m: Machine) -> None:
    """Run the work that the mailbox holds, if it does. Between two operations, interrupts on.

    Preemption is off meanwhile, but with F_RT (PREEMPT_RT); a kernel's worker thread may be preempted where it holds no
    lock.
    """
    a = cpu_area(m)
    if fetch_and(m, a + CPU.service, ~SERVICE_CALL) & SERVICE_CALL:
        if m.has("PREEMPT") and not m.has("F_RT"):
            preempt_disable(m)
        call_ipi(m, load(m, a + CPU.ipi_func), load(m, a + CPU.ipi_arg))
        if m.has("PREEMPT") and not m.has("F_RT"):
            preempt_enable(m)
        _answer(m)


@dual
def post(m: Machine, cpu: int, func: int, arg: int, service: int) -> None:
    """Fill a CPU's mailbox, whose lock is held, and set its bit of `service`."""
    a = area_of(m, cpu)
    store(m, a + CPU.ipi_func, func)
    store(m, a + CPU.ipi_arg, arg)
    store_release(m, a + CPU.ipi_pending, 1)
    ask(m, cpu, service)


@dual
def _send(m: Machine, cpu: int, func: int, arg: int) -> None:
    a = area_of(m, cpu)
    turns = 0
    while cmpxchg(m, a + CPU.ipi_lock, 0, this_cpu(m) + 1) != 0:
        serve_ipis(m)
        turns += 1
        await_answer(m, turns)
    post(m, cpu, func, arg, SERVICE_IPI)


@dual
def _wait(m: Machine, cpu: int) -> None:
    a = area_of(m, cpu)
    turns = 0
    while load_acquire(m, a + CPU.ipi_pending):
        if read_once(m, MACHINE.stop):
            break
        serve_ipis(m)
        turns += 1
        if turns < PROMPT:
            cpu_relax(m)
        else:  # it has no real CPU; ours, perhaps
            os_wait(m, a + CPU.ipi_waited, a + CPU.ipi_pending, 1, NAP)
    store_release(m, a + CPU.ipi_lock, 0)


@dual
def _interrupt(m: Machine, there: Machine, func: int, arg: int) -> None:
    """Serial play: another CPU's handler runs at once."""
    where = 0
    if m.has("VTIME"):
        where = begin_call(m, there, False)
    flags = local_irq_save(there)
    call_ipi(there, func, arg)
    local_irq_restore(there, flags)
    if m.has("VTIME"):
        end_call(m, there, where)


@dual
def smp_call_mask(m: Machine, first: int, mask: int, func: int, arg: int) -> None:
    """Run call_ipi(func, arg) on every CPU of the mask's word from `first` and wait for all (on_each_cpu_mask).

    Must be called with interrupts on. The own CPU's turn comes last, directly, with interrupts off.
    """
    end = first + cpus_from(m, first)
    serial = load(m, MACHINE.serial)
    me = this_cpu(m)
    for cpu in range(first, end):
        if mask >> cpu - first & 1 and cpu != me:
            if serial:
                _interrupt(m, on_cpu(m, cpu), func, arg)
            else:
                _send(m, cpu, func, arg)
    if not serial:
        for cpu in range(first, end):
            if mask >> cpu - first & 1 and cpu != me:
                _wait(m, cpu)
    if first <= me < end and mask >> me - first & 1:
        flags = local_irq_save(m)
        call_ipi(m, func, arg)
        local_irq_restore(m, flags)


@dual
def await_answers(m: Machine) -> None:
    """All words of a mask have been called: in virtual time their CPUs answer together, and only now is waited."""
    if m.has("VTIME"):
        await_calls(m)


@dual
def smp_call_all(m: Machine, func: int, arg: int) -> None:
    """Run call_ipi(func, arg) on every CPU that is online, the kworker's included, and wait for all (on_each_cpu)."""
    for first in range(0, load(m, MACHINE.nr_cpus), CPUS_IN_WORD):
        smp_call_mask(m, first, cpu_online_mask(m, first), func, arg)
    await_answers(m)


@dual
def mark_offline(m: Machine) -> None:
    """This CPU leaves: nobody waits for it any more."""
    write_once(m, cpu_area(m) + CPU.online, 0)
