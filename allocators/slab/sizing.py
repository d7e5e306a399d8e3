"""Sizes, orders and tunables of SLAB caches (v3.16 __kmem_cache_create, calculate_slab_order, enable_cpucache)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from allocators.core.world import FREELIST_WORDS, PAGE_BYTES
from allocators.slab.state import ALIEN_LIMIT, ARRAY_CACHE

SLAB_MAX_ORDER = 1  # with more than 32 MiB of memory
KMALLOC_MAX_ORDER = 10
MIN_SIZE = 16  # SLAB_OBJ_MIN_SIZE: indices are bytes
MAX_OBJECTS = 255  # SLAB_OBJ_MAX_NUM
OFF_SLAB_SIZE = PAGE_BYTES >> 5


@dataclass(frozen=True, slots=True)
class SlabSizing:
    """Of one cache, in bytes. management: of the index array inside a slab, 0 when it lies outside."""

    size: int
    order: int
    objects: int
    management: int
    limit: int
    batchcount: int
    shared: int

    def descriptor(self) -> dict[str, int]:
        """CACHE fields and their values."""
        return {
            "size": self.size // 8,
            "oo_order": self.order,
            "oo_objects": self.objects,
            "management": self.management // 8,
            "limit": self.limit,
            "batchcount": self.batchcount,
            "shared": self.shared,
        }


def _aligned(n: int, align: int) -> int:
    return -(-n // align) * align


def _estimate(order: int, size: int, align: int, off_slab: bool) -> tuple[int, int, int]:
    """(objects, bytes of management inside, bytes left over) of a slab (cache_estimate)."""
    slab = PAGE_BYTES << order
    if off_slab:
        return slab // size, 0, slab % size
    # Exact, or one too many because of the alignment.
    objects = slab // (size + 1)
    if slab - objects * size < _aligned(objects, align):
        objects -= 1
    management = _aligned(objects, align)
    return objects, management, slab - objects * size - management


def slab_order(size: int, align: int, off_slab: bool) -> tuple[int, int, int, int]:
    """(order, objects, management, left over) of slabs for a stride; ValueError when none can be had."""
    best = None
    for order in range(KMALLOC_MAX_ORDER + 1):
        objects, management, left = _estimate(order, size, align, off_slab)
        if objects <= 0:
            continue
        if objects > MAX_OBJECTS or off_slab and objects > size:
            break
        best = order, objects, management, left
        if order >= SLAB_MAX_ORDER or left * 8 <= PAGE_BYTES << order:
            break
    if best is None:
        raise ValueError(f"objects of {size} bytes do not fit a slab of order {KMALLOC_MAX_ORDER}")
    return best


def tunables(size: int, cpus: int) -> tuple[int, int, int]:
    """(limit, batchcount, shared) of a root cache; children inherit them."""
    if size > 128 << 10:
        limit = 1
    elif size > PAGE_BYTES:
        limit = 8
    elif size > 1024:
        limit = 24
    elif size > 256:
        limit = 54
    else:
        limit = 120
    return limit, (limit + 1) // 2, 8 if size <= PAGE_BYTES and cpus > 1 else 0


def slab_sizing(object_size: int, align: int, cpus: int, *, size: int = 0) -> SlabSizing:
    """Everything that creating a cache computes.

    size: take this stride, or the least there is, instead of computing it (a recorded cache).
    Raises ValueError for sizes that no SLAB cache has.
    """
    if object_size < 1 or align < 1 or align & (align - 1):
        raise ValueError(f"object size {object_size} must be positive and alignment {align} a power of two")
    align = max(align, 8)
    if not size:
        size = _aligned(object_size, align)
    elif size % 8 or size < _aligned(object_size, 8):
        raise ValueError(f"a stride of {size} bytes does not hold objects of {object_size} bytes on 8-byte words")
    size = max(size, _aligned(MIN_SIZE, align))
    off_slab = size >= OFF_SLAB_SIZE
    order, objects, management, left = slab_order(size, align, off_slab)
    if off_slab and left >= _aligned(objects, align):
        management = _aligned(objects, align)
    assert management or objects <= 8 * FREELIST_WORDS
    return SlabSizing(size, order, objects, management, *tunables(size, cpus))


def array_room(sizings: Iterable[SlabSizing], workers: int, nodes: int) -> ArrayRoom:
    """Room for the array caches of any cache with one of these sizings."""
    sizings = list(sizings)
    header = ARRAY_CACHE.SIZE
    cpu = header + _aligned(max((s.limit for s in sizings), default=1), 8)
    shared = header + _aligned(max((s.shared * s.batchcount for s in sizings), default=0), 8)
    alien = header + _aligned(ALIEN_LIMIT, 8) if nodes > 1 else 0
    return ArrayRoom(cpu, shared, alien, workers * cpu + nodes * (shared + nodes * alien))


@dataclasses.dataclass(frozen=True, slots=True)
class ArrayRoom:
    """SLAB: words of each kind of array_cache, for the largest of the root caches, and of a cache's all."""

    cpu: int
    shared: int
    alien: int
    cache: int
