"""Locks in virtual time: each has a calendar of when it is held.

An operation is played to its end before another begins, so a lock is never found taken in memory. Its calendar says
when it is: a CPU that wants it at a time gets it at the first moment from then on at which it is free for as long as
it usually is held. So one that is simulated later may have the lock earlier, if it wants it earlier.

Handing over costs the line's way from the last holder. With ticket locks (x86 until 4.1) all who wait spin on one line,
which they fetch again one after the other when it is given up; with queued ones each spins on its own.

Holds before the machine's horizon are over for everybody and are forgotten. When more lie ahead than a calendar has
room for, those that follow each other most closely become one, and the gap between them is lost.
"""

from __future__ import annotations

from shm.atomics import read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.machine import MACHINE, Machine
from shm.virtual.lines import charge_locked, charge_read, charge_write, distance, price_from
from shm.virtual.words import (
    CALENDAR,
    HOLDS,
    LOCK_WAIT,
    PRICE,
    VCPU,
    VTIME,
    price,
    spend,
    vcpu,
    vcpu_of,
    vtime,
)


@dual_slow
def calendar_of(m: Machine, lock: int) -> int:
    """The calendar of the lock in word `lock`; a new one if nobody wanted it before."""
    mask = vtime(m, VTIME.lock_mask)
    table = vtime(m, VTIME.lock_table)
    at = (lock * 0x9E3779B1 >> 4) & mask
    while True:
        found = read_book(m, table + 2 * at)
        if found == lock:
            return read_book(m, table + 2 * at + 1)
        if found == 0:
            break
        at = (at + 1) & mask
    c = vtime(m, VTIME.calendars)
    base = read_book(m, MACHINE.vtime)
    if c + CALENDAR.SIZE > vtime(m, VTIME.calendars_end):
        write_book(m, base + VTIME.full, 1)  # whoever plays gives up; until then the rest share the last one
        return c - CALENDAR.SIZE
    write_book(m, base + VTIME.calendars, c + CALENDAR.SIZE)
    write_book(m, c + CALENDAR.lock, lock)
    write_book(m, table + 2 * at, lock)
    write_book(m, table + 2 * at + 1, c)
    return c


@dual
def _begins(c: int, first: int, i: int) -> int:
    return c + CALENDAR.begins + (first + i) % HOLDS


@dual
def _forget(m: Machine, c: int) -> None:
    """Holds that are over for everybody go."""
    horizon = vtime(m, VTIME.horizon)
    first = read_book(m, c + CALENDAR.first)
    count = read_book(m, c + CALENDAR.count)
    while count > 0 and read_book(m, _begins(c, first, 0) + HOLDS) <= horizon:
        first += 1
        count -= 1
    write_book(m, c + CALENDAR.first, first % HOLDS)
    write_book(m, c + CALENDAR.count, count)


@dual
def _free_from(m: Machine, c: int, at: int) -> int:
    """When a CPU that wants the lock at `at` gets it."""
    acquired = read_book(m, c + CALENDAR.acquired)
    usual = read_book(m, c + CALENDAR.held) // acquired if acquired else 0
    free = at
    first = read_book(m, c + CALENDAR.first)
    for i in range(read_book(m, c + CALENDAR.count)):
        hold = _begins(c, first, i)
        if free < read_book(m, hold + HOLDS):
            if free + usual <= read_book(m, hold):
                break
            free = read_book(m, hold + HOLDS)
    return free


@dual
def _ahead(m: Machine, c: int, at: int, free: int) -> int:
    """How many get the lock before one that wants it at `at` and gets it at `free`."""
    first = read_book(m, c + CALENDAR.first)
    ahead = 0
    for i in range(read_book(m, c + CALENDAR.count)):
        hold = _begins(c, first, i)
        if at < read_book(m, hold + HOLDS) <= free:
            ahead += 1
    return ahead


