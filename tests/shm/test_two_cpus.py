"""Two real processes as two CPUs: atomicity, order, exclusion, interrupts and grace periods.

Native code on two CPUs of this machine; on a machine with one they take turns, and everything must
hold all the same.
"""

from __future__ import annotations

import numpy as np
import pytest
from bare_machine import ARGUMENT, CALLS, IRQ, RAN_ON, BareMachine, in_parallel

from shm.atomics import (
    cpu_area,
    cpu_relax,
    fetch_add,
    load,
    load_acquire,
    read_once,
    smp_mb,
    store,
    store_release,
    this_cpu,
    write_once,
)
from shm.compiler import dual
from shm.cpu_work import work_on_cpus
from shm.entry import entry
from shm.idle import ask, idle
from shm.ipi import SERVICE_BELL, SERVICE_CALL, mark_offline, post, serve_ipis, smp_call_mask
from shm.locks import LIST_LOCK, LOCK_COUNT, LOCK_COUNTS, spin_lock, spin_unlock
from shm.machine import CPU
from shm.rcu import call_rcu_sched, quiescent_point, rcu_process, synchronize_sched
from shm.ring import ITEM, RING, ring_pop_into, ring_push, ring_words
from shm.waiting import pause

pytestmark = pytest.mark.xdist_group("cpus")

STATS = frozenset({"STATS"})
HOUR = 3_600_000_000  # microseconds


@dual
def meet(m, word: int, number: int) -> None:
    """Wait until both processes have come here for the `number`-th time (from 1)."""
    fetch_add(m, word, 1)
    turns = 0
    while load_acquire(m, word) < 2 * number:
        turns += 1
        pause(m, turns)


@entry
def add_many(m, word, start, n):
    meet(m, start, 1)
    for _ in range(n):
        fetch_add(m, word, 1)
    return n


@entry
def lock_many(m, lock, word, start, n):
    meet(m, start, 1)
    for _ in range(n):
        spin_lock(m, lock, LIST_LOCK)
        store(m, word, load(m, word) + 1)
        spin_unlock(m, lock)
    return n


@entry
def store_buffering(m, base, start, results, rounds):
    """Store to the own word, full barrier, read the other's: seldom both, never neither is new."""
    me = this_cpu(m)
    for i in range(1, rounds + 1):
        meet(m, start, i)
        write_once(m, base + 8 * me, i)
        smp_mb(m)
        store(m, results + 2 * i + me, read_once(m, base + 8 * (1 - me)))
    return rounds


@entry
def send_messages(m, data, flag, start, n):
    meet(m, start, 1)
    for i in range(1, n + 1):
        write_once(m, data, i)
        store_release(m, flag, i)
    return n


@entry
def receive_messages(m, data, flag, start, n):
    """How often the flag was seen before the data it announces."""
    meet(m, start, 1)
    early = 0
    seen = 0
    turns = 0
    while seen < n:
        now = load_acquire(m, flag)
        if read_once(m, data) < now:
            early += 1
        turns = turns + 1 if now == seen else 0
        seen = now
        pause(m, turns)
    return early


@entry
def push_many(m, ring, start, n):
    meet(m, start, 1)
    pushed = 0
    turns = 0
    while pushed < n:
        if ring_push(m, ring, this_cpu(m), pushed, 0):
            pushed += 1
            turns = 0
        else:
            turns += 1
            pause(m, turns)
    return n


@entry
def pop_many(m, ring, item, last, n):
    """Take 2 n items of two producers; how often one's items came out of order."""
    wrong = 0
    taken = 0
    turns = 0
    while taken < 2 * n:
        if ring_pop_into(m, ring, item):
            taken += 1
            turns = 0
            who = last + load(m, item + ITEM.func)
            if load(m, item + ITEM.a) != load(m, who):
                wrong += 1
            store(m, who, load(m, item + ITEM.a) + 1)
        else:
            turns += 1
            pause(m, turns)
    return wrong


