"""Bounded queues in shared memory: work items and RCU callbacks.

Many producers, one consumer (the kworker), one lock each. Full means "no": the caller handles it as
the kernel handles a failed allocation. `head` and `tail` only grow; both are written under the lock;
`ring_count` reads them without it, which is harmless: the consumer only ever misses an item that is
being added, and sees it at its next turn.
"""

from __future__ import annotations

from shm.atomics import load, local_irq_restore, local_irq_save, read_once, store, write_once
from shm.compiler import dual
from shm.layout import struct
from shm.locks import RING_LOCK, spin_lock, spin_unlock
from shm.machine import Machine

RING = struct("RING", "lock", "head", "tail", "capacity", "refused", ("pad", 3))
ITEM = struct("ITEM", "func", "a", "b", "pad")


def ring_words(capacity: int) -> int:
    """Words of a ring with room for `capacity` items."""
    return RING.SIZE + capacity * ITEM.SIZE


@dual
def ring_push(m: Machine, ring: int, func: int, a: int, b: int) -> bool:
    """Append an item; False (and counted in `refused`) when the ring is full."""
    flags = local_irq_save(m)
    spin_lock(m, ring + RING.lock, RING_LOCK)
    tail = load(m, ring + RING.tail)
    capacity = load(m, ring + RING.capacity)
    room = tail - load(m, ring + RING.head) < capacity
    if room:
        item = ring + RING.SIZE + tail % capacity * ITEM.SIZE
        store(m, item + ITEM.func, func)
        store(m, item + ITEM.a, a)
        store(m, item + ITEM.b, b)
        write_once(m, ring + RING.tail, tail + 1)
    else:
        store(m, ring + RING.refused, load(m, ring + RING.refused) + 1)
    spin_unlock(m, ring + RING.lock)
    local_irq_restore(m, flags)
    return room


@dual
def ring_count(m: Machine, ring: int) -> int:
    """Items waiting; a snapshot (see the module's text)."""
    return read_once(m, ring + RING.tail) - read_once(m, ring + RING.head)


@dual
def ring_pop_into(m: Machine, ring: int, target: int) -> bool:
    """Move the oldest item to the ITEM at `target`; False when there is none."""
    flags = local_irq_save(m)
    spin_lock(m, ring + RING.lock, RING_LOCK)
    head = load(m, ring + RING.head)
    found = head < load(m, ring + RING.tail)
    if found:
        item = ring + RING.SIZE + head % load(m, ring + RING.capacity) * ITEM.SIZE
        for i in range(ITEM.SIZE):
            store(m, target + i, load(m, item + i))
        write_once(m, ring + RING.head, head + 1)
    spin_unlock(m, ring + RING.lock)
    local_irq_restore(m, flags)
    return found
