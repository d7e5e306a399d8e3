"""Spin locks name their owner and count by class, one process (two processes: see test_two_cpus)."""

from __future__ import annotations

from bare_machine import BareMachine

from shm.locks import (
    LIST_LOCK,
    LOCK_CLASSES,
    LOCK_COUNT,
    LOCK_COUNTS,
    SLAB_MUTEX,
    ZONE_LOCK,
    mutex_lock,
    mutex_unlock,
    spin_lock,
    spin_trylock,
    spin_unlock,
    spin_wait,
)
from shm.machine import Machine

STATS = frozenset({"STATS"})


def counts(bare: BareMachine, cpu: int, kind: int) -> list[int]:
    """[acquired, contended, spins] of one class on one CPU."""
    at = bare.cpu(cpu).pcpu + LOCK_COUNTS + kind * LOCK_COUNT.SIZE
    return list(bare.mem[at : at + 3])


def test_the_word_names_the_owner():
    bare = BareMachine(lock=1)
    lock = bare.at["lock"]
    spin_lock(bare.cpu(1), lock, LIST_LOCK)
    assert bare.mem[lock] == 2
    assert not spin_trylock(bare.cpu(0), lock, LIST_LOCK)
    assert not spin_trylock(bare.cpu(1), lock, LIST_LOCK), "not recursive"
    spin_unlock(bare.cpu(1), lock)
    assert bare.mem[lock] == 0
    assert spin_trylock(bare.cpu(0), lock, LIST_LOCK)


def test_acquisitions_are_counted_by_cpu_and_class():
    bare = BareMachine(features=STATS, lock=1)
    lock = bare.at["lock"]
    for _ in range(3):
        spin_lock(bare.cpu(1), lock, LIST_LOCK)
        assert not spin_trylock(bare.cpu(0), lock, LIST_LOCK), "a failed try counts nothing"
        spin_unlock(bare.cpu(1), lock)
    mutex_lock(bare.cpu(0), lock, SLAB_MUTEX)
    mutex_unlock(bare.cpu(0), lock)
    assert counts(bare, 1, LIST_LOCK) == [3, 0, 0]
    assert counts(bare, 0, SLAB_MUTEX) == [1, 0, 0]
    others = [
        (cpu, kind)
        for cpu in (0, 1)
        for kind in range(len(LOCK_CLASSES))
        if (cpu, kind) not in ((1, LIST_LOCK), (0, SLAB_MUTEX))
    ]
    assert all(counts(bare, *other) == [0, 0, 0] for other in others)


def test_contention_counts_its_spins():
    class Patient(Machine):
        """Whoever waits on this machine gets the lock after five turns."""

        __slots__ = ("turns",)

        def relax(self):
            self.turns = getattr(self, "turns", 0) + 1
            if self.turns == 5:
                spin_unlock(self, lock)

    bare = BareMachine(features=STATS, lock=1)
    lock = bare.at["lock"]
    bare.mem[lock] = 1
    spin_wait(Patient(bare.mem, 1, STATS, "bare"), lock, ZONE_LOCK)
    assert bare.mem[lock] == 2
    assert counts(bare, 1, ZONE_LOCK) == [1, 1, 5]


def test_without_statistics_nothing_is_counted():
    bare = BareMachine(lock=1)
    spin_lock(bare.cpu(0), bare.at["lock"], LIST_LOCK)
    assert counts(bare, 0, LIST_LOCK) == [0, 0, 0]
