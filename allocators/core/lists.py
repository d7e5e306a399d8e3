"""Doubly linked lists: the one way to put something on a list and to take it off again.

    list    one word: its first item, 0 when it is empty
    deque   two words: its first and its last item, 0 when it is empty
    item    has two words for its neighbours, 0 at the ends; `next` and `prev` are their offsets in it

Whoever calls holds the lock that protects the list. A neighbour's words are the list's, not the item's owner's.
The first item may be looked at without the lock (v3.16 drain_freelist of SLAB: is slabs_free empty?), so it is written
with write_once; who sees it early or late must be content to see the list as it was or will be.

    stack   one word: the item that was pushed last, 0 when it is empty; an item is linked by one word

A stack needs no lock: anybody pushes, and it is taken as a whole (xchg), so what is first cannot have been away in
between. SLOB's lists are circular, and turn (allocators.slob.state). What is only ever taken from its head is linked by
one word, where it is used.
"""

from __future__ import annotations

from shm.atomics import cmpxchg, load, read_once, store, write_once
from shm.compiler import dual_inline
from shm.machine import Machine


@dual_inline
def list_push(m: Machine, head: int, item: int, next: int, prev: int) -> None:
    """Put an item first on a list."""
    first = load(m, head)
    store(m, item + next, first)
    store(m, item + prev, 0)
    if first:
        store(m, first + prev, item)
    write_once(m, head, item)


@dual_inline
def list_remove(m: Machine, head: int, item: int, next: int, prev: int) -> None:
    """Take an item off a list; its own words keep what they were."""
    after = load(m, item + next)
    before = load(m, item + prev)
    if before:
        store(m, before + next, after)
    else:
        write_once(m, head, after)
    if after:
        store(m, after + prev, before)


@dual_inline
def deque_push(m: Machine, first: int, last: int, item: int, next: int, prev: int) -> None:
    """Put an item first on a deque."""
    after = load(m, first)
    store(m, item + next, after)
    store(m, item + prev, 0)
    if after:
        store(m, after + prev, item)
    else:
        store(m, last, item)
    write_once(m, first, item)


@dual_inline
def deque_append(m: Machine, first: int, last: int, item: int, next: int, prev: int) -> None:
    """Put an item last on a deque."""
    before = load(m, last)
    store(m, item + prev, before)
    store(m, item + next, 0)
    if before:
        store(m, before + next, item)
    else:
        write_once(m, first, item)
    store(m, last, item)


@dual_inline
def deque_remove(m: Machine, first: int, last: int, item: int, next: int, prev: int) -> None:
    """Take an item off a deque; its own words keep what they were."""
    after = load(m, item + next)
    before = load(m, item + prev)
    if before:
        store(m, before + next, after)
    else:
        write_once(m, first, after)
    if after:
        store(m, after + prev, before)
    else:
        store(m, last, before)


@dual_inline
def stack_push(m: Machine, head: int, item: int, link: int) -> int:
    """Push an item, whose word `link` is for that, on a stack; what was first before, 0 if the stack was empty."""
    while True:
        first = read_once(m, head)
        store(m, link, first)
        if cmpxchg(m, head, first, item) == first:
            return first