@entry
def call_the_other(m, marks, start, n):
    """Interrupt the other CPU n times, answering its interrupts meanwhile; leave when both are through."""
    meet(m, start, 1)
    me = this_cpu(m)
    for i in range(n):
        smp_call_mask(m, 0, 1 << (1 - me), i, marks + 8 * (1 - me))
    fetch_add(m, start, 1)
    turns = 0
    while load_acquire(m, start) < 4:
        quiescent_point(m)
        turns += 1
        pause(m, turns)
    return n


@entry
def give_the_other_work(m, marks, start, n):
    """As call_the_other, by work; both wait for each other all the time."""
    meet(m, start, 1)
    me = this_cpu(m)
    for i in range(n):
        work_on_cpus(m, 0, 1 << (1 - me), i, marks + 8 * (1 - me))
    fetch_add(m, start, 1)
    turns = 0
    while load_acquire(m, start) < 4:
        quiescent_point(m)
        turns += 1
        pause(m, turns)
    return n


@entry
def run_sections(m, word, over):
    """Sections with preemption off, numbered, each followed by a quiescent state."""
    n = 0
    while read_once(m, over) == 0:
        n += 1
        write_once(m, word, n)
        for _ in range(n % 64):
            cpu_relax(m)
        write_once(m, word, 0)
        quiescent_point(m)
    return n


@entry
def wait_for_grace_periods(m, word, over, n):
    """How often a section that ran when the wait began still ran when it ended."""
    outlived = 0
    for _ in range(n):
        before = read_once(m, word)
        synchronize_sched(m)
        if before and read_once(m, word) == before:
            outlived += 1
    write_once(m, over, 1)
    return outlived


@entry
def wake_each_other(m, n):
    """By turns, CPU 0 first: sleep until asked, and ask. In between each sleeps for longer than any test lasts."""
    me = this_cpu(m)
    for _ in range(n):
        if me == 0:
            ask(m, 1, SERVICE_BELL)
        while read_once(m, cpu_area(m) + CPU.service) == 0:
            idle(m, HOUR)
        quiescent_point(m)
        if me == 1:
            ask(m, 0, SERVICE_BELL)
    return n


@entry
def sleep_and_answer(m, over):
    while load_acquire(m, over) == 0:
        quiescent_point(m)
        idle(m, HOUR)
    return 0


@entry
def disturb_the_sleeper(m, marks, over, n):
    """An interrupt, work and a grace period for CPU 1, over and over; then it may go."""
    for i in range(n):
        smp_call_mask(m, 0, 2, i, marks)
        work_on_cpus(m, 0, 2, i, marks)
        synchronize_sched(m)
    store_release(m, over, 1)
    ask(m, 1, SERVICE_BELL)
    return n


@entry
def wait_for_one_that_left(m, n):
    for _ in range(n):
        synchronize_sched(m)
    return n


def compiled(*programs, features: frozenset[str] = frozenset()) -> None:
    """Have programs ready before processes are forked."""
    for program in programs:
        program.compile("bare", features)


def returns(program, expected: int, *arguments: int):
    """A process's body: call the program and insist on what it returns."""

    def body() -> None:
        assert program(*arguments) == expected

    return body


def test_concurrent_additions_lose_nothing():
    compiled(add_many)
    bare = BareMachine(word=8, start=8)
    at, n = bare.at, 500_000
    in_parallel(*(returns(add_many, n, bare.cpu(cpu), at["word"], at["start"], n) for cpu in (0, 1)))
    assert bare.mem[at["word"]] == 2 * n


