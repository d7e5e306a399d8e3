"""A heap of numbers by the times at which they are due, in words: how many entries there are, then a time and a number
for each. Of those that are due at once the least number comes first, so the order is the same however it was made.
"""

from __future__ import annotations

from shm.atomics import read_book, write_book
from shm.compiler import dual
from shm.machine import Machine


@dual
def heap_words(entries: int) -> int:
    """Words that a heap of so many entries takes."""
    return 1 + 2 * entries


@dual
def first_time(m: Machine, q: int) -> int:
    """When the first entry of heap `q`, which has one, is due."""
    return read_book(m, q + 1)


@dual
def first_number(m: Machine, q: int) -> int:
    """Its number."""
    return read_book(m, q + 2)


@dual
def push(m: Machine, q: int, at: int, number: int) -> None:
    """An entry comes in."""
    i = read_book(m, q)
    write_book(m, q, i + 1)
    h = q + 1
    while i > 0:
        parent = (i - 1) // 2
        time = read_book(m, h + 2 * parent)
        if time < at or (time == at and read_book(m, h + 2 * parent + 1) < number):
            break
        write_book(m, h + 2 * i, time)
        write_book(m, h + 2 * i + 1, read_book(m, h + 2 * parent + 1))
        i = parent
    write_book(m, h + 2 * i, at)
    write_book(m, h + 2 * i + 1, number)


@dual
def _sink(m: Machine, q: int, at: int, number: int) -> None:
    """The first place is free: an entry goes there, or to where it belongs."""
    count = read_book(m, q)
    h = q + 1
    i = 0
    while 2 * i + 1 < count:
        k = 2 * i + 1
        time = read_book(m, h + 2 * k)
        if k + 1 < count:
            other = read_book(m, h + 2 * k + 2)
            if other < time or (other == time and read_book(m, h + 2 * k + 3) < read_book(m, h + 2 * k + 1)):
                k += 1
                time = other
        if at < time or (at == time and number < read_book(m, h + 2 * k + 1)):
            break
        write_book(m, h + 2 * i, time)
        write_book(m, h + 2 * i + 1, read_book(m, h + 2 * k + 1))
        i = k
    write_book(m, h + 2 * i, at)
    write_book(m, h + 2 * i + 1, number)


@dual
def postpone(m: Machine, q: int, at: int) -> None:
    """The first entry is due at `at`, which is not before it was."""
    _sink(m, q, at, first_number(m, q))


@dual
def replace(m: Machine, q: int, at: int, number: int) -> None:
    """The first entry goes, another one comes in."""
    _sink(m, q, at, number)


@dual
def pop(m: Machine, q: int) -> None:
    """The first entry goes."""
    count = read_book(m, q) - 1
    write_book(m, q, count)
    if count > 0:
        _sink(m, q, read_book(m, q + 1 + 2 * count), read_book(m, q + 2 + 2 * count))
