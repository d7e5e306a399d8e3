"""A small program that uses every kind of function. As a script: how it was compiled, and the memory it leaves."""

from __future__ import annotations

import json
import sys

from bare_machine import BareMachine
from test_atomics import WORDS, every_operation

from shm import compiler
from shm.atomics import area_of, fls, load, local_irq_restore, local_irq_save, store
from shm.compiler import dual, dual_inline, dual_slow
from shm.entry import entry
from shm.histogram import HISTOGRAM, record
from shm.ipi import smp_call_mask
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import MACHINE, Machine
from shm.ring import ITEM, RING, ring_pop_into, ring_push, ring_words
from shm.xorshift import next_random, seed_of

HISTOGRAM_AT = 8 + WORDS
dual(every_operation)


@dual_inline
def _mixed(m: Machine, state: int, value: int) -> int:
    return next_random(m, state) ^ (value << fls(value) % 7)


@dual_slow
def _rarely(m: Machine, lock: int, word: int, value: int) -> None:
    flags = local_irq_save(m)
    spin_lock(m, lock, LIST_LOCK)
    store(m, word, load(m, word) + (value // 3 if m.has("THIRDS") else value % 5))
    spin_unlock(m, lock)
    local_irq_restore(m, flags)


@dual
def _turn(m: Machine, at: int, i: int) -> bool:
    value = _mixed(m, at + 2, i) & 0xFFFF
    record(m, at + HISTOGRAM_AT, value)
    if value & 1:
        _rarely(m, at, at + 1, value)
        return True
    return False


def small_program(m, at, ring, item, marks):
    """Random numbers through a histogram, a lock, a ring and calls to other CPUs; then every operation."""
    odd = 0
    for i in range(500):
        if _turn(m, at, i):
            odd += 1
        if i % 100 == 0:
            ring_push(m, ring, i, odd, area_of(m, 1))
            smp_call_mask(m, 0, 0b11, i, marks)
    while ring_pop_into(m, ring, item):
        odd += load(m, item + ITEM.a)
    return odd + every_operation(m, at + 8, 6, -3)


native = entry(small_program)


def memory(program, features: frozenset[str]) -> list[int]:
    """What the program returns, and every word it leaves behind (but the interpreted clock)."""
    bare = BareMachine(
        cpus=3, serial=True, features=features,
        words=HISTOGRAM_AT + HISTOGRAM.SIZE, ring=ring_words(4), item=ITEM.SIZE, marks=24,
    )  # fmt: skip
    bare.mem[bare.at["words"] + 2] = seed_of(1)
    bare.mem[bare.at["ring"] + RING.capacity] = 4
    result = program(bare.cpu(1), *(bare.at[name] for name in ("words", "ring", "item", "marks")))
    bare.mem[MACHINE.ticks] = 0
    return [result, *bare.mem]


FEATURES = (frozenset({"STATS"}), frozenset({"THIRDS"}))

if __name__ == "__main__":
    pipeline = compiler.ENTRY_PIPELINE
    print(json.dumps([pipeline.__module__, "shm.lean" in sys.modules, [memory(native, f) for f in FEATURES]]))
