"""Compiled: the text of a recording, a block of whole lines at a time, into columns of integers.

Texts (tasks, call sites, caches, paths) become numbers of a table of names (`letters`); fields go by name (`fields`).
What cannot be read is counted by its kind (`rows.PROBLEMS`), with the line of the first; nothing here raises.

The compiled cache's folder goes by the content of all files of `compiled.SOURCES`.
"""

from __future__ import annotations

import numpy as np

from shm.compiler import dual
from stress.recordings.fields import group_fields, memory_fields
from stress.recordings.letters import (
    blanks,
    decimal,
    digit,
    hexadecimal,
    intern,
    letter,
    pack,
    stands_at,
    trim,
    value_end,
)
from stress.recordings.rows import (
    ABSENT,
    CACHE_FREE,
    CHAINS,
    COLUMNS,
    COMM,
    CPU,
    CUT,
    DONE,
    EVENTS,
    FULL_NAMES,
    FULL_ROWS,
    IRQ,
    KIND,
    LAST_TRACED,
    LINE,
    LINES,
    LOST,
    MAX_CPU,
    NO_CPU,
    NO_HEAD,
    NO_TIME,
    OTHERS,
    PAGE_ALLOC,
    PID,
    PTR,
    STARTED,
    TIME,
    UNKNOWN_COUNT,
    WHOLE_CLOCK,
)

_EVENT_BYTES, _EVENT_STARTS = pack(EVENTS[: LAST_TRACED + 1])


@dual
def _is_chain(text, at, end):
    """A line of a call chain: an address and a symbol (perf), “=> symbol” or “⇒” (ftrace)."""
    if end - at > 1 and text[at] == 61 and text[at + 1] == 62:
        return True
    i = at
    while i < end and hexadecimal(text[i]) >= 0:
        i += 1
    return i - at >= 4 and (i == end or text[i] == 32)


@dual
def _find_cpu(text, at, end):
    """Place of the “[” of “ [003] ”, -1 where there is none."""
    for i in range(at + 1, end - 2):
        if text[i] == 91 and (text[i - 1] == 32 or text[i - 1] == 9) and digit(text[i + 1]):
            j = i + 2
            while j < end and digit(text[j]):
                j += 1
            if j < end and text[j] == 93 and (j + 1 == end or text[j + 1] == 32):
                return i
    return -1


@dual
def _event(text, at, end):
    """Kind of the event with the name text[at:end], 0 for another."""
    for kind in range(1, LAST_TRACED + 1):
        first, last = _EVENT_STARTS[kind], _EVENT_STARTS[kind + 1]
        if last - first == end - at and stands_at(text, at, end, _EVENT_BYTES, first, last):
            return kind
    return 0


@dual
def _stamp(text, at, end, state):
    """(nanoseconds, behind the colon) of “SECONDS.FRACTION:”, or of a clock that counts; -1 where there is none."""
    whole, i = decimal(text, at, end)
    if whole < 0 or i >= end:
        return np.int64(-1), at
    if text[i] == 58:
        state[WHOLE_CLOCK] += 1
        return whole, i + 1
    if text[i] != 46 or whole > 1 << 33:
        return np.int64(-1), at
    first = i + 1
    fraction, i = decimal(text, first, end)
    if fraction < 0 or i >= end or text[i] != 58 or i - first > 9:
        return np.int64(-1), at
    for _ in range(9 - (i - first)):
        fraction *= 10
    return whole * 1_000_000_000 + fraction, i + 1


@dual
def _between(text, at, end, found):
    """“CPU:n [LOST m EVENTS]”, “CPU:n [m EVENTS DROPPED]” and both without m: 1 for one, -1 for another text."""
    if not (end - at > 5 and text[at] == 67 and text[at + 1] == 80 and text[at + 2] == 85 and text[at + 3] == 58):
        return -1
    cpu, i = decimal(text, at + 4, end)
    i = blanks(text, i, end)
    if cpu < 0 or cpu >= MAX_CPU or i >= end or text[i] != 91:
        return -1
    count = np.int64(UNKNOWN_COUNT)
    lost = False
    while i < end:
        if digit(text[i]):
            count, i = decimal(text, i, end)
            continue
        lost = lost or text[i] == 69  # EVENTS
        i += 1
    found[CPU], found[PTR] = cpu, count
    return 1 if lost else -1


@dual
def _comment(text, at, end, found):
    """“##### CPU n buffer started ####”: 1; another comment: 0."""
    i = at
    while i < end and text[i] == 35:
        i += 1
    i = blanks(text, i, end)
    if end - i > 4 and text[i] == 67 and text[i + 1] == 80 and text[i + 2] == 85 and text[i + 3] == 32:
        cpu, i = decimal(text, i + 4, end)
        i = blanks(text, i, end)
        if 0 <= cpu < MAX_CPU and i < end and text[i] == 98:
            found[CPU] = cpu
            return 1
    return 0


