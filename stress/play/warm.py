"""Tapes of batches on one CPU, in an arena where everything is warm: what the benchmark and counted instructions play.

No schedule and no kworker: the cgroup and its child cache exist before the tape begins, made by the
allocators' own code on the interpreted engine. Every tape frees all it allocates, so it can be played
again and again from the state it left.
"""

from __future__ import annotations

import numpy as np

from allocators.caches.memcg_caches import create_memcg, register_child
from scenarios import tape
from shm.layout import CACHE_LINE
from stress.engine import RUN
from stress.play.arena import Arena

OBJECT_SIZE = 64
CGROUP = 1
MEMORY = 16 << 20
ENDLESS = 1 << 62


def batches(batch: int, operations: int, *, shuffle: int | None = None) -> tape.Workload:
    """One CPU allocates `batch` objects for a cgroup and frees them, until `operations` are done.

    shuffle: free in a random order of this seed instead of the order of allocation.
    """
    slots = np.arange(batch)
    parts = []
    rng = np.random.default_rng(shuffle)
    for _ in range(max(1, operations // (2 * batch))):
        freed = slots if shuffle is None else rng.permutation(slots)
        parts += [tape.op(tape.OP_ALLOC, b=CGROUP, c=slots), tape.op(tape.OP_FREE, c=freed)]
    return tape.Workload(
        name=f"batches of {batch}",
        caches=(tape.CacheSpec(f"test-{OBJECT_SIZE}", OBJECT_SIZE),),
        tapes=(tape.concatenate(parts),),
        events=(),
        slots=-(-batch // CACHE_LINE) * CACHE_LINE,
        cgroups=CGROUP,
    )


def warm_arena(load: tape.Workload, features: frozenset[str]) -> Arena:
    """An arena in which `cpu_main` plays this one-CPU workload at once and returns at its end.

    After `rewind` it plays it once more.
    """
    arena = Arena(load, memory=MEMORY)
    reset(arena, features)
    return arena


def reset(arena: Arena, features: frozenset[str]) -> None:
    """Boot the arena anew and bring it to the state before the first play."""
    arena.reset(features)
    m = arena.machine(features, arena.kworker_cpu)
    memcg = create_memcg(m, CGROUP)
    register_child(m, arena.words[arena.plan["cache_table"]], memcg)
    arena.words[arena.run + RUN.expected] = 1  # nobody else comes to the start line,
    arena.words[arena.run + RUN.over] = ENDLESS  # and there is nothing to wait for at the end of any turn


def rewind(arena: Arena) -> None:
    """Back to the tape's beginning, the world as it is."""
    arena.plays()["tape"] = arena.plan["tape0"]