@dual_slow
def lock_by_calendar(m: Machine, lock: int, kind: int) -> bool:
    """Wait for the lock in word `lock` and have it from now on; was it held? kind: its class."""
    charge_locked(m, lock)
    v = vcpu(m)
    c = calendar_of(m, lock)
    _forget(m, c)
    at = read_book(m, v + VCPU.clock)
    free = _free_from(m, c, at)
    write_book(m, c + CALENDAR.kind, kind)
    if free > at:
        handover = 0
        owner = read_book(m, c + CALENDAR.owner)
        if owner and owner != this_cpu(m) + 1:
            # Who waits has taken the line with the lock from its holder, who fetches it again to do its work.
            handover = 2 * price_from(m, distance(m, v, vcpu_of(m, owner - 1)))
        if vtime(m, VTIME.ticket):
            # All that wait behind fetch the line too: half of them, as it happens, before the one whose turn it is.
            handover += _ahead(m, c, at, free) * price(m, PRICE.shared_gap) // 2
        waited = free - at + handover
        spend(m, v, LOCK_WAIT + kind, waited)
        write_book(m, c + CALENDAR.contended, read_book(m, c + CALENDAR.contended) + 1)
        write_book(m, c + CALENDAR.waited, read_book(m, c + CALENDAR.waited) + waited)
        write_book(m, c + CALENDAR.longest, max(waited, read_book(m, c + CALENDAR.longest)))
    write_book(m, c + CALENDAR.acquired, read_book(m, c + CALENDAR.acquired) + 1)
    write_book(m, c + CALENDAR.owner, this_cpu(m) + 1)
    write_book(m, c + CALENDAR.begin, free)
    return free > at


@dual_slow
def try_by_calendar(m: Machine, lock: int, kind: int) -> bool:
    """Have the lock in word `lock` if nobody holds it now."""
    c = calendar_of(m, lock)
    _forget(m, c)
    at = read_book(m, vcpu(m) + VCPU.clock)
    first = read_book(m, c + CALENDAR.first)
    taken = False
    for i in range(read_book(m, c + CALENDAR.count)):
        hold = _begins(c, first, i)
        if read_book(m, hold) <= at < read_book(m, hold + HOLDS):
            taken = True
    if taken:
        charge_read(m, lock)
        return False
    charge_locked(m, lock)
    write_book(m, c + CALENDAR.kind, kind)
    write_book(m, c + CALENDAR.acquired, read_book(m, c + CALENDAR.acquired) + 1)
    write_book(m, c + CALENDAR.owner, this_cpu(m) + 1)
    write_book(m, c + CALENDAR.begin, at)
    return True


@dual
def _merge(m: Machine, c: int, first: int) -> None:
    """A full calendar: the two holds that follow each other most closely become one."""
    at = 0
    least = -1
    for i in range(HOLDS - 1):
        gap = read_book(m, _begins(c, first, i + 1)) - read_book(m, _begins(c, first, i) + HOLDS)
        if least < 0 or gap < least:
            at, least = i, gap
    write_book(m, _begins(c, first, at) + HOLDS, read_book(m, _begins(c, first, at + 1) + HOLDS))
    for i in range(at + 1, HOLDS - 1):
        for end in (0, HOLDS):
            write_book(m, _begins(c, first, i) + end, read_book(m, _begins(c, first, i + 1) + end))


@dual_slow
def unlock_by_calendar(m: Machine, lock: int) -> None:
    """Give the lock in word `lock` up."""
    charge_write(m, lock)
    c = calendar_of(m, lock)
    begin = read_book(m, c + CALENDAR.begin)
    end = read_book(m, vcpu(m) + VCPU.clock)
    write_book(m, c + CALENDAR.held, read_book(m, c + CALENDAR.held) + end - begin)
    first = read_book(m, c + CALENDAR.first)
    count = read_book(m, c + CALENDAR.count)
    if count == HOLDS:
        _merge(m, c, first)
        count -= 1
    # In the order of their ends; this one is nearly always the last.
    i = count
    while i > 0 and read_book(m, _begins(c, first, i - 1) + HOLDS) > end:
        write_book(m, _begins(c, first, i), read_book(m, _begins(c, first, i - 1)))
        write_book(m, _begins(c, first, i) + HOLDS, read_book(m, _begins(c, first, i - 1) + HOLDS))
        i -= 1
    write_book(m, _begins(c, first, i), begin)
    write_book(m, _begins(c, first, i) + HOLDS, end)
    write_book(m, c + CALENDAR.count, count + 1)
