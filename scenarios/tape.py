"""Tapes: what every CPU does, as arrays of integers, and the schedule of cgroup events beside them.

A scenario (or a reader of recorded kernel traces) turns parameters and a seed into a `Workload`;
one compiled engine plays any workload on any allocator and design. So "before" and "after" see the
same work, and whoever writes a scenario never meets the allocators or the compiler.

An operation is one int64 word::

    bit   0..3    opcode                 (OP_*)
    bit   4..15   a: cache index or section kind   (0..4095)
    bit  16..34   b: cgroup index        (0..524_287; 0 is the root cgroup: never charged)
    bit  35       flag of ALLOC: it may not block (gfp flags without direct reclaim); of FREE: it may not spin
    bit  36..62   c: slot, count, round or event   (0..134_217_727)

Slots are global to the workload: one CPU allocates into a slot, the same or another CPU frees it,
exactly once per allocation. A free of a slot that its allocator has not filled yet waits for it, so
a remote free needs no further synchronisation, but it must lie in a *later round* than the
allocation (or on the same CPU after it): then no cycle of waits can exist.

Rounds order the tapes loosely. ``ROUND r`` publishes that this CPU has reached round r. An event of
the schedule with ``round == r`` runs, in schedule order, once every CPU has published a round >= r;
``WAIT e`` holds a CPU until the first e events of the schedule are done. An allocation on behalf of
cgroup g must come after a WAIT for its creation, and g's offline event must carry a round that lies
after g's last allocation on every CPU (a cgroup with tasks in it cannot be removed).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

OP_END = 0
OP_ALLOC = 1  # a=cache, b=cgroup, c=slot, flag: may not block
OP_FREE = 2  # c=slot, flag: may not spin (kfree_nolock)
OP_SECTION_BEGIN = 3  # a=SECTION_*
OP_SECTION_END = 4  # a=SECTION_*, c=operations inside
OP_ROUND = 5  # c=round
OP_WAIT = 6  # c=number of schedule events that must be done
OP_SLEEP = 7  # a=SLEEP_*, c=microseconds of kernel time, in serial play; elsewhere nothing
OP_CUT = 8  # a turn ends here, see `stress.play.turns`; scenarios write none. Loops end where the low 3 bits are 0
OP_KFREE_RCU = 9  # c=slot; as OP_FREE, and the object itself is freed after a grace period

OP_NAMES = ("end", "alloc", "free", "section_begin", "section_end", "round", "wait", "sleep", "cut", "kfree_rcu")
OPERATIONS = (OP_ALLOC, OP_FREE, OP_KFREE_RCU)  # what is counted: allocations and frees

# What the CPUs do while one sleeps, which decides when deferrable timers run (SLAB's cache_reap).
SLEEP_BUSY = 0  # all run something: timers are on time
SLEEP_ALONE = 1  # all are idle, and only the sleeper wakes: its own timers are late, the others' wait for an operation
SLEEP_ALL = 2  # all are idle and wake with it

# Kinds of timed sections: bursts of one sort, timed as a whole.
SECTION_LIVE_FREE = 0
SECTION_DEAD_FREE = 1
SECTION_ALLOC = 2
SECTION_MIXED = 3
SECTIONS = ("live", "dead", "alloc", "mixed")

OP_MASK = 15
A_SHIFT, A_BITS = 4, 12
B_SHIFT, B_BITS = 16, 19
FLAG = 1 << 35
C_SHIFT, C_BITS = 36, 27

# Kinds of events. `arg` is a cgroup index or a cache index.
EV_CREATE_CGROUP = 1  # arg=cgroup
EV_OFFLINE_CGROUP = 2  # arg=cgroup
EV_SHRINK_CACHE = 3  # arg=cache: kmem_cache_shrink
EV_CREATE_CACHE = 4  # arg=cache: kmem_cache_create (root cache, or child when its spec has a parent)
EV_DESTROY_CACHE = 5  # arg=cache: kmem_cache_destroy
EV_OFFLINE_CACHE = 6  # arg=cache: its memcg's offline reached this child
EV_MARK = 7  # arg=mark index: take a census of slabs per cache
EV_FLUSH_CACHE = 8  # arg=cache: SLUB's CPUs give back what they hold, as when each goes offline and comes back
EV_NAMES = (
    "",
    "create_cgroup",
    "offline_cgroup",
    "shrink_cache",
    "create_cache",
    "destroy_cache",
    "offline_cache",
    "mark",
    "flush_cache",
)


@dataclasses.dataclass(frozen=True, slots=True)
class CacheSpec:
    """What `kmem_cache_create` is given, sizes in bytes.

    `size` is the recorded stride of a real cache; 0 lets the allocator compute it from
    `object_size` and `align`. `parent` (index of the root cache) and `cgroup` make it a child cache.
    `created` False means that an EV_CREATE_CACHE event will create it. `cpu_partial` False: SLUB keeps no CPU partial
    lists for it. `sheaf_capacity`: of the sheaves that its creator asks for (6.18), 0: it asks for none.
    """

    name: str
    object_size: int
    size: int = 0
    align: int = 8
    destroy_by_rcu: bool = False
    has_ctor: bool = False
    parent: int = -1
    cgroup: int = 0
    created: bool = True
    cpu_partial: bool = True
    sheaf_capacity: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One entry of the schedule; see the module's text for when it runs.

    cpu: in serial play the event runs as this CPU; -1 (and always in parallel play) the kworker's.
    """

    kind: int
    arg: int
    round: int
    cpu: int = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """Everything an engine needs to play a scenario.

    tapes: one int64 array per CPU, each ending in OP_END.
    slots: slots are 0 to slots - 1. cgroups: besides the root there are cgroups 1 to `cgroups`.
    order: None, or a uint8 array naming, for each operation of the exact global order, the CPU whose
        next operation it is (OP_END excluded); serial play follows it instead of a seeded order.
    """

    name: str
    caches: tuple[CacheSpec, ...]
    tapes: tuple[np.ndarray, ...]
    events: tuple[Event, ...]
    slots: int
    cgroups: int
    order: np.ndarray | None = None
    marks: tuple[str, ...] = ()

    @property
    def cpus(self) -> int:
        return len(self.tapes)

    def operations(self) -> int:
        """Allocations and frees in all tapes together."""
        total = 0
        for tape in self.tapes:
            total += int(np.count_nonzero(np.isin(tape & OP_MASK, OPERATIONS)))
        return total


