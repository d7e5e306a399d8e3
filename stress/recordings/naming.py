"""Which cache an object is of: its own name, or that of the other objects of its sizes, or what its sizes say."""

from __future__ import annotations

import dataclasses

import numpy as np

from stress.recordings import pair as p
from stress.recordings.reading import Reader

LARGEST_KMALLOC = 8192  # bytes; beyond, SLUB's kmalloc is the page allocator
LARGEST_SLAB = 1 << 15  # bytes, a slab of order 3
_SPECIAL = {1: "dma-kmalloc", 2: "kmalloc-rcl"}
# v3.16's SLAB_DESTROY_BY_RCU caches: mm/rmap.c, kernel/fork.c, net/.
DESTROY_BY_RCU = {"anon_vma", "sighand_cache", "TCP", "TCPv6", "UDP", "UDPv6", "UDP-Lite", "UDPLITEv6"}


@dataclasses.dataclass(frozen=True, slots=True)
class Cache:
    """A cache of a recording. object_size, size: bytes; in_slabs: False for what the page allocator serves."""

    name: str
    object_size: int
    size: int
    in_slabs: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """caches, and of[key] the number of a key's cache."""

    caches: tuple[Cache, ...]
    of: np.ndarray


def name_caches(reader: Reader) -> Named:
    """The caches of all keys of a recording that has been read to its end.

    A kmem_cache_alloc tells its cache's name only since late in 6.x; before, the free of the object does (5.12 on). An
    object without such a free is of the cache that all named objects of its sizes are of, if that is one; else of an
    unknown one, `?REQ/ALLOC`.
    """
    count = int(reader.counts[p.KEYS_USED])
    keys = reader.keys[:count]
    named: dict[tuple[int, int], set[int]] = {}
    for key in keys[(keys[:, p.SLAB] == 1) & (keys[:, p.NAMED] >= 0)]:
        named.setdefault((int(key[p.WANTED]), int(key[p.GIVEN])), set()).add(int(key[p.NAMED]))
    caches: dict[Cache, int] = {}
    of = np.zeros(count, np.int64)
    for number, key in enumerate(keys):
        wanted, given = int(key[p.WANTED]), int(key[p.GIVEN])
        if key[p.SLAB] == 0:
            prefix = _SPECIAL.get(int(key[p.SPECIAL]), "kmalloc-cg" if key[p.CHARGED] else "kmalloc")
            cache = Cache(f"{prefix}-{given}", given, given, given <= LARGEST_KMALLOC)
        else:
            name = int(key[p.NAMED])
            if name < 0:
                others = named.get((wanted, given), set())
                name = next(iter(others)) if len(others) == 1 else -1
            text = reader.names.text(name) if name >= 0 else f"?{wanted}/{given}"
            cache = Cache(text, wanted, given, 0 < given <= LARGEST_SLAB)
        of[number] = caches.setdefault(cache, len(caches))
    return Named(tuple(caches), of)
