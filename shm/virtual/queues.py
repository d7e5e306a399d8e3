"""Locks, an access at a time: they are held, and waited for in a queue, first come, first served.

Where they are unfair (`VTIME.unfair`) those who wait look at them by themselves, and who finds one free has it.
"""

from __future__ import annotations

from shm.atomics import book, on_cpu, read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.machine import CPU, Machine
from shm.virtual.calendar import calendar_of
from shm.virtual.lines import charge_locked, charge_read, charge_write, distance, price_from
from shm.virtual.turns import (
    FLOW,
    area_here,
    block,
    current,
    flow_of,
    go_on_at,
    take_turn,
    take_turn_locked,
)
from shm.virtual.words import (
    CALENDAR,
    LOCK_WAIT,
    MUTEX_KINDS,
    PRICE,
    VTIME,
    clock_of,
    price,
    spend,
    vcpu,
    vcpu_of,
    vtime,
)


@dual
def _waits(m: Machine, last: int, c: int, kind: int, until: int, behind: int) -> None:
    """This CPU waits for a lock until another one gives it up, and so many behind it.

    Then it has it, which takes the line's way. Not so where locks are unfair: it looks at the line by itself.
    """
    v = vcpu(m)
    waited = until - clock_of(m)
    if not _unfair(m, kind):
        waited += price_from(m, distance(m, v, vcpu_of(m, last)))
    if vtime(m, VTIME.ticket):
        waited += (1 + behind) * price(m, PRICE.shared_gap) // 2
    spend(m, v, LOCK_WAIT + kind, waited)
    book(m, c + CALENDAR.contended, 1)
    book(m, c + CALENDAR.waited, waited)
    write_book(m, c + CALENDAR.longest, max(waited, read_book(m, c + CALENDAR.longest)))


@dual
def _has(m: Machine, c: int, since: int) -> None:
    """This CPU has the lock; while it is handed over it is not free, so that counts from when it was given up."""
    book(m, c + CALENDAR.acquired, 1)
    write_book(m, c + CALENDAR.begin, since)


@dual
def _wait_in_line(m: Machine, c: int, number: int) -> None:
    """This flow waits behind all others until somebody gives the lock up."""
    f = flow_of(m, number)
    write_book(m, f + FLOW.next, 0)
    last = read_book(m, c + CALENDAR.queue_last)
    if last:
        write_book(m, flow_of(m, last - 1) + FLOW.next, number + 1)
    else:
        write_book(m, c + CALENDAR.queue, number + 1)
    write_book(m, c + CALENDAR.queue_last, number + 1)
    book(m, c + CALENDAR.queued, 1)
    sleeper = flow_of(m, this_cpu(m))
    write_book(m, sleeper + FLOW.asleep, 1 if read_book(m, area_here(m) + CPU.irq) == 0 else 0)
    block(m)
    write_book(m, sleeper + FLOW.asleep, 0)


@dual
def _unfair(m: Machine, kind: int) -> bool:
    """Has a lock of this class whoever finds it free first?"""
    return vtime(m, VTIME.unfair) != 0 and kind >= MUTEX_KINDS


@dual_slow
def lock_in_turn(m: Machine, lock: int, kind: int) -> bool:
    """Wait for the lock in word `lock` and have it from now on; was it held? kind: its class."""
    take_turn_locked(m)
    charge_locked(m, lock)
    before = clock_of(m)
    c = calendar_of(m, lock)
    number = current(m)
    write_book(m, c + CALENDAR.kind, kind)
    if _unfair(m, kind):
        while read_book(m, c + CALENDAR.holder):
            write_book(m, flow_of(m, number) + FLOW.kind, kind)
            _wait_in_line(m, c, number)
            take_turn(m)
            charge_read(m, lock)
            take_turn_locked(m)
            if read_book(m, c + CALENDAR.holder) == 0:
                charge_locked(m, lock)
        write_book(m, c + CALENDAR.holder, number + 1)
        _has(m, c, clock_of(m))
        return clock_of(m) > before
    if read_book(m, c + CALENDAR.holder) == 0:
        write_book(m, c + CALENDAR.holder, number + 1)
        if read_book(m, c + CALENDAR.given_at) > before:
            _waits(m, read_book(m, c + CALENDAR.given_by), c, kind, read_book(m, c + CALENDAR.given_at), 0)
    else:
        write_book(m, flow_of(m, number) + FLOW.kind, kind)
        _wait_in_line(m, c, number)
    given_at = read_book(m, c + CALENDAR.given_at)
    _has(m, c, given_at if given_at > before else before)
    return clock_of(m) > before


@dual_slow
def try_in_turn(m: Machine, lock: int, kind: int) -> bool:
    """Have the lock in word `lock` if nobody holds it now."""
    take_turn(m)
    c = calendar_of(m, lock)
    if read_book(m, c + CALENDAR.holder) or read_book(m, c + CALENDAR.given_at) > clock_of(m):
        charge_read(m, lock)
        return False
    take_turn_locked(m)
    charge_locked(m, lock)
    if read_book(m, c + CALENDAR.holder):
        return False
    write_book(m, c + CALENDAR.holder, current(m) + 1)
    write_book(m, c + CALENDAR.kind, kind)
    _has(m, c, clock_of(m))
    return True


@dual_slow
def unlock_in_turn(m: Machine, lock: int) -> None:
    """Give the lock in word `lock` up; who waits first has it."""
    take_turn(m)
    charge_write(m, lock)
    c = calendar_of(m, lock)
    now = clock_of(m)
    book(m, c + CALENDAR.held, now - read_book(m, c + CALENDAR.begin))
    write_book(m, c + CALENDAR.given_by, this_cpu(m))
    write_book(m, c + CALENDAR.given_at, now)
    if _unfair(m, read_book(m, c + CALENDAR.kind)):
        write_book(m, c + CALENDAR.holder, 0)
        while read_book(m, c + CALENDAR.queue):
            _tell_first(m, c, now)
        return
    write_book(m, c + CALENDAR.holder, read_book(m, c + CALENDAR.queue))
    if read_book(m, c + CALENDAR.queue):
        _tell_first(m, c, now)


@dual
def _tell_first(m: Machine, c: int, now: int) -> None:
    """Who waits first for a lock goes on: this CPU gives it up now."""
    first = read_book(m, c + CALENDAR.queue)
    f = flow_of(m, first - 1)
    write_book(m, c + CALENDAR.queue, read_book(m, f + FLOW.next))
    if read_book(m, f + FLOW.next) == 0:
        write_book(m, c + CALENDAR.queue_last, 0)
    book(m, c + CALENDAR.queued, -1)
    there = on_cpu(m, read_book(m, f + FLOW.acting))
    kind = read_book(m, f + FLOW.kind)
    until = now
    if _unfair(m, kind):
        until = _next_look(there, now)
    if until > clock_of(there):
        _waits(there, this_cpu(m), c, kind, until, read_book(m, c + CALENDAR.queued))
    go_on_at(m, first - 1, clock_of(there))


@dual
def _next_look(m: Machine, now: int) -> int:
    """When this CPU, which has waited since its clock, looks at the lock next: it pauses between two looks."""
    paused = vtime(m, VTIME.unfair)
    since = clock_of(m)
    if now <= since:
        return since
    return since + (now - since + paused - 1) // paused * paused
