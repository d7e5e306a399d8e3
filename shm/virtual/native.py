"""What compiled code does on a machine with VTIME: the price is paid, then the access is made, by plain instructions.

One process plays all CPUs, so nothing needs to be atomic. Without the feature none of this is compiled: the operations
are the instructions of `shm.native`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shm import atomics
from shm.atomics import read_book, write_book
from shm.compiler import chosen_by_type
from shm.machine_type import MachineType
from shm.virtual import waits
from shm.virtual.lines import charge_irq
from shm.virtual.steps import (
    barrier_in_turn,
    begin_call_by_step,
    callbacks_by_step,
    end_call_by_step,
    grace_by_step,
    lock_by_step,
    locked_in_turn,
    read_in_turn,
    this_cpu_in_turn,
    try_by_step,
    unlock_by_step,
    write_in_turn,
)
from shm.virtual.stops import let_in
from shm.virtual.words import clock_of


def _priced(*operations: Callable[..., Any]) -> Callable[[Callable[..., Any]], None]:
    """Decorator: what these operations do on a machine with VTIME."""

    def wrap(meaning: Callable[..., Any]) -> None:
        def choose(m, *words):
            return meaning if isinstance(m, MachineType) and m.has("VTIME") else None

        for operation in operations:
            chosen_by_type(operation, choose)

    return wrap


@_priced(atomics.load, atomics.read_once, atomics.load_acquire)
def _load(m, a):
    read_in_turn(m, a)
    return read_book(m, a)


@_priced(atomics.store, atomics.write_once, atomics.store_release)
def _store(m, a, v):
    write_in_turn(m, a)
    write_book(m, a, v)


@_priced(atomics.cmpxchg)
def _cmpxchg(m, a, old, new):
    locked_in_turn(m, a)
    seen = read_book(m, a)
    if seen == old:
        write_book(m, a, new)
    return seen


@_priced(atomics.this_cpu_cmpxchg)
def _this_cpu_cmpxchg(m, a, old, new):
    this_cpu_in_turn(m, a)
    seen = read_book(m, a)
    if seen == old:
        write_book(m, a, new)
    return seen


@_priced(atomics.xchg)
def _xchg(m, a, new):
    locked_in_turn(m, a)
    seen = read_book(m, a)
    write_book(m, a, new)
    return seen


@_priced(atomics.fetch_add)
def _fetch_add(m, a, delta):
    locked_in_turn(m, a)
    seen = read_book(m, a)
    write_book(m, a, seen + delta)
    return seen


@_priced(atomics.fetch_or)
def _fetch_or(m, a, bits):
    locked_in_turn(m, a)
    seen = read_book(m, a)
    write_book(m, a, seen | bits)
    return seen


@_priced(atomics.fetch_and)
def _fetch_and(m, a, bits):
    locked_in_turn(m, a)
    seen = read_book(m, a)
    write_book(m, a, seen & bits)
    return seen


@_priced(atomics.smp_mb)
def _smp_mb(m):
    barrier_in_turn(m)


@_priced(atomics._irqs_on_again)
def _irqs_on_again(m):
    charge_irq(m)
    let_in(m)


@_priced(atomics.cycles)
def _cycles(m):
    return clock_of(m)


@_priced(waits.lock_in_time)
def _lock_in_time(m, lock, kind):
    return lock_by_step(m, lock, kind)


@_priced(waits.try_in_time)
def _try_in_time(m, lock, kind):
    return try_by_step(m, lock, kind)


@_priced(waits.unlock_in_time)
def _unlock_in_time(m, lock):
    unlock_by_step(m, lock)


@_priced(waits.begin_call)
def _begin_call(m, there, work):
    return begin_call_by_step(m, there, work)


@_priced(waits.end_call)
def _end_call(m, there, where):
    end_call_by_step(m, there, where)


@_priced(waits.callbacks_due)
def _callbacks_due(m, waiting):
    return callbacks_by_step(m, waiting)


@_priced(waits.grace_period)
def _grace_period(m):
    grace_by_step(m)
