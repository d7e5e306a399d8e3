"""The interpreted machine with prices: the same tables, the same functions, as plain Python."""

from __future__ import annotations

from shm.machine import Machine
from shm.virtual.lines import charge_barrier, charge_irq, charge_locked, charge_read, charge_this_cpu, charge_write
from shm.virtual.words import clock_of


class PricedMachine(Machine):
    """A machine with VTIME. `mem` holds the tables too: `MACHINE.vtime` must not be negative."""

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
