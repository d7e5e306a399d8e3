"""Every operation on shared words gives the same results and memory on both engines."""

from __future__ import annotations

import pytest
from bare_machine import BareMachine

from shm import atomics
from shm.atomics import (
    area_of,
    cmpxchg,
    cpu_area,
    cpu_relax,
    cycles,
    fetch_add,
    fetch_and,
    fetch_or,
    fls,
    load,
    load_acquire,
    local_irq_restore,
    local_irq_save,
    on_cpu,
    preempt_disable,
    preempt_enable,
    read_once,
    smp_mb,
    smp_rmb,
    smp_wmb,
    store,
    store_release,
    this_cpu,
    this_cpu_cmpxchg,
    write_once,
    xchg,
)
from shm.compiler import dual
from shm.entry import entry
from shm.machine import CPU, MACHINE, Bug

WORDS = 64


@dual
def _loud(m) -> int:
    if m.has("LOUD"):
        return 1
    return 0


def every_operation(m, at, a, b):
    """Apply every operation to words from `at`, which hold `a`; results go to the words behind them."""
    out = at + WORDS // 2
    for i in range(16):
        store(m, at + i, a)
    store(m, out, load(m, at))
    store(m, out + 1, read_once(m, at))
    store(m, out + 2, load_acquire(m, at))
    write_once(m, at + 1, b)
    store_release(m, at + 2, b)
    store(m, out + 3, cmpxchg(m, at + 3, a, b))
    store(m, out + 4, cmpxchg(m, at + 4, a + 1, b))
    store(m, out + 5, this_cpu_cmpxchg(m, at + 5, a, b))
    store(m, out + 6, this_cpu_cmpxchg(m, at + 6, a - 1, b))
    store(m, out + 7, xchg(m, at + 7, b))
    store(m, out + 8, fetch_add(m, at + 8, b))
    store(m, out + 9, fetch_or(m, at + 9, b))
    store(m, out + 10, fetch_and(m, at + 10, b))
    store(m, out + 11, fetch_add(m, at + 11, -1))
    store(m, out + 12, this_cpu(m))
    store(m, out + 13, cpu_area(m))
    store(m, out + 14, area_of(m, 2))
    store(m, out + 15, cpu_area(on_cpu(m, 2)))
    store(m, out + 16, this_cpu(on_cpu(m, 2)))
    outer = local_irq_save(m)
    inner = local_irq_save(m)
    store(m, out + 17, 100 * outer + 10 * inner + load(m, cpu_area(m) + CPU.irq))
    local_irq_restore(m, inner)
    store(m, out + 18, load(m, cpu_area(m) + CPU.irq))
    local_irq_restore(m, outer)
    preempt_disable(m)
    preempt_disable(m)
    store(m, out + 19, load(m, cpu_area(m) + CPU.preempt))
    preempt_enable(m)
    preempt_enable(m)
    smp_mb(m)
    smp_rmb(m)
    smp_wmb(m)
    cpu_relax(m)
    before = cycles(m)
    store(m, out + 20, 1 if cycles(m) > before else 0)
    store(m, out + 21, fls(a if a > 0 else 0))
    store(m, out + 22, fls(0) + 100 * fls(1) + 10000 * fls((1 << 62) + 1))
    store(m, out + 23, _loud(m))
    return fetch_add(m, at + 12, 1)


native = entry(every_operation)


@pytest.mark.parametrize("a, b", ((1, 2), (0, -1), (-7, 12345678901), (-(1 << 62), 3), (0x7FFFFFFF00000001, 0x0FF0)))
def test_results_and_memory_agree(a, b):
    both = []
    for program in (every_operation, native):
        bare = BareMachine(cpus=3, words=WORDS)
        result = program(bare.cpu(1), bare.at["words"], a, b)
        bare.mem[MACHINE.ticks] = 0
        both.append((result, list(bare.mem)))
    assert both[0] == both[1]


def test_what_the_results_are():
    bare = BareMachine(cpus=3, words=WORDS)
    at = bare.at["words"]
    every_operation(bare.cpu(1), at, 1, 6)
    out = list(bare.mem[at + WORDS // 2 : at + WORDS])
    assert out[:12] == [1] * 12, "each returned the old value, and the decrement reached zero"
    assert list(bare.mem[at : at + 13]) == [1, 6, 6, 6, 1, 6, 1, 6, 7, 7, 0, 0, 2]
    assert (out[12], out[16]) == (1, 2) and out[14] == out[15] == out[13] + bare.mem[MACHINE.percpu_stride]
    assert out[17:23] == [11, 1, 2, 1, 1, 0 + 100 * 1 + 10000 * 63]
    assert bare.cpu(1).mem[bare.cpu(1).pcpu] == 0, "interrupts are on again"


@pytest.mark.parametrize("features", (frozenset(), frozenset({"LOUD"}), frozenset({"QUIET"})))
def test_a_feature_is_seen_by_those_that_have_it(features):
    bare = BareMachine(features=features)
    assert loud(bare.cpu(0)) == _loud(bare.cpu(0)) == ("LOUD" in features)


def test_assertions_of_the_interpreted_engine_raise_and_keep_the_first():
    bare = BareMachine()
    with pytest.raises(Bug, match="assertion 3 failed on cpu 1, value 44"):
        atomics.bug(bare.cpu(1), 3, 44)
    with pytest.raises(Bug):
        atomics.bug(bare.cpu(0), 5, 0)
    assert list(bare.mem[MACHINE.bug : MACHINE.bug + 3]) == [3, 44, 1]


def test_native_assertions_are_kept_in_the_header():
    bare = BareMachine(features=frozenset({"NATIVE_BUG"}))
    failing(bare.cpu(1), 7, 70)
    failing(bare.cpu(0), 8, 80)
    assert list(bare.mem[MACHINE.bug : MACHINE.bug + 3]) == [7, 70, 1]


@entry
def loud(m):
    return _loud(m)


@entry
def failing(m, code, value):
    atomics.bug(m, code, value)
    return 0
