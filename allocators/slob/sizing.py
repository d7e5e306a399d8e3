"""Sizes of SLOB objects (v3.16 mm/slob.c __kmem_cache_create, mm/slab_common.c calculate_alignment)."""

from __future__ import annotations

from dataclasses import dataclass

from allocators.core.page_alloc import MAX_ORDER
from allocators.core.world import PAGE_BYTES
from allocators.slob.state import SLOB_RCU_BYTES

MIN_ALIGN = 8  # ARCH_SLAB_MINALIGN: so objects begin at words


@dataclass(frozen=True, slots=True)
class SlobSizing:
    """Of one cache, in bytes. order: of the pages of an object of a page or more, else 0."""

    size: int
    align: int
    order: int

    def descriptor(self) -> dict[str, int]:
        """CACHE fields and their values."""
        return {"size": self.size, "offset": self.align, "oo_order": self.order}


def slob_sizing(object_size: int, align: int, *, destroy_by_rcu: bool = False) -> SlobSizing:
    """What creating a cache computes: no size is rounded, but an object that waits for RCU needs room for that.

    Raises ValueError for sizes that no SLOB cache has.
    """
    if object_size < 1 or align < 1 or align & (align - 1):
        raise ValueError(f"object size {object_size} must be positive and alignment {align} a power of two")
    if align > PAGE_BYTES:
        raise ValueError(f"an alignment of {align} bytes is more than a page, which is all that SLOB can give")
    size = object_size + (SLOB_RCU_BYTES if destroy_by_rcu else 0)
    order = max(0, (size - 1).bit_length() - 12)
    if order > MAX_ORDER:
        raise ValueError(f"objects of {size} bytes do not fit a block of order {MAX_ORDER}")
    return SlobSizing(size, max(align, MIN_ALIGN), order)
