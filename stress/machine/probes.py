"""The loops that are timed, compiled as all code of the machine is (`shm.entry`): what is measured is its code style.

A turn of `walk` visits one object of a ring, two lines each: it loads the link to the next one and a counter, compares,
and stores the counter. The loops that update a word do it as a fast path does with its CPU's freelist: each turn loads
what the turn before has stored, and stores it in its own way.
"""

from __future__ import annotations

from shm.atomics import (
    cmpxchg,
    cycles,
    fetch_add,
    os_wait,
    os_wake,
    read_once,
    smp_mb,
    store,
    this_cpu_cmpxchg,
    write_once,
)
from shm.compiler import dual
from shm.entry import entry
from shm.machine import Machine

LINE = 8  # words
OBJECT = 2 * LINE
NEXT, COUNT = 0, 1
PATIENCE = 1 << 28  # looks at a word before a partner is given up: a second or so

BUILD, CHASE, WALK, STORED, THIS_CPU, LOCKED, ADDED, FENCED, PASS, DOZE, GAPS, CYCLES = range(12)
ACCESSES = 3  # of a turn of WALK


@dual
def build(m: Machine, base: int, lines: int, stride: int, step: int, shift: int) -> int:
    """Link `lines` places, a power of two, `stride` words apart, into one ring in no order that a prefetcher knows.

    The next of place i is i * step + shift modulo lines, which visits all of them if step % 8 == 5 and shift is odd.
    """
    at = 0
    for _ in range(lines):
        following = (at * step + shift) & (lines - 1)
        store(m, base + at * stride, base + following * stride)
        at += 1
    return base


@dual
def chase(m: Machine, at: int, turns: int) -> int:
    for _ in range(turns):
        at = read_once(m, at)
    return at


@dual
def walk(m: Machine, at: int, turns: int) -> int:
    for _ in range(turns):
        following = read_once(m, at + NEXT)
        count = read_once(m, at + COUNT)
        if count >= 0:
            write_once(m, at + COUNT, count + 1)
        at = following
    return at


@dual
def stored(m: Machine, a: int, turns: int) -> int:
    for _ in range(turns):
        write_once(m, a, read_once(m, a) + 1)
    return a


@dual
def this_cpu(m: Machine, a: int, turns: int) -> int:
    for _ in range(turns):
        seen = read_once(m, a)
        this_cpu_cmpxchg(m, a, seen, seen + 1)
    return a


@dual
def locked(m: Machine, a: int, turns: int) -> int:
    for _ in range(turns):
        seen = read_once(m, a)
        cmpxchg(m, a, seen, seen + 1)
    return a


@dual
def added(m: Machine, a: int, turns: int) -> int:
    for _ in range(turns):
        fetch_add(m, a, read_once(m, a) & 1)
    return a


@dual
def fenced(m: Machine, a: int, turns: int) -> int:
    for _ in range(turns):
        write_once(m, a, read_once(m, a) + 1)
        smp_mb(m)
    return a


@dual
def pass_on(m: Machine, word: int, ready: int, first: int, turns: int) -> int:
    """Two of these hand a word to and fro, `turns` times each; that with first = 0 begins. 0 if it waits in vain."""
    write_once(m, ready + first, 1)
    for turn in range(turns):
        patience = PATIENCE
        while read_once(m, word) != 2 * turn + first:
            patience -= 1
            if patience == 0:
                return 0
        write_once(m, word, 2 * turn + first + 1)
    return turns


@dual
def doze(m: Machine, mine: int, other: int, first: int, turns: int) -> int:
    """As pass_on, but each sleeps until the other has written; words of two lines, the second for who sleeps on it."""
    for turn in range(1, turns + 1):
        if first == 0:
            write_once(m, other, turn)
            os_wake(m, other + LINE, other)
        patience = 100
        while read_once(m, mine) < turn:
            os_wait(m, mine + LINE, mine, turn - 1, 10_000)
            patience -= 1
            if patience == 0:
                return 0
        if first != 0:
            write_once(m, other, turn)
            os_wake(m, other + LINE, other)
    return turns


@dual
def gaps(m: Machine, stop: int, found: int, most: int, least: int) -> int:
    """Until word `stop` is set: times of at least `least` cycles in which this loop did not run. Returns how many."""
    number = 0
    write_once(m, stop + LINE, 1)
    last = cycles(m)
    while read_once(m, stop) == 0:
        now = cycles(m)
        if now - last >= least and number < most:
            store(m, found + number, now - last)
            number += 1
            now = cycles(m)
        last = now
    return number


@entry
def probe(m: Machine, what: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """One of the loops above, by its number."""
    if what == BUILD:
        return build(m, a, b, c, d, e)
    if what == CHASE:
        return chase(m, a, b)
    if what == WALK:
        return walk(m, a, b)
    if what == STORED:
        return stored(m, a, b)
    if what == THIS_CPU:
        return this_cpu(m, a, b)
    if what == LOCKED:
        return locked(m, a, b)
    if what == ADDED:
        return added(m, a, b)
    if what == FENCED:
        return fenced(m, a, b)
    if what == PASS:
        return pass_on(m, a, b, c, d)
    if what == DOZE:
        return doze(m, a, b, c, d)
    if what == GAPS:
        return gaps(m, a, b, c, d)
    return cycles(m)
