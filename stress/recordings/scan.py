"""Compiled: the text of a recording, a block of whole lines at a time, into columns of integers.

Fields are found by name, so their order, fields that are new, and fields run together (as old trace-cmd prints them) do
no harm. Texts (tasks, call sites, caches, paths) become numbers of a table of names. What cannot be read is counted by
its kind (`PROBLEMS`), with the line of the first; nothing here raises.

All helpers of a compiled entry are in this file: Numba's cache on disk goes by the file's time.
"""

from __future__ import annotations

import numpy as np

from shm.compiler import dual, dual_inline

# Columns of a row.
KIND, TIME, CPU, PID, COMM, PTR, REQ, ALLOC, SITE, GFP, NODE, ACCOUNTED, NAME, IRQ, LINE = range(15)
COLUMNS = 15

# Kinds of rows: the events that are read, then what a tracer says between them.
EVENTS = (
    "",
    "kmalloc",
    "kmalloc_node",
    "kmem_cache_alloc",
    "kmem_cache_alloc_node",
    "kfree",
    "kmem_cache_free",
    "mm_page_alloc",
    "cgroup_mkdir",
    "cgroup_rmdir",
    "cgroup_release",
    "cgroup_attach_task",
    "sched_process_fork",
    "sched_process_exit",
    "lost",
    "started",
)
KMALLOC, KMALLOC_NODE, CACHE_ALLOC, CACHE_ALLOC_NODE, KFREE, CACHE_FREE, PAGE_ALLOC = range(1, 8)
MKDIR, RMDIR, RELEASE, ATTACH, FORK, EXIT, LOST, STARTED = range(8, 16)
LAST_TRACED = EXIT

# What can be wrong with a line, by number: what was expected there.
PROBLEMS = (
    "a line of an event, “TASK-PID [CPU] … TIME: EVENT: …”",
    "a time stamp “SECONDS.FRACTION:” behind [CPU]",
    "a number of a CPU below 4096",
    "ptr= and an address",
    "ptr= and an address: “____ptrval____” stands for one before the kernel can hash it (boot with no_hash_pointers)",
    "bytes_req= and a number of bytes",
    "bytes_alloc= and a number of bytes",
    "the end of the line: the text ends within it",
    "the fields of a cgroup or task event (root=, id=, path=, pid=)",
)
(NO_HEAD, NO_TIME, NO_CPU, NO_PTR, NO_KEY, NO_REQ, NO_ALLOC, CUT, NO_FIELDS) = range(9)

# Numbers that a scan keeps from block to block.
LINES, OTHERS, NAMES, POOL, WHOLE_CLOCK, CHAINS = range(6)
STATE = 6
DONE, FULL_ROWS, FULL_NAMES = range(3)

MAX_CPU = 4096
MAX_NAMES = 1 << 20
UNKNOWN_COUNT = -1  # of lost events
ABSENT = -1

_MASK63 = (1 << 62) - 1


def _pack(texts):
    starts = np.zeros(len(texts) + 1, np.int64)
    for i, text in enumerate(texts):
        starts[i + 1] = starts[i] + len(text)
    return np.frombuffer("".join(texts).encode(), np.uint8).copy(), starts


_EVENT_BYTES, _EVENT_STARTS = _pack(EVENTS[: LAST_TRACED + 1])

# Keys of fields: where they end is an “=”.
_KEYS = (
    "call_site", "ptr", "bytes_req", "bytes_alloc", "gfp_flags", "node", "accounted", "name",
    "root", "id", "path", "pid", "dst_root", "dst_id", "dst_path", "child_pid",
    "level", "dst_level", "comm", "child_comm",
)  # fmt: skip
_KEY_BYTES, _KEY_STARTS = _pack(_KEYS)
(_SITE, _PTR, _REQ, _ALLOC, _GFP, _NODE, _ACCOUNTED, _NAME, _ROOT, _ID, _PATH, _PID, _DST_ROOT, _DST_ID, _DST_PATH,
 _CHILD,  _LEVEL, _DST_LEVEL, _COMM, _CHILD_COMM) = range(20)  # fmt: skip
# _REQ to _GFP may follow a value without a blank.


@dual_inline
def _digit(c):
    return 48 <= c <= 57


@dual_inline
def _letter(c):
    return 97 <= c <= 122 or 65 <= c <= 90 or c == 95 or 48 <= c <= 57


@dual_inline
def _hex(c):
    """Value of a hexadecimal digit, -1 for none."""
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    if 65 <= c <= 70:
        return c - 55
    return -1


