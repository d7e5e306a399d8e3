"""Compiled: the fields of an event, “NAME=VALUE …”, found by name.

Their order, fields that are new, and fields run together (as old trace-cmd prints them) do no harm.
"""

from __future__ import annotations

import numpy as np

from shm.compiler import dual
from stress.recordings.letters import (
    blanks,
    decimal,
    digit,
    hexadecimal,
    intern,
    letter,
    pack,
    signed,
    stands_at,
    trim,
    value_end,
)
from stress.recordings.rows import (
    ACCOUNTED,
    ALLOC,
    ATTACH,
    CACHE_ALLOC_NODE,
    CACHE_FREE,
    EXIT,
    FORK,
    GFP,
    KFREE,
    KMALLOC_NODE,
    NAME,
    NO_ALLOC,
    NO_FIELDS,
    NO_KEY,
    NO_PTR,
    NO_REQ,
    NODE,
    PTR,
    REQ,
    SITE,
)

# Keys of fields: where they end is an “=”.
_KEYS = (
    "call_site", "ptr", "bytes_req", "bytes_alloc", "gfp_flags", "node", "accounted", "name",
    "root", "id", "path", "pid", "dst_root", "dst_id", "dst_path", "child_pid",
    "level", "dst_level", "comm", "child_comm",
)  # fmt: skip
_KEY_BYTES, _KEY_STARTS = pack(_KEYS)
(_SITE, _PTR, _REQ, _ALLOC, _GFP, _NODE, _ACCOUNTED, _NAME, _ROOT, _ID, _PATH, _PID, _DST_ROOT, _DST_ID, _DST_PATH,
 _CHILD,  _LEVEL, _DST_LEVEL, _COMM, _CHILD_COMM) = range(20)  # fmt: skip
# _REQ to _GFP may follow a value without a blank.


@dual
def _ends(text, start, equals, key):
    """Whether text[start:equals] ends in this key: where a word begins, or glued to the value before."""
    first, last = _KEY_STARTS[key], _KEY_STARTS[key + 1]
    at = equals - (last - first)
    if at < start or not stands_at(text, at, equals, _KEY_BYTES, first, last):
        return False
    if at == start or not letter(text[at - 1]):
        return True
    return _REQ <= key <= _GFP or (digit(text[at - 1]) and (key == _NODE or key == _ACCOUNTED))


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
    at = blanks(text, at, end)
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
    while at < end and hexadecimal(text[at]) >= 0:
        # “ptr=0xabcbytes_req=”: b is a digit too, but here it begins a word
        if text[at] == 98 and end - at > 6 and text[at + 1] == 121 and text[at + 2] == 116:
            break
        value = (value << np.uint64(4)) | np.uint64(hexadecimal(text[at]))
        digits += 1
        at += 1
    if digits == 0 or digits > 16 or (at < end and letter(text[at]) and text[at] != 98 and text[at] != 103):
        return np.int64(0), NO_PTR
    return np.int64(value), -1


@dual
def _next_key(text, at, end, key):
    """Where “ KEY=” begins behind `at`; `end` if nowhere."""
    first, last = _KEY_STARTS[key], _KEY_STARTS[key + 1]
    size = last - first
    for i in range(at, end - size - 1):
        if text[i] == 32 and text[i + 1 + size] == 61 and stands_at(text, i + 1, end, _KEY_BYTES, first, last):
            return i
    return end


@dual
def memory_fields(text, at, end, kind, found, pool, starts, slots, state):
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
                value, i = decimal(text, i, end)
                if value < 0:
                    return NO_REQ
                found[REQ], has_req = value, True
        elif last == 99:  # c
            if not has_alloc and _ends(text, at, i - 1, _ALLOC):
                value, i = decimal(text, i, end)
                if value < 0:
                    return NO_ALLOC
                found[ALLOC], has_alloc = value, True
        elif last == 115:  # s
            if found[GFP] < 0 and _ends(text, at, i - 1, _GFP):
                stop = value_end(text, i, end)
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
                found[SITE] = intern(text, i, trim(text, i, stop), pool, starts, slots, state)
                if found[SITE] < 0:
                    return -2
                i = stop
            elif _ends(text, at, i - 1, _NODE):
                value, i = signed(text, i, end)
                found[NODE] = value
            elif found[NAME] < 0 and kind != KFREE and kind > KMALLOC_NODE and _ends(text, at, i - 1, _NAME):
                stop = end if kind == CACHE_FREE else _next_key(text, i, end, _REQ)
                stop = trim(text, i, stop)
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
def group_fields(text, at, end, kind, found, pool, starts, slots, state):
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
            value, behind = decimal(text, i, end)
            found[REQ], has_root = value, value >= 0
        elif key == _ID or key == _DST_ID:
            value, behind = decimal(text, i, end)
            found[ALLOC], has_id = value, value >= 0
        elif (key == _PATH or key == _DST_PATH) and not has_path:
            stop = end
            if kind == ATTACH:
                seen = _next_key(text, i, end, _PID)
                while seen < end:
                    stop = seen
                    seen = _next_key(text, seen + 1, end, _PID)
            stop = trim(text, i, stop)
            found[NAME] = intern(text, i, stop, pool, starts, slots, state)
            if found[NAME] < 0:
                return -2
            has_path = True
            i = stop
        elif key == _PID and kind != FORK or key == _CHILD and kind == FORK:
            value, behind = decimal(text, i, end)
            found[PTR], has_pid = value, value >= 0
    if kind == FORK or kind == EXIT:
        return -1 if has_pid else NO_FIELDS
    if not (has_root and has_id and has_path) or (kind == ATTACH and not has_pid):
        return NO_FIELDS
    return -1
