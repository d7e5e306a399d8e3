"""What SLUB's sizing makes of a cache, and which numbers of possible CPUs a file agrees with."""

from __future__ import annotations

from collections.abc import Iterable

from allocators.slub.sizing import LARGEST, slab_order
from stress.inspect.state import CacheState

MOST_BITS = 14  # nr_cpu_ids below 16,384


def agrees(cache: CacheState) -> set[int] | None:
    """Numbers of bits of nr_cpu_ids for which SLUB chooses the cache's order; None where the file does not tell it."""
    if cache.order is None or cache.per_slab is None or not 8 <= cache.size <= LARGEST or cache.size % 8:
        return None
    if (4096 << cache.order) // cache.size != cache.per_slab:
        return set()
    return {bits for bits in range(1, MOST_BITS + 1) if slab_order(cache.size, (1 << bits) - 1) == cache.order}


def possible_cpus(caches: Iterable[CacheState]) -> tuple[tuple[int, int] | None, list[CacheState]]:
    """((least, most) possible CPUs that most caches agree with, caches that do not)."""
    told = [(cache, bits) for cache in caches if (bits := agrees(cache)) is not None]
    votes = {bits: sum(bits in of for _, of in told) for bits in range(1, MOST_BITS + 1)}
    if not told or not max(votes.values()):
        return None, [cache for cache, _ in told]
    best = [bits for bits, number in votes.items() if number == max(votes.values())]
    return (1 << (best[0] - 1), (1 << best[-1]) - 1), [cache for cache, of in told if best[0] not in of]