@dual
def _blanks(text, at, end):
    while at < end and (text[at] == 32 or text[at] == 9):
        at += 1
    return at


@dual
def _trim(text, start, end):
    while end > start and (text[end - 1] == 32 or text[end - 1] == 9 or text[end - 1] == 13):
        end -= 1
    return end


@dual
def _is(text, at, end, word, first, last):
    """Whether word[first:last] stands at text[at:]."""
    if end - at < last - first:
        return False
    for i in range(last - first):
        if text[at + i] != word[first + i]:
            return False
    return True


@dual
def _number(text, at, end):
    """(value, behind it) of a decimal number; value -1 where there is none or it has more than 18 digits."""
    start, value = at, np.int64(0)
    while at < end and _digit(text[at]):
        if at - start == 18:
            return np.int64(-1), at
        value = value * 10 + (text[at] - 48)
        at += 1
    return (value if at > start else np.int64(-1)), at


@dual
def _signed(text, at, end):
    if at < end and text[at] == 45:
        value, behind = _number(text, at + 1, end)
        return -value, behind
    return _number(text, at, end)


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
def _is_chain(text, at, end):
    """A line of a call chain: an address and a symbol (perf), “=> symbol” or “⇒” (ftrace)."""
    if end - at > 1 and text[at] == 61 and text[at + 1] == 62:
        return True
    i = at
    while i < end and _hex(text[i]) >= 0:
        i += 1
    return i - at >= 4 and (i == end or text[i] == 32)


@dual
def _find_cpu(text, at, end):
    """Place of the “[” of “ [003] ”, -1 where there is none."""
    for i in range(at + 1, end - 2):
        if text[i] == 91 and (text[i - 1] == 32 or text[i - 1] == 9) and _digit(text[i + 1]):
            j = i + 2
            while j < end and _digit(text[j]):
                j += 1
            if j < end and text[j] == 93 and (j + 1 == end or text[j + 1] == 32):
                return i
    return -1


@dual
def _event(text, at, end):
    """Kind of the event with the name text[at:end], 0 for another."""
    for kind in range(1, LAST_TRACED + 1):
        first, last = _EVENT_STARTS[kind], _EVENT_STARTS[kind + 1]
        if last - first == end - at and _is(text, at, end, _EVENT_BYTES, first, last):
            return kind
    return 0


@dual
def _ends(text, start, equals, key):
    """Whether text[start:equals] ends in this key: where a word begins, or glued to the value before."""
    first, last = _KEY_STARTS[key], _KEY_STARTS[key + 1]
    at = equals - (last - first)
    if at < start or not _is(text, at, equals, _KEY_BYTES, first, last):
        return False
    if at == start or not _letter(text[at - 1]):
        return True
    return _REQ <= key <= _GFP or (_digit(text[at - 1]) and (key == _NODE or key == _ACCOUNTED))


@dual
def _key(text, start, equals):
    """Which key ends before the “=”; -1 for another."""
    best, length = -1, 0
    for key in range(len(_KEY_STARTS) - 1):
        size = _KEY_STARTS[key + 1] - _KEY_STARTS[key]
        if size > length and _ends(text, start, equals, key):
            best, length = key, size
    return best


@dual
def _address(text, at, end):
    """(address, problem) of a pointer as kernels print it: hexadecimal, or “(null)”, “(nil)” for 0."""
    at = _blanks(text, at, end)
    if at < end and text[at] == 40:
        if at + 1 < end and text[at + 1] == 110:  # (null), (nil)
            return np.int64(0), -1
        for i in range(at, end - 2):
            if text[i] == 112 and text[i + 1] == 116 and text[i + 2] == 114:  # (____ptrval____)
                return np.int64(0), NO_KEY
            if text[i] == 41:
                break
        return np.int64(0), NO_PTR
    if at + 1 < end and text[at] == 48 and text[at + 1] == 120:
        at += 2
    value, digits = np.uint64(0), 0
    while at < end and _hex(text[at]) >= 0:
        # “ptr=0xabcbytes_req=”: b is a digit too, but here it begins a word
        if text[at] == 98 and end - at > 6 and text[at + 1] == 121 and text[at + 2] == 116:
            break
        value = (value << np.uint64(4)) | np.uint64(_hex(text[at]))
        digits += 1
        at += 1
    if digits == 0 or digits > 16 or (at < end and _letter(text[at]) and text[at] != 98 and text[at] != 103):
        return np.int64(0), NO_PTR
    return np.int64(value), -1


