"""Compiled: which free belongs to which allocation, by address alone.

A free whose allocation was not seen is of an *old* object: it was there before the recording began, or its
allocation was lost. An allocation at an address that is in use means that a free left no event (bulk and sheaf
frees have none, or it was lost): an *inferred* free.

The compiled cache's folder goes by the content of all files of `compiled.SOURCES`.
"""

from __future__ import annotations

import numpy as np

from shm.compiler import dual
from stress.recordings.rows import (
    ACCOUNTED,
    ALLOC,
    CACHE_ALLOC,
    CACHE_ALLOC_NODE,
    CACHE_FREE,
    CPU,
    GFP,
    KFREE,
    KIND,
    KMALLOC,
    LOST,
    NAME,
    PTR,
    REQ,
)

# What became of a row.
OTHER, ALLOCATED, REUSED, FREED, OLD, NOTHING, FAILED = range(7)

# The table of what is in use: columns of a row.
ADDRESS, OBJECT, ORIGIN, KEY, BYTES = range(5)
LIVE = 5

# The table of keys, of what tells a cache: columns of a row.
SLAB, WANTED, GIVEN, CHARGED, NAMED, SPECIAL, ALLOCS, FREES, STILL = range(9)
KEYS = 9

# Counts.
(OBJECTS, IN_USE, ALLOCATIONS, BYTES_REQ, BYTES_ALLOC, FAILURES, FREE_EVENTS, NULL_FREES, OLD_FREES, OLD_AFTER_LOSS,
 INFERRED,  CROSS, LOSSES, KEYS_USED, BYTES_LIVE, LIVE_KEYS, PEAK, BEYOND, OLD_NAMED) = range(19)  # fmt: skip
COUNTS = 19
DONE, FULL, FULL_KEYS = range(3)


@dual
def _place(table, address):
    """Where the address is in the table, or the empty place where it belongs."""
    mask = len(table) - 1
    h = np.uint64(address) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64((h >> np.uint64(20)) & np.uint64(mask))
    while table[place, OBJECT] >= 0 and table[place, ADDRESS] != address:
        place = (place + 1) & mask
    return place


@dual
def _remove(table, place):
    """Empty a place, and move up what went past it."""
    mask = len(table) - 1
    hole = place
    at = (place + 1) & mask
    while table[at, OBJECT] >= 0:
        h = np.uint64(table[at, ADDRESS]) * np.uint64(0x9E3779B97F4A7C15)
        home = np.int64((h >> np.uint64(20)) & np.uint64(mask))
        if ((at - home) & mask) >= ((at - hole) & mask):
            for i in range(LIVE):
                table[hole, i] = table[at, i]
            hole = at
        at = (at + 1) & mask
    table[hole, OBJECT] = -1


@dual
def _key_of(keys, slots, counts, slab, wanted, given, charged, named, special):
    """The number of a key, new or known; -1 when there is no room."""
    mask = len(slots) - 1
    h = np.uint64(slab)
    h = h * np.uint64(1099511628211) ^ np.uint64(wanted)
    h = h * np.uint64(1099511628211) ^ np.uint64(given)
    h = h * np.uint64(1099511628211) ^ np.uint64(charged + 2)
    h = h * np.uint64(1099511628211) ^ np.uint64(named + 2)
    h = h * np.uint64(1099511628211) ^ np.uint64(special)
    place = np.int64((h ^ (h >> np.uint64(31))) & np.uint64(mask))
    while slots[place] >= 0:
        k = slots[place]
        if (
            keys[k, SLAB] == slab
            and keys[k, WANTED] == wanted
            and keys[k, GIVEN] == given
            and keys[k, CHARGED] == charged
            and keys[k, NAMED] == named
            and keys[k, SPECIAL] == special
        ):
            return k
        place = (place + 1) & mask
    k = counts[KEYS_USED]
    if k == len(keys):
        return np.int64(-1)
    keys[k, SLAB], keys[k, WANTED], keys[k, GIVEN] = slab, wanted, given
    keys[k, CHARGED], keys[k, NAMED], keys[k, SPECIAL] = charged, named, special
    keys[k, ALLOCS] = keys[k, FREES] = keys[k, STILL] = 0
    slots[place] = k
    counts[KEYS_USED] = k + 1
    return k


