"""The interpreted machine with prices: the same tables, the same functions, as plain Python."""

from __future__ import annotations

from shm.machine import Machine
from shm.virtual.calendar import lock_by_calendar, try_by_calendar, unlock_by_calendar
from shm.virtual.calls import call_at_once, call_is_over, callbacks_by_now, grace_at_once
from shm.virtual.lines import charge_barrier, charge_irq, charge_locked, charge_read, charge_this_cpu, charge_write
from shm.virtual.words import clock_of


class Joined:
    """The memory of an interpreted machine whose tables lie in another segment.

    arena, tables: words of both, as memoryviews ('q'). offset: word 0 of the tables, from the arena's first one on; it
    may be negative.
    """

    __slots__ = ("arena", "tables", "words", "offset")

    def __init__(self, arena: memoryview, tables: memoryview, offset: int) -> None:
        self.arena, self.tables, self.offset, self.words = arena, tables, offset, len(arena)

    def __getitem__(self, a: int) -> int:
        if 0 <= a < self.words:
            return self.arena[a]
        if a < self.offset:
            raise IndexError(a)
        return self.tables[a - self.offset]

    def __setitem__(self, a: int, v: int) -> None:
        if 0 <= a < self.words:
            self.arena[a] = v
        elif a < self.offset:
            raise IndexError(a)
        else:
            self.tables[a - self.offset] = v


class PricedMachine(Machine):
    """A machine with VTIME. `mem` holds the tables too: see `Joined`."""

    __slots__ = ()

    def read_book(self, a: int) -> int:
        return self.mem[a]

    def write_book(self, a: int, v: int) -> None:
        self.mem[a] = v

    peek_book = read_book

    def add_book(self, a: int, delta: int) -> int:
        seen = self.mem[a]
        self.mem[a] = seen + delta
        return seen

    def load(self, a: int) -> int:
        charge_read(self, a)
        return self.mem[a]

    def store(self, a: int, v: int) -> None:
        charge_write(self, a)
        self.mem[a] = v

    def cmpxchg(self, a: int, old: int, new: int) -> int:
        charge_locked(self, a)
        return Machine.cmpxchg(self, a, old, new)

    def this_cpu_cmpxchg(self, a: int, old: int, new: int) -> int:
        charge_this_cpu(self, a)
        return Machine.cmpxchg(self, a, old, new)

    def xchg(self, a: int, new: int) -> int:
        charge_locked(self, a)
        return Machine.xchg(self, a, new)

    def fetch_add(self, a: int, delta: int) -> int:
        charge_locked(self, a)
        return Machine.fetch_add(self, a, delta)

    def fetch_or(self, a: int, bits: int) -> int:
        charge_locked(self, a)
        return Machine.fetch_or(self, a, bits)

    def fetch_and(self, a: int, bits: int) -> int:
        charge_locked(self, a)
        return Machine.fetch_and(self, a, bits)

    def fence(self) -> None:
        charge_barrier(self)

    def irqs_on_again(self) -> None:
        charge_irq(self)

    def cycles(self) -> int:
        return clock_of(self)

    def lock_in_time(self, lock: int, kind: int) -> bool:
        return lock_by_calendar(self, lock, kind)

    def try_in_time(self, lock: int, kind: int) -> bool:
        return try_by_calendar(self, lock, kind)

    def unlock_in_time(self, lock: int) -> None:
        unlock_by_calendar(self, lock)

    def begin_call(self, there: Machine, work: bool) -> int:
        return call_at_once(self, there, work)

    def end_call(self, there: Machine, where: int) -> None:
        call_is_over(self, there, where)

    def callbacks_due(self, waiting: int) -> int:
        return callbacks_by_now(self, waiting)

    def grace_period(self) -> None:
        grace_at_once(self)