@dual
def _value_end(text, at, end):
    """Where a value without blanks ends."""
    while at < end and text[at] != 32 and text[at] != 9:
        at += 1
    return at


@dual
def _next_key(text, at, end, key):
    """Where “ KEY=” begins behind `at`; `end` if nowhere."""
    first, last = _KEY_STARTS[key], _KEY_STARTS[key + 1]
    size = last - first
    for i in range(at, end - size - 1):
        if text[i] == 32 and text[i + 1 + size] == 61 and _is(text, i + 1, end, _KEY_BYTES, first, last):
            return i
    return end


@dual
def _fields(text, at, end, kind, found, pool, starts, slots, state):
    """Fill `found` with the fields of an allocation or free; returns a problem or -1, -2 when the names are full."""
    has_ptr = has_req = has_alloc = False
    i = at
    while i < end:
        if text[i] != 61:
            i += 1
            continue
        last = text[i - 1]
        i += 1
        if last == 114:  # r
            if not has_ptr and _ends(text, at, i - 1, _PTR):
                value, problem = _address(text, i, end)
                if problem >= 0:
                    return problem
                found[PTR], has_ptr = value, True
        elif last == 113:  # q
            if not has_req and _ends(text, at, i - 1, _REQ):
                value, i = _number(text, i, end)
                if value < 0:
                    return NO_REQ
                found[REQ], has_req = value, True
        elif last == 99:  # c
            if not has_alloc and _ends(text, at, i - 1, _ALLOC):
                value, i = _number(text, i, end)
                if value < 0:
                    return NO_ALLOC
                found[ALLOC], has_alloc = value, True
        elif last == 115:  # s
            if found[GFP] < 0 and _ends(text, at, i - 1, _GFP):
                stop = _value_end(text, i, end)
                found[GFP] = intern(text, i, stop, pool, starts, slots, state)
                if found[GFP] < 0:
                    return -2
                i = stop
        elif last == 100:  # d
            if i < end and _ends(text, at, i - 1, _ACCOUNTED):
                found[ACCOUNTED] = 1 if text[i] == 116 or text[i] == 49 or text[i] == 89 else 0
        elif last == 101:  # e
            if found[SITE] < 0 and _ends(text, at, i - 1, _SITE):
                stop = _next_key(text, i, end, _PTR)
                found[SITE] = intern(text, i, _trim(text, i, stop), pool, starts, slots, state)
                if found[SITE] < 0:
                    return -2
                i = stop
            elif _ends(text, at, i - 1, _NODE):
                value, i = _signed(text, i, end)
                found[NODE] = value
            elif found[NAME] < 0 and kind != KFREE and kind > KMALLOC_NODE and _ends(text, at, i - 1, _NAME):
                stop = end if kind == CACHE_FREE else _next_key(text, i, end, _REQ)
                stop = _trim(text, i, stop)
                if stop > i:
                    found[NAME] = intern(text, i, stop, pool, starts, slots, state)
                    if found[NAME] < 0:
                        return -2
                i = stop
    if not has_ptr:
        return NO_PTR
    if kind <= CACHE_ALLOC_NODE:
        if not has_req or found[REQ] > 1 << 40:
            return NO_REQ
        if not has_alloc or found[ALLOC] > 1 << 40:
            return NO_ALLOC
    return -1


@dual
def _group_fields(text, at, end, kind, found, pool, starts, slots, state):
    """Those of a cgroup or task event: REQ the root, ALLOC the cgroup's id, NAME its path, PTR the pid."""
    has_root = has_id = has_path = has_pid = False
    i = at
    while i < end:
        if text[i] != 61:
            i += 1
            continue
        key = _key(text, at, i)
        i += 1
        if key == _ROOT or key == _DST_ROOT:
            value, behind = _number(text, i, end)
            found[REQ], has_root = value, value >= 0
        elif key == _ID or key == _DST_ID:
            value, behind = _number(text, i, end)
            found[ALLOC], has_id = value, value >= 0
        elif (key == _PATH or key == _DST_PATH) and not has_path:
            stop = end
            if kind == ATTACH:
                seen = _next_key(text, i, end, _PID)
                while seen < end:
                    stop = seen
                    seen = _next_key(text, seen + 1, end, _PID)
            stop = _trim(text, i, stop)
            found[NAME] = intern(text, i, stop, pool, starts, slots, state)
            if found[NAME] < 0:
                return -2
            has_path = True
            i = stop
        elif key == _PID and kind != FORK or key == _CHILD and kind == FORK:
            value, behind = _number(text, i, end)
            found[PTR], has_pid = value, value >= 0
    if kind == FORK or kind == EXIT:
        return -1 if has_pid else NO_FIELDS
    if not (has_root and has_id and has_path) or (kind == ATTACH and not has_pid):
        return NO_FIELDS
    return -1


