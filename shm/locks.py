"""Spin locks. A lock is one word that names its owner: 0 free, else CPU + 1.

Every lock belongs to a *class*; with the feature STATS each CPU counts, per class, acquisitions,
contended acquisitions and spins in its own area (no shared counter, so counting does not contend).
The classes are the rows of the lock order: a CPU may take a lock only of a class below those it
holds.

    memcg_slab_mutex > slab_mutex > alien_lock, barn_lock > list_lock (node), slob_lock > zone_lock > ring_lock

`slab_mutex` and `memcg_slab_mutex` are mutexes: taken with interrupts on, waited for by sleeping and
serving interrupts (`mutex_lock`). The others spin and are taken with interrupts off, so an IPI
handler can never find its own CPU holding one.
"""

from __future__ import annotations

from shm.atomics import book, cmpxchg, cpu_area, os_sleep, read_once, store_release, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.ipi import serve_ipis
from shm.layout import struct
from shm.machine import CPU, Machine
from shm.virtual.waits import lock_in_time, try_in_time, unlock_in_time
from shm.virtual.words import LOCK_KINDS, MUTEX_KINDS
from shm.waiting import NAP, pause

LOCK_CLASSES = (
    "memcg_slab_mutex",
    "slab_mutex",
    "alien_lock",
    "barn_lock",
    "list_lock",
    "slob_lock",
    "zone_lock",
    "ring_lock",
)
MEMCG_SLAB_MUTEX, SLAB_MUTEX, ALIEN_LOCK, BARN_LOCK, LIST_LOCK, SLOB_LOCK, ZONE_LOCK, RING_LOCK = range(
    len(LOCK_CLASSES)
)

# Per CPU, one for each class, right behind the CPU struct (see `percpu_words`).
LOCK_COUNT = struct("LOCK_COUNT", "acquired", "contended", "spins", size=4)
LOCK_COUNTS = CPU.SIZE
assert len(LOCK_CLASSES) == LOCK_KINDS and SLAB_MUTEX + 1 == MUTEX_KINDS
PERCPU_WORDS = CPU.SIZE + LOCK_COUNT.SIZE * len(LOCK_CLASSES)


@dual
def spin_trylock(m: Machine, lock: int, kind: int) -> bool:
    """Take the lock if it is free."""
    if m.has("VTIME"):
        if not try_in_time(m, lock, kind):
            return False
        write_book(m, lock, this_cpu(m) + 1)
    elif cmpxchg(m, lock, 0, this_cpu(m) + 1) != 0:
        return False
    if m.has("STATS"):
        book(m, cpu_area(m) + LOCK_COUNTS + kind * LOCK_COUNT.SIZE + LOCK_COUNT.acquired, 1)
    return True


@dual
def _lock_in_time(m: Machine, lock: int, kind: int) -> None:
    """VTIME: nobody holds it in memory, as operations are played one after the other; its calendar says who does."""
    waited = lock_in_time(m, lock, kind)
    write_book(m, lock, this_cpu(m) + 1)
    if m.has("STATS"):
        a = cpu_area(m) + LOCK_COUNTS + kind * LOCK_COUNT.SIZE
        book(m, a + LOCK_COUNT.acquired, 1)
        if waited:
            book(m, a + LOCK_COUNT.contended, 1)


@dual_slow
def spin_wait(m: Machine, lock: int, kind: int) -> None:
    """The slow half of spin_lock: somebody holds it."""
    spins = 0
    while True:
        while read_once(m, lock) != 0:
            spins += 1
            pause(m, spins)
        if cmpxchg(m, lock, 0, this_cpu(m) + 1) == 0:
            break
    if m.has("STATS"):
        a = cpu_area(m) + LOCK_COUNTS + kind * LOCK_COUNT.SIZE
        book(m, a + LOCK_COUNT.acquired, 1)
        book(m, a + LOCK_COUNT.contended, 1)
        book(m, a + LOCK_COUNT.spins, spins)


@dual
def spin_lock(m: Machine, lock: int, kind: int) -> None:
    """Take the lock; interrupts must be off (or the lock never taken by a handler)."""
    if m.has("VTIME"):
        _lock_in_time(m, lock, kind)
    elif not spin_trylock(m, lock, kind):
        spin_wait(m, lock, kind)


@dual
def spin_unlock(m: Machine, lock: int) -> None:
    if m.has("VTIME"):
        unlock_in_time(m, lock)
        write_book(m, lock, 0)
    else:
        store_release(m, lock, 0)


@dual
def mutex_lock(m: Machine, lock: int, kind: int) -> None:
    """Take a mutex; interrupts must be on. Waits asleep, answering interrupts."""
    if m.has("VTIME"):
        _lock_in_time(m, lock, kind)
    else:
        while not spin_trylock(m, lock, kind):
            serve_ipis(m)
            os_sleep(m, NAP)


@dual
def mutex_unlock(m: Machine, lock: int) -> None:
    spin_unlock(m, lock)
