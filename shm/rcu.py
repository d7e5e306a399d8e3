"""Grace periods of sched-RCU: over when every CPU has passed a quiescent state since they began.

A CPU is quiescent between two operations (preemption on, interrupts on). It does not count anything
there: whoever needs a grace period takes a number, sets the QS bit in every other CPU's `service`
word, and the owner answers at its next quiescent point by publishing the newest number. So the cost
between operations is one read of a word that is in its own cache.

Memory order: clearing the bit is a full barrier on the CPU that passes; `synchronize_sched` begins
and ends with one. Hence everything a CPU did before its quiescent state is visible after the wait.
"""

from __future__ import annotations

from shm.atomics import (
    area_of,
    call_rcu,
    cpu_area,
    fetch_add,
    fetch_and,
    load,
    load_acquire,
    read_once,
    smp_mb,
    store_release,
    this_cpu,
)
from shm.compiler import dual
from shm.idle import ask
from shm.ipi import SERVICE_BELL, SERVICE_CALL, SERVICE_QS, serve_cpu_work, serve_ipis
from shm.machine import CPU, MACHINE, Machine
from shm.ring import ITEM, RING, ring_count, ring_pop_into, ring_push
from shm.virtual.waits import callbacks_due, grace_period
from shm.waiting import await_answer


@dual
def quiescent_point(m: Machine) -> None:
    """Between two operations: answer interrupts, work for this CPU and grace periods.

    Interrupts and preemption are on.
    """
    a = cpu_area(m)
    service = read_once(m, a + CPU.service)
    if service != 0:
        serve_ipis(m)
        if service & SERVICE_CALL:
            serve_cpu_work(m)
        if service & SERVICE_BELL:
            fetch_and(m, a + CPU.service, ~SERVICE_BELL)
        if read_once(m, a + CPU.service) & SERVICE_QS:
            fetch_and(m, a + CPU.service, ~SERVICE_QS)
            store_release(m, a + CPU.qs_done, read_once(m, MACHINE.gp_seq))


@dual
def synchronize_sched(m: Machine) -> None:
    """Wait until every section with preemption off that runs now, on any CPU, has ended.

    Models v3.16 synchronize_sched. Interrupts and preemption must be on; the caller is quiescent.
    In serial play every other CPU stands between two operations: the period is over at once, but for the time it takes
    a kernel to know (VTIME).
    """
    smp_mb(m)
    if m.has("VTIME"):
        grace_period(m)
    if load(m, MACHINE.serial):
        return
    number = fetch_add(m, MACHINE.gp_seq, 1) + 1
    cpus = load(m, MACHINE.nr_cpus)
    me = this_cpu(m)
    for cpu in range(cpus):
        if cpu != me:
            ask(m, cpu, SERVICE_QS)
    for cpu in range(cpus):
        a = area_of(m, cpu)
        turns = 0
        while cpu != me and load_acquire(m, a + CPU.qs_done) < number:
            if read_once(m, MACHINE.stop) or read_once(m, a + CPU.online) == 0:
                break
            quiescent_point(m)
            turns += 1
            await_answer(m, turns)
    smp_mb(m)


@dual
def call_rcu_sched(m: Machine, queue: int, func: int, arg: int) -> bool:
    """Queue a callback to run after a grace period; False when the queue is full."""
    return ring_push(m, queue, func, arg, 0)


@dual
def rcu_process(m: Machine, queue: int, scratch: int) -> int:
    """Run the callbacks queued so far after one grace period; returns how many. Kworker only.

    scratch: ITEM.SIZE words that belong to the caller. In virtual time nobody waits for the grace period: until it is
    over none can run.
    """
    waiting = ring_count(m, queue)
    if waiting == 0:
        return 0
    if m.has("VTIME"):
        waiting = callbacks_due(m, waiting)
    else:
        synchronize_sched(m)
    for _ in range(waiting):
        if ring_pop_into(m, queue, scratch):
            call_rcu(m, load(m, scratch + ITEM.func), load(m, scratch + ITEM.a))
    return waiting


@dual
def rcu_barrier(m: Machine, queue: int, scratch: int) -> None:
    """Let all callbacks run that are queued now, each after its grace period. Kworker only.

    In virtual time the kworker waits, once, for the period that its callbacks wait for.
    """
    last = read_once(m, queue + RING.tail)
    while read_once(m, queue + RING.head) < last:
        if rcu_process(m, queue, scratch) == 0:
            synchronize_sched(m)