@dual
def _stamp(text, at, end, state):
    """(nanoseconds, behind the colon) of “SECONDS.FRACTION:”, or of a clock that counts; -1 where there is none."""
    whole, i = _number(text, at, end)
    if whole < 0 or i >= end:
        return np.int64(-1), at
    if text[i] == 58:
        state[WHOLE_CLOCK] += 1
        return whole, i + 1
    if text[i] != 46 or whole > 1 << 33:
        return np.int64(-1), at
    first = i + 1
    fraction, i = _number(text, first, end)
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
    cpu, i = _number(text, at + 4, end)
    i = _blanks(text, i, end)
    if cpu < 0 or cpu >= MAX_CPU or i >= end or text[i] != 91:
        return -1
    count = np.int64(UNKNOWN_COUNT)
    lost = False
    while i < end:
        if _digit(text[i]):
            count, i = _number(text, i, end)
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
    i = _blanks(text, i, end)
    if end - i > 4 and text[i] == 67 and text[i + 1] == 80 and text[i + 2] == 85 and text[i + 3] == 32:
        cpu, i = _number(text, i + 4, end)
        i = _blanks(text, i, end)
        if 0 <= cpu < MAX_CPU and i < end and text[i] == 98:
            found[CPU] = cpu
            return 1
    return 0


@dual
def _line(text, start, end, found, pool, starts, slots, state):
    """Read one line into `found`: 1 a row, 0 nothing of ours, -1 - p a problem p, -100 names full."""
    at = _blanks(text, start, end)
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
    cpu, i = _number(text, bracket + 1, end)
    i += 1
    if cpu < 0 or cpu >= MAX_CPU:
        return -1 - NO_CPU
    # Backwards from “[”: “(TGID)”, the pid, and what is before it.
    stop = _trim(text, at, bracket)
    if stop > at and text[stop - 1] == 41:
        while stop > at and text[stop - 1] != 40:
            stop -= 1
        stop = _trim(text, at, stop - 1)
    first = stop
    while first > at and _digit(text[first - 1]):
        first -= 1
    if first == stop or first == at or stop - first > 9:
        return -1 - NO_HEAD
    pid, _ = _number(text, first, stop)
    comm_end = first - 1
    if text[comm_end] == 47:  # perf's pid/tid
        while comm_end > at and _digit(text[comm_end - 1]):
            comm_end -= 1
    elif text[comm_end] != 45 and text[comm_end] != 32:
        return -1 - NO_HEAD
    comm_end = _trim(text, at, comm_end)
    # Forwards: flags, time, perf's period, the event.
    i = _blanks(text, i, end)
    time, behind = _stamp(text, i, end, state)
    irq = 0
    if time < 0:
        stop = _value_end(text, i, end)
        for j in range(i, stop):
            c = text[j]
            if c == 104 or c == 72 or c == 115 or c == 122 or c == 90:  # h H s z Z
                irq = 1
        i = _blanks(text, stop, end)
        time, behind = _stamp(text, i, end, state)
        if time < 0:
            return -1 - NO_TIME
    i = _blanks(text, behind, end)
    if i < end and _digit(text[i]):
        period, behind = _number(text, i, end)
        if behind < end and text[behind] == 32:
            i = _blanks(text, behind, end)
    first = i
    while i < end and _letter(text[i]):
        i += 1
    if i + 1 < end and text[i] == 58 and _letter(text[i + 1]):
        first = i + 1
        i = first
        while i < end and _letter(text[i]):
            i += 1
    kind = _event(text, first, i) if i < end and text[i] == 58 else 0
    if kind == 0:
        state[OTHERS] += 1
        return 0
    found[KIND], found[TIME], found[CPU], found[PID], found[IRQ] = kind, time, cpu, pid, irq
    if kind != PAGE_ALLOC:
        if kind <= CACHE_FREE:
            problem = _fields(text, i + 1, end, kind, found, pool, starts, slots, state)
        else:
            problem = _group_fields(text, i + 1, end, kind, found, pool, starts, slots, state)
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
        what = _line(text, at, _trim(text, at, end), found, pool, starts, slots, state)
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