def test_a_spin_lock_excludes_and_counts():
    compiled(lock_many, features=STATS)
    bare = BareMachine(features=STATS, lock=8, word=8, start=8)
    at, n = bare.at, 50_000
    in_parallel(*(returns(lock_many, n, bare.cpu(cpu), at["lock"], at["word"], at["start"], n) for cpu in (0, 1)))
    assert bare.mem[at["word"]] == 2 * n
    assert bare.mem[at["lock"]] == 0
    for cpu in (0, 1):
        count = bare.cpu(cpu).pcpu + LOCK_COUNTS + LIST_LOCK * LOCK_COUNT.SIZE
        acquired, contended, spins = bare.mem[count : count + 3]
        assert acquired == n and 0 <= contended <= n and (spins >= contended or contended == 0)


def test_full_barriers_forbid_store_buffering():
    compiled(store_buffering)
    rounds = 5_000
    bare = BareMachine(words=16, start=8, results=2 * rounds + 2)
    at = bare.at
    arguments = (at["words"], at["start"], at["results"], rounds)
    in_parallel(*(returns(store_buffering, rounds, bare.cpu(cpu), *arguments) for cpu in (0, 1)))
    seen = np.array(bare.mem[at["results"] + 2 : at["results"] + 2 * rounds + 2]).reshape(rounds, 2)
    number = np.arange(1, rounds + 1)
    assert not ((seen[:, 0] < number) & (seen[:, 1] < number)).any()


def test_release_and_acquire_pass_messages():
    compiled(send_messages, receive_messages)
    bare = BareMachine(data=8, flag=8, start=8)
    arguments = (bare.at["data"], bare.at["flag"], bare.at["start"], 300_000)
    in_parallel(
        returns(send_messages, 300_000, bare.cpu(0), *arguments), returns(receive_messages, 0, bare.cpu(1), *arguments)
    )


def test_two_producers_and_a_consumer_share_a_ring():
    compiled(push_many, pop_many)
    bare = BareMachine(cpus=3, ring=ring_words(8), item=ITEM.SIZE, last=2, start=8)
    at, n = bare.at, 3_000
    bare.mem[at["ring"] + RING.capacity] = 8
    in_parallel(
        *(returns(push_many, n, bare.cpu(cpu), at["ring"], at["start"], n) for cpu in (0, 1)),
        returns(pop_many, 0, bare.cpu(2), at["ring"], at["item"], at["last"], n),
    )
    assert list(bare.mem[at["last"] : at["last"] + 2]) == [n, n]


def test_two_cpus_that_interrupt_each_other():
    compiled(call_the_other)
    bare = BareMachine(marks=16, start=8)
    n = 300
    in_parallel(*(returns(call_the_other, n, bare.cpu(cpu), bare.at["marks"], bare.at["start"], n) for cpu in (0, 1)))
    for cpu in (0, 1):
        marks = bare.mem[bare.at["marks"] + 8 * cpu :][:4]
        assert (marks[CALLS], marks[ARGUMENT]) == (n, n - 1)
        assert (marks[RAN_ON], marks[IRQ]) == (cpu, 1), "on the CPU that was called, with interrupts off"
        area = bare.cpu(cpu).pcpu
        assert [bare.mem[area + f] for f in (CPU.irq, CPU.ipi_lock, CPU.ipi_pending)] == [0, 0, 0]


def test_two_cpus_that_give_each_other_work():
    compiled(give_the_other_work)
    bare = BareMachine(marks=16, start=8)
    n = 300
    in_parallel(
        *(returns(give_the_other_work, n, bare.cpu(cpu), bare.at["marks"], bare.at["start"], n) for cpu in (0, 1))
    )
    for cpu in (0, 1):
        marks = bare.mem[bare.at["marks"] + 8 * cpu :][:4]
        assert (marks[CALLS], marks[ARGUMENT]) == (n, n - 1)
        assert (marks[RAN_ON], marks[IRQ]) == (cpu, 0), "on the CPU that was given it, with interrupts on"
        area = bare.cpu(cpu).pcpu
        assert [bare.mem[area + f] for f in (CPU.service, CPU.ipi_lock, CPU.ipi_pending)] == [0, 0, 0]