@dual
def _line(text, start, end, found, pool, starts, slots, state):
    """Read one line into `found`: 1 a row, 0 nothing of ours, -1 - p a problem p, -100 names full."""
    at = blanks(text, start, end)
    if at == end:
        return 0
    if text[at] == 35:
        if _comment(text, at, end, found) == 1:
            found[KIND] = STARTED
            return 1
        return 0
    if text[at] == 67 and _between(text, at, end, found) == 1:
        found[KIND] = LOST
        return 1
    bracket = _find_cpu(text, at, end)
    if bracket < 0:
        if end - at > 5 and (text[at] == 67 and text[at + 3] == 32 or text[at] == 99 and text[at + 4] == 61):
            return 0  # trace-cmd's "CPU 3 is empty" and "cpus=8"
        if _is_chain(text, at, end):
            state[CHAINS] += 1
            return 0
        return -1 - NO_HEAD
    cpu, i = decimal(text, bracket + 1, end)
    i += 1
    if cpu < 0 or cpu >= MAX_CPU:
        return -1 - NO_CPU
    # Backwards from “[”: “(TGID)”, the pid, and what is before it.
    stop = trim(text, at, bracket)
    if stop > at and text[stop - 1] == 41:
        while stop > at and text[stop - 1] != 40:
            stop -= 1
        stop = trim(text, at, stop - 1)
    first = stop
    while first > at and digit(text[first - 1]):
        first -= 1
    if first == stop or first == at or stop - first > 9:
        return -1 - NO_HEAD
    pid, _ = decimal(text, first, stop)
    comm_end = first - 1
    if text[comm_end] == 47:  # perf's pid/tid
        while comm_end > at and digit(text[comm_end - 1]):
            comm_end -= 1
    elif text[comm_end] != 45 and text[comm_end] != 32:
        return -1 - NO_HEAD
    comm_end = trim(text, at, comm_end)
    # Forwards: flags, time, perf's period, the event.
    i = blanks(text, i, end)
    time, behind = _stamp(text, i, end, state)
    irq = 0
    if time < 0:
        stop = value_end(text, i, end)
        for j in range(i, stop):
            c = text[j]
            if c == 104 or c == 72 or c == 115 or c == 122 or c == 90:  # h H s z Z
                irq = 1
        i = blanks(text, stop, end)
        time, behind = _stamp(text, i, end, state)
        if time < 0:
            return -1 - NO_TIME
    i = blanks(text, behind, end)
    if i < end and digit(text[i]):
        period, behind = decimal(text, i, end)
        if behind < end and text[behind] == 32:
            i = blanks(text, behind, end)
    first = i
    while i < end and letter(text[i]):
        i += 1
    if i + 1 < end and text[i] == 58 and letter(text[i + 1]):
        first = i + 1
        i = first
        while i < end and letter(text[i]):
            i += 1
    kind = _event(text, first, i) if i < end and text[i] == 58 else 0
    if kind == 0:
        state[OTHERS] += 1
        return 0
    found[KIND], found[TIME], found[CPU], found[PID], found[IRQ] = kind, time, cpu, pid, irq
    if kind != PAGE_ALLOC:
        if kind <= CACHE_FREE:
            problem = memory_fields(text, i + 1, end, kind, found, pool, starts, slots, state)
        else:
            problem = group_fields(text, i + 1, end, kind, found, pool, starts, slots, state)
        if problem == -2:
            return -100
        if problem >= 0:
            return -1 - problem
    found[COMM] = intern(text, at, comm_end, pool, starts, slots, state)
    return 1 if found[COMM] >= 0 else -100


def scan(text, size, rows, found, pool, starts, slots, state, problems):
    """Read whole lines of text[:size] (uint8) into rows[column, row].

    found: room for one row. pool, starts, slots: the table of names (bytes, where each begins, hash table of
    numbers, -1 where empty). state: see
    `STATE`. problems[p]: how many, line of the first. Returns (rows, bytes read, status): not all bytes are read when
    there is no more room for rows or names; then make room and go on behind them.
    """
    at, row, capacity = 0, 0, rows.shape[1]
    while at < size:
        if row == capacity:
            return row, at, FULL_ROWS
        end = at
        while end < size and text[end] != 10:
            end += 1
        for i in range(COLUMNS):
            found[i] = ABSENT
        found[PTR] = 0
        others, whole, chains = state[OTHERS], state[WHOLE_CLOCK], state[CHAINS]
        what = _line(text, at, trim(text, at, end), found, pool, starts, slots, state)
        if what == -100:
            state[OTHERS], state[WHOLE_CLOCK], state[CHAINS] = others, whole, chains
            return row, at, FULL_NAMES
        state[LINES] += 1
        if end == size and what == 1 and found[KIND] <= LAST_TRACED:
            what = -1 - CUT
        if what == 1:
            found[LINE] = state[LINES]
            for i in range(COLUMNS):
                rows[i, row] = found[i]
            row += 1
        elif what < 0:
            problem = -1 - what
            if problems[problem, 0] == 0:
                problems[problem, 1] = state[LINES]
            problems[problem, 0] += 1
        at = end + 1
    return row, min(at, size), DONE
