"""Sizes and orders of SLUB slabs (v3.16 calculate_sizes, calculate_order; spec section 1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from allocators.core.world import MAX_OBJECTS, PAGE_BYTES

MAX_SLAB_ORDER = 3
MIN_PARTIAL, MAX_PARTIAL = 5, 10
LARGEST = PAGE_BYTES << MAX_SLAB_ORDER


@dataclass(frozen=True, slots=True)
class Sizing:
    """Of one cache; size and offset in bytes, orders and objects for the preferred and the minimum slab.

    cpu_partial: free objects that a CPU's partial list may hold (3.16). cpu_partial_slabs: slabs (F_PARTIALSLABS).
    """

    size: int
    offset: int
    order: int
    objects: int
    min_order: int
    min_objects: int
    min_partial: int
    cpu_partial: int
    cpu_partial_slabs: int

    def descriptor(self) -> dict[str, int]:
        """CACHE fields and their values."""
        return {
            "offset": self.offset // 8,
            "size": self.size // 8,
            "cpu_partial": self.cpu_partial,
            "min_partial": self.min_partial,
            "oo_order": self.order,
            "oo_objects": self.objects,
            "min_order": self.min_order,
            "min_objects": self.min_objects,
            "max_objects": max(self.objects, self.min_objects),
        }


def _order_for(size: int, min_objects: int, max_order: int, fraction: int) -> int:
    needed = max(0, (min_objects * size - 1).bit_length() - 12)
    for order in range(needed, max_order + 1):
        slab = PAGE_BYTES << order
        if slab >= min_objects * size and slab % size <= slab // fraction:
            return order
    return max_order + 1


def slab_order(size: int, cpus: int) -> int:
    """Preferred order of slabs for objects of `size` bytes on a machine of `cpus`."""
    objects = min(4 * (cpus.bit_length() + 1), LARGEST // size)
    while objects > 1:
        for fraction in (16, 8, 4):
            order = _order_for(size, objects, MAX_SLAB_ORDER, fraction)
            if order <= MAX_SLAB_ORDER:
                return order
        objects -= 1
    order = _order_for(size, 1, MAX_SLAB_ORDER, 1)
    if order <= MAX_SLAB_ORDER:
        return order
    raise ValueError(f"objects of {size} bytes do not fit a slab of order {MAX_SLAB_ORDER}")


def cpu_partial_slabs(size: int, objects: int) -> int:
    """Slabs of `objects` that a CPU's partial list may hold (v6.18 set_cpu_partial): as many as hold 120, 52, 24 or 6
    objects by the size in bytes, if half of each is free.
    """
    wanted = 6 if size >= PAGE_BYTES else 24 if size >= 1024 else 52 if size >= 256 else 120
    return -(-2 * wanted // objects)


def sizing(
    object_size: int, align: int, cpus: int, *, size: int = 0, pointer_outside: bool = False, cpu_partial: bool = True
) -> Sizing:
    """Everything `kmem_cache_open` computes. Sizes in bytes.

    size: take this stride instead of computing it (a recorded cache). pointer_outside: the free
    pointer may not overwrite the object (constructor or SLAB_DESTROY_BY_RCU), so it lies behind it.
    Raises ValueError for sizes that no SLUB cache has.
    """
    if object_size < 1 or align < 1 or align & (align - 1):
        raise ValueError(f"object size {object_size} must be positive and alignment {align} a power of two")
    inner = -(-object_size // 8) * 8
    offset = 0
    computed = inner
    if pointer_outside:
        offset, computed = inner, inner + 8
    align = max(align, 8)
    computed = -(-computed // align) * align
    if not size:
        size = computed
    elif size % 8 or size < inner:
        raise ValueError(f"a stride of {size} bytes does not hold objects of {object_size} bytes on 8-byte words")
    elif offset + 8 > size:
        offset = 0  # the recorded stride has no room behind the object: the pointer must lie inside
    order = slab_order(size, cpus)
    min_order = max(0, (size - 1).bit_length() - 12)
    objects = (PAGE_BYTES << order) // size
    if objects > MAX_OBJECTS:
        raise ValueError(f"{objects} objects of {size} bytes in a slab; {MAX_OBJECTS} are supported")
    partial = slabs = 0
    if cpu_partial:
        partial = 2 if size >= PAGE_BYTES else 6 if size >= 1024 else 13 if size >= 256 else 30
        slabs = cpu_partial_slabs(size, objects)
    return Sizing(
        size=size,
        offset=offset,
        order=order,
        objects=objects,
        min_order=min_order,
        min_objects=(PAGE_BYTES << min_order) // size,
        min_partial=min(max((size.bit_length() - 1) // 2, MIN_PARTIAL), MAX_PARTIAL),
        cpu_partial=partial,
        cpu_partial_slabs=slabs,
    )