@dual
def _gone(table, place, keys, counts):
    """The object at a place is no longer in use."""
    key = table[place, KEY]
    keys[key, FREES] += 1
    keys[key, STILL] -= 1
    counts[IN_USE] -= 1
    counts[BYTES_LIVE] -= table[place, BYTES]


def pair(rows, first, size, classes, table, slots, keys, counts, fate, objects):
    """Go through rows[column, first:size] in their order.

    classes: of each name, as flags of an allocation: 1 for DMA, 2 for reclaimable. table: what is in use, [place,
    column], OBJECT -1 where empty. slots, keys: the table of keys. fate[row]: what became of it. objects[:, row]:
    the object allocated or freed (-1 for none), and the key that it turned out to have. Returns (row to go on
    with, status).
    """
    for row in range(first, size):
        kind = rows[KIND, row]
        fate[row] = OTHER
        objects[0, row] = objects[1, row] = objects[2, row] = -1
        if kind == LOST:
            counts[LOSSES] += 1
            continue
        if kind < KMALLOC or kind > CACHE_FREE:
            continue
        address = rows[PTR, row]
        if kind == KFREE or kind == CACHE_FREE:
            if address == 0:
                counts[NULL_FREES] += 1
                fate[row] = NOTHING
                continue
            place = _place(table, address)
            if table[place, OBJECT] < 0:
                counts[FREE_EVENTS] += 1
                counts[OLD_FREES] += 1
                if counts[LOSSES]:
                    counts[OLD_AFTER_LOSS] += 1
                fate[row] = OLD
                continue
            key = table[place, KEY]
            if rows[NAME, row] >= 0 and keys[key, SLAB] == 1 and keys[key, NAMED] < 0:
                named = _key_of(
                    keys, slots, counts, 1, keys[key, WANTED], keys[key, GIVEN], keys[key, CHARGED], rows[NAME, row], 0
                )
                if named < 0:
                    return row, FULL_KEYS
                keys[key, ALLOCS] -= 1
                keys[key, STILL] -= 1
                keys[named, ALLOCS] += 1
                keys[named, STILL] += 1
                table[place, KEY] = key = named
            counts[FREE_EVENTS] += 1
            fate[row] = FREED
            objects[0, row], objects[1, row] = table[place, OBJECT], key
            if table[place, ORIGIN] != rows[CPU, row]:
                counts[CROSS] += 1
            _gone(table, place, keys, counts)
            _remove(table, place)
            continue
        if address == 0:
            counts[FAILURES] += 1
            fate[row] = FAILED
            continue
        if 2 * (counts[IN_USE] + 1) > len(table):
            return row, FULL
        if kind == CACHE_ALLOC or kind == CACHE_ALLOC_NODE:
            key = _key_of(keys, slots, counts, 1, rows[REQ, row], rows[ALLOC, row], 0, rows[NAME, row], 0)
        else:
            special = classes[rows[GFP, row]] if rows[GFP, row] >= 0 else 0
            key = _key_of(keys, slots, counts, 0, 0, rows[ALLOC, row], max(0, rows[ACCOUNTED, row]), -1, special)
        if key < 0:
            return row, FULL_KEYS
        place = _place(table, address)
        fate[row] = ALLOCATED
        if table[place, OBJECT] >= 0:
            counts[INFERRED] += 1
            fate[row] = REUSED
            objects[2, row] = table[place, OBJECT]
            _gone(table, place, keys, counts)
        table[place, ADDRESS], table[place, OBJECT] = address, counts[OBJECTS]
        table[place, ORIGIN], table[place, KEY], table[place, BYTES] = rows[CPU, row], key, rows[ALLOC, row]
        objects[0, row], objects[1, row] = counts[OBJECTS], key
        keys[key, ALLOCS] += 1
        keys[key, STILL] += 1
        counts[OBJECTS] += 1
        counts[ALLOCATIONS] += 1
        counts[IN_USE] += 1
        counts[BYTES_REQ] += rows[REQ, row]
        counts[BYTES_ALLOC] += rows[ALLOC, row]
        counts[BYTES_LIVE] += rows[ALLOC, row]
        counts[PEAK] = max(counts[PEAK], counts[BYTES_LIVE])
    return size, DONE


def move(old, new):
    """Enter what is in one table into an empty, larger one."""
    for place in range(len(old)):
        if old[place, OBJECT] >= 0:
            there = _place(new, old[place, ADDRESS])
            for i in range(LIVE):
                new[there, i] = old[place, i]
    return 0
