"""Sets of CPUs beyond the CPUs of a word: everybody meant is called once, in order; nobody else is, on both engines."""

from __future__ import annotations

import random
from collections.abc import Iterable

from bare_machine import BareMachine
from hypothesis import given, settings
from hypothesis import strategies as st

from shm.atomics import fetch_add, load, store, this_cpu
from shm.compiler import dual
from shm.cpu_work import work_on_cpus
from shm.cpumask import CPUS_IN_WORD, cpus_from
from shm.entry import entry
from shm.ipi import mark_offline, smp_call_all, smp_call_mask
from shm.machine import MACHINE, Machine, register_vectors
from stress.explore.search.search import Budget, search
from stress.explore.space.violation import Violation
from stress.explore.world.bare import bare_space

MOST = 520


@dual
def _answer(m: Machine, func: int, roll: int) -> None:
    """A call: `roll` counts the calls, and has who answered behind that."""
    n = fetch_add(m, roll, 1)
    store(m, roll + 1 + n, 1000 * func + this_cpu(m))


register_vectors("roll", ipi=_answer)


@dual
def call_some(m: Machine, wanted: int, roll: int, work: bool) -> int:
    """Call the CPUs whose word of `wanted` is 1."""
    for first in range(0, load(m, MACHINE.nr_cpus), CPUS_IN_WORD):
        mask = 0
        for i in range(cpus_from(m, first)):
            mask |= load(m, wanted + first + i) << i
        if work:
            work_on_cpus(m, first, mask, 7, roll)
        else:
            smp_call_mask(m, first, mask, 7, roll)
    return load(m, roll)


@dual
def call_all(m: Machine, roll: int) -> int:
    smp_call_all(m, 7, roll)
    return load(m, roll)


native_some, native_all = entry(call_some), entry(call_all)


def in_order(cpus: set[int], me: int) -> list[int]:
    """By words, in each the caller last."""
    return sorted(cpus, key=lambda cpu: (cpu // CPUS_IN_WORD, cpu == me, cpu))


def a_machine(cpus: int, wanted: Iterable[int] = ()) -> BareMachine:
    bare = BareMachine(cpus, serial=True, wanted=MOST, roll=MOST + 1)
    for cpu in wanted:
        bare.mem[bare.at["wanted"] + cpu] = 1
    return bare


def called(bare: BareMachine, program, me: int, *more) -> list[int]:
    roll = bare.at["roll"]
    m = Machine(bare.mem, me, (), "roll", bare.segment.address)
    number = program(m, *(bare.at[what] if isinstance(what, str) else what for what in more))
    return [answer - 7000 for answer in bare.mem[roll + 1 : roll + 1 + number]]


sizes = st.one_of(st.integers(1, MOST - 1), st.sampled_from([62, 63, 64, 65, 126, 127, 189, 513]))


@settings(max_examples=60, deadline=None)
@given(sizes, st.randoms(use_true_random=False), st.sampled_from([0.02, 0.5, 1.0]), st.booleans())
def test_who_is_in_the_set_is_called(cpus: int, rng: random.Random, share: float, work: bool):
    wanted = {cpu for cpu in range(cpus) if rng.random() < share}
    me = rng.randrange(cpus)
    for program in (call_some, native_some):
        assert called(a_machine(cpus, wanted), program, me, "wanted", "roll", work) == in_order(wanted, me)


@settings(max_examples=60, deadline=None)
@given(sizes, st.randoms(use_true_random=False))
def test_everybody_online_is_called(cpus: int, rng: random.Random):
    me = rng.randrange(cpus)
    gone = {cpu for cpu in range(cpus) if cpu != me and rng.random() < 0.2}
    for program in (call_all, native_all):
        bare = a_machine(cpus)
        for cpu in gone:
            mark_offline(bare.cpu(cpu))
        assert called(bare, program, me, "roll") == in_order(set(range(cpus)) - gone, me)


def test_calls_that_meet_reach_everybody():
    """Two CPUs call all 66 at once, in random interleavings: each call reaches everybody."""
    cpus, callers = CPUS_IN_WORD + 3, (0, CPUS_IN_WORD + 1)

    def program(m, base):
        if this_cpu(m) in callers:
            smp_call_all(m, 7, base + MOST * callers.index(this_cpu(m)))

    def end(space):
        for caller in range(len(callers)):
            roll = base + MOST * caller
            answers = sorted(answer - 7000 for answer in space.mem[roll + 1 : roll + 1 + space.mem[roll]])
            if answers != list(range(cpus)):
                raise Violation("leak", f"caller {caller} reached {answers}")

    space, base = bare_space([program] * cpus, words=2 * MOST, kernel="roll", end=end)
    found = search(space, "random", budget=Budget(schedules=5))
    assert found.outcome is None and found.schedules == 5
