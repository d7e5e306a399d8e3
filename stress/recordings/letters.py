"""Compiled: letters, numbers and words of a text (uint8), and the table of names."""

from __future__ import annotations

import numpy as np

from shm.compiler import dual, dual_inline
from stress.recordings.rows import NAMES, POOL


def pack(texts):
    """(bytes of all texts, where each begins and the last ends)."""
    starts = np.zeros(len(texts) + 1, np.int64)
    for i, text in enumerate(texts):
        starts[i + 1] = starts[i] + len(text)
    return np.frombuffer("".join(texts).encode(), np.uint8).copy(), starts


@dual_inline
def digit(c):
    return 48 <= c <= 57


@dual_inline
def letter(c):
    return 97 <= c <= 122 or 65 <= c <= 90 or c == 95 or 48 <= c <= 57


@dual_inline
def hexadecimal(c):
    """Value of a hexadecimal digit, -1 for none."""
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    if 65 <= c <= 70:
        return c - 55
    return -1


@dual
def blanks(text, at, end):
    while at < end and (text[at] == 32 or text[at] == 9):
        at += 1
    return at


@dual
def trim(text, start, end):
    while end > start and (text[end - 1] == 32 or text[end - 1] == 9 or text[end - 1] == 13):
        end -= 1
    return end


@dual
def stands_at(text, at, end, word, first, last):
    """Whether word[first:last] stands at text[at:]."""
    if end - at < last - first:
        return False
    for i in range(last - first):
        if text[at + i] != word[first + i]:
            return False
    return True


@dual
def decimal(text, at, end):
    """(value, behind it) of a decimal number; value -1 where there is none or it has more than 18 digits."""
    start, value = at, np.int64(0)
    while at < end and digit(text[at]):
        if at - start == 18:
            return np.int64(-1), at
        value = value * 10 + (text[at] - 48)
        at += 1
    return (value if at > start else np.int64(-1)), at


@dual
def signed(text, at, end):
    if at < end and text[at] == 45:
        value, behind = decimal(text, at + 1, end)
        return -value, behind
    return decimal(text, at, end)


@dual
def intern(text, start, end, pool, starts, slots, state):
    """The number of the name text[start:end], which is new or known; -1 when the table is full."""
    h = np.uint64(1469598103934665603)
    for i in range(start, end):
        h = (h ^ np.uint64(text[i])) * np.uint64(1099511628211)
    h ^= h >> np.uint64(29)
    mask = len(slots) - 1
    place = np.int64(h & np.uint64(mask))
    size = end - start
    while slots[place] >= 0:
        known = slots[place]
        first = starts[known]
        if starts[known + 1] - first == size:
            i = 0
            while i < size and pool[first + i] == text[start + i]:
                i += 1
            if i == size:
                return known
        place = (place + 1) & mask
    number = state[NAMES]
    if number + 2 > len(starts) or 2 * (number + 1) > len(slots) or state[POOL] + size > len(pool):
        return np.int64(-1)
    first = state[POOL]
    for i in range(size):
        pool[first + i] = text[start + i]
    starts[number] = first
    starts[number + 1] = first + size
    state[POOL] = first + size
    state[NAMES] = number + 1
    slots[place] = number
    return number


@dual
def rehash(pool, starts, slots, names):
    """Enter the first `names` names into an empty, larger table."""
    mask = len(slots) - 1
    for number in range(names):
        h = np.uint64(1469598103934665603)
        for i in range(starts[number], starts[number + 1]):
            h = (h ^ np.uint64(pool[i])) * np.uint64(1099511628211)
        h ^= h >> np.uint64(29)
        place = np.int64(h & np.uint64(mask))
        while slots[place] >= 0:
            place = (place + 1) & mask
        slots[place] = number
    return 0


@dual
def value_end(text, at, end):
    """Where a value without blanks ends."""
    while at < end and text[at] != 32 and text[at] != 9:
        at += 1
    return at