def test_no_section_outlives_a_grace_period():
    compiled(run_sections, wait_for_grace_periods)
    bare = BareMachine(word=8, over=8)
    word, over, other = bare.at["word"], bare.at["over"], bare.cpu(1)
    in_parallel(
        returns(wait_for_grace_periods, 0, bare.cpu(0), word, over, 300),
        lambda: run_sections(other, word, over),
    )
    assert bare.mem[other.pcpu + CPU.qs_done] > 0, "the periods did wait for the other CPU"


def test_who_is_asked_wakes_up():
    """Were one request in ten thousand slept through, this would not end."""
    compiled(wake_each_other)
    bare = BareMachine()
    n = 5_000
    in_parallel(*(returns(wake_each_other, n, bare.cpu(cpu), n) for cpu in (0, 1)))
    assert [bare.mem[bare.cpu(cpu).pcpu + f] for cpu in (0, 1) for f in (CPU.service, CPU.asleep)] == [0] * 4


def test_a_sleeping_cpu_answers_interrupts_work_and_grace_periods():
    compiled(sleep_and_answer, disturb_the_sleeper)
    bare = BareMachine(marks=8, over=8)
    marks, over, n = bare.at["marks"], bare.at["over"], 500
    in_parallel(
        returns(disturb_the_sleeper, n, bare.cpu(0), marks, over, n), returns(sleep_and_answer, 0, bare.cpu(1), over)
    )
    assert list(bare.mem[marks:][:3]) == [2 * n, n - 1, 1]
    assert bare.mem[bare.cpu(1).pcpu + CPU.qs_done] == n


def test_nobody_waits_for_a_cpu_that_left():
    compiled(wait_for_one_that_left)
    bare = BareMachine()
    mark_offline(bare.cpu(1))
    in_parallel(returns(wait_for_one_that_left, 50, bare.cpu(0), 50))


def test_serial_calls_run_at_once_as_the_other_cpu():
    bare = BareMachine(cpus=3, serial=True, marks=24)
    smp_call_mask(bare.cpu(1), 0, 0b111, 5, bare.at["marks"])
    assert list(bare.mem[bare.at["marks"] :][:4]) == [3, 5, 1, 1], "the own CPU's turn is the last"
    assert all(bare.mem[bare.cpu(cpu).pcpu + CPU.irq] == 0 for cpu in range(3))


def test_serial_work_runs_at_once_as_the_other_cpu():
    bare = BareMachine(cpus=3, serial=True, marks=24)
    work_on_cpus(bare.cpu(1), 0, 0b111, 5, bare.at["marks"])
    assert list(bare.mem[bare.at["marks"] :][:4]) == [3, 5, 1, 0], "the own CPU's turn is the last"


def test_interrupts_leave_work_for_the_next_quiescent_point():
    bare = BareMachine(marks=8)
    m = bare.cpu(1)
    post(m, 1, 7, bare.at["marks"], SERVICE_CALL)
    serve_ipis(m)
    assert bare.mem[bare.at["marks"] + CALLS] == 0
    quiescent_point(m)
    quiescent_point(m)
    assert list(bare.mem[bare.at["marks"] :][:2]) == [1, 7]


def test_callbacks_run_after_a_grace_period_in_order():
    bare = BareMachine(serial=True, queue=ring_words(2), item=ITEM.SIZE, marks=8)
    m, queue = bare.cpu(1), bare.at["queue"]
    bare.mem[queue + RING.capacity] = 2
    assert rcu_process(m, queue, bare.at["item"]) == 0
    assert [call_rcu_sched(m, queue, func, bare.at["marks"]) for func in (11, 12, 13)] == [True, True, False]
    assert bare.mem[bare.at["marks"] + CALLS] == 0
    assert rcu_process(m, queue, bare.at["item"]) == 2
    assert list(bare.mem[bare.at["marks"] :][:2]) == [2, 12]
