"""What each CPU and the kworker did when, in a counted pass that is to be looked at (`run --perfetto`).

Each CPU has two BOOKs with room for a number of NOTEs, one for its operations and one for its sections (behind all of
the first kind), the kworker one of the first kind. Once a book is full, the rest goes unnoted. Only its owner writes
it. In serial play, where cycles mean nothing, times are kernel time in ns. Virtual time has a trace of its own.

    what                      of
    a path (PATHS)            the operation, a word of a tape
    OF_EVENT + EV_*           the event's arg
    OF_WORK + WORK_*          the work item's first argument; 0: what waited for a grace period
    OF_SECTION + SECTION_*    operations
"""

from __future__ import annotations

from allocators.core.world import WORLD, WORLD_AT
from shm.atomics import cycles, load, read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.layout import struct
from shm.machine import MACHINE, Machine
from stress.engine.words import RUN

BOOK = struct("BOOK", "next", "end")  # where the next NOTE goes, and where there is no room for one
NOTE = struct("NOTE", "began", "ended", "what", "of")
OF_EVENT, OF_WORK, OF_SECTION = 16, 32, 48


@dual
def noted(m: Machine, run: int) -> bool:
    """Is what is done in this pass noted?"""
    if m.has("VTIME"):
        return False
    return read_book(m, run + RUN.books) != 0


@dual
def time_of(m: Machine) -> int:
    """Cycles; in serial play ns of kernel time; in virtual time ps."""
    if m.has("VTIME"):
        return cycles(m)
    if load(m, MACHINE.serial):
        return load(m, WORLD_AT + WORLD.now)
    return cycles(m)


@dual_slow
def note(m: Machine, run: int, began: int, ended: int, what: int, of: int) -> None:
    """This CPU did something from `began` to `ended`."""
    number = this_cpu(m)
    if what >= OF_SECTION:
        number += read_book(m, MACHINE.workers) + 1
    book = read_book(m, run + RUN.books) + number * BOOK.SIZE
    at = read_book(m, book + BOOK.next)
    if at < read_book(m, book + BOOK.end):
        write_book(m, at + NOTE.began, began)
        write_book(m, at + NOTE.ended, ended)
        write_book(m, at + NOTE.what, what)
        write_book(m, at + NOTE.of, of)
        write_book(m, book + BOOK.next, at + NOTE.SIZE)