def op(code: int, a: ArrayLike = 0, b: ArrayLike = 0, c: ArrayLike = 0, *, flag: ArrayLike = False) -> np.ndarray:
    """Encode operations; scalars and arrays (int64, flag: bool) broadcast. Fields are range-checked.

    Raises ValueError when a field does not fit its bits.
    """
    fields = [np.asarray(field, dtype=np.int64) for field in (a, b, c)]
    for name, value, bits in zip("abc", fields, (A_BITS, B_BITS, C_BITS), strict=True):
        if value.size and (value.min() < 0 or value.max() >> bits):
            raise ValueError(f"tape operation {OP_NAMES[code]}: field {name} does not fit in {bits} bits")
    flags = np.where(flag, FLAG, 0)
    return np.atleast_1d(code | (fields[0] << A_SHIFT) | (fields[1] << B_SHIFT) | flags | (fields[2] << C_SHIFT))


def word(code: int, a: int = 0, b: int = 0, c: int = 0) -> int:
    """Encode one operation; cheaper than `op` for the many marks of a tape.

    Raises ValueError when a field does not fit its bits.
    """
    for name, value, bits in (("a", a, A_BITS), ("b", b, B_BITS), ("c", c, C_BITS)):
        if value < 0 or value >> bits:
            raise ValueError(f"tape operation {OP_NAMES[code]}: field {name} does not fit in {bits} bits")
    return code | (a << A_SHIFT) | (b << B_SHIFT) | (c << C_SHIFT)


def concatenate(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join encoded parts into one tape and close it with OP_END."""
    return np.concatenate([*parts, op(OP_END)])


def decode(tape: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(opcode, a, b, c) arrays of a tape; its flags are in `tape & FLAG`."""
    mask = lambda bits: (1 << bits) - 1
    return (
        tape & OP_MASK,
        (tape >> A_SHIFT) & mask(A_BITS),
        (tape >> B_SHIFT) & mask(B_BITS),
        (tape >> C_SHIFT) & mask(C_BITS),
    )
