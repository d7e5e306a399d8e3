"""Failures on purpose: page allocations that fail with a probability, shrink's sort array, vectors of owners.

`run --fail page-alloc:P` and `--fail shrink-alloc` set `fail_page_alloc` and `fail_shrink_alloc` of
WORLD before a block. Each CPU draws from a generator of its own, seeded with the block, so what fails
repeats exactly in serial play and depends on no other CPU in parallel play. Failures are counted with
and without STATS: they are rare, and a run must be able to say that it had any.
"""

from __future__ import annotations

from allocators.core.world import INJECTION, INJECTION_AT, WORLD, WORLD_AT, world
from shm.atomics import cpu_area, load, store
from shm.compiler import dual, dual_slow
from shm.machine import Machine
from shm.xorshift import BITS, next_random

CERTAIN = 1 << BITS  # `fail_page_alloc` of probability 1


@dual
def page_alloc_fails(m: Machine) -> bool:
    """Does this page allocation fail on purpose?"""
    chance = world(m, WORLD.fail_page_alloc)
    if chance == 0:
        return False
    return _drawn(m, chance)


@dual_slow
def _drawn(m: Machine, chance: int) -> bool:
    a = cpu_area(m) + INJECTION_AT
    if next_random(m, a + INJECTION.random) >= chance:
        return False
    store(m, a + INJECTION.page_allocs, load(m, a + INJECTION.page_allocs) + 1)
    return True


@dual
def vector_alloc_fails(m: Machine) -> bool:
    """Does the allocation of a vector of owners fail on purpose? The first so many of this CPU do."""
    a = cpu_area(m) + INJECTION_AT + INJECTION.vector_allocs
    left = load(m, a)
    if left == 0:
        return False
    store(m, a, left - 1)
    return True


@dual
def shrink_alloc_fails(m: Machine) -> bool:
    """Does the allocation of kmem_cache_shrink's sort array fail on purpose? Kworker only."""
    if world(m, WORLD.fail_shrink_alloc) == 0:
        return False
    store(m, WORLD_AT + WORLD.shrink_allocs_failed, load(m, WORLD_AT + WORLD.shrink_allocs_failed) + 1)
    return True
