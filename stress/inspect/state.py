"""What a file says of a machine's slabs at one time."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)
class CacheState:
    """One cache, or one node of it. Sizes in bytes; None is what the file does not tell.

    active: objects in use (of SLUB's slabinfo, objects of CPU slabs and their partial lists count as used).
    order: of its slabs as the cache prefers them. cgroup: (id, path) of a child cache; node: NUMA node, where rows are.
    """

    name: str
    size: int
    active: int | None
    objects: int | None
    per_slab: int | None
    order: int | None
    slabs: int | None
    cgroup: tuple[int, str] | None = None
    node: int | None = None
    min_order: int | None = None
    debug: tuple[str, ...] = ()
    tunables: tuple[int, int, int] = (0, 0, 0)

    @property
    def pages(self) -> int:
        """Pages of its slabs, as far as they are known."""
        if self.slabs is None or self.order is None:
            return 0
        mixed = self.mixture()
        small = mixed[1] if mixed else 0
        return ((self.slabs - small) << self.order) + (small << (self.min_order or 0))

    def mixture(self) -> tuple[int, int] | None:
        """(slabs of the preferred order, of the least order), where objects and slabs tell that both are there."""
        if None in (self.objects, self.slabs, self.per_slab, self.order) or not self.slabs:
            return None
        if not self.size:  # no cache has such objects: the file is damaged
            return None
        assert self.objects is not None and self.slabs is not None and self.per_slab is not None
        missing = self.slabs * self.per_slab - self.objects
        if missing <= 0:
            return None
        least = self.min_order if self.min_order is not None else max(0, (self.size - 1).bit_length() - 12)
        fewer = self.per_slab - (4096 << least) // self.size
        if fewer <= 0 or missing % fewer or missing // fewer > self.slabs:
            return None
        self.min_order = least
        return self.slabs - missing // fewer, missing // fewer

    def spare_slabs(self) -> int | None:
        """Slabs that would be free if the objects in use were packed into as few as they need."""
        if self.active is None or self.slabs is None or not self.per_slab:
            return None
        if self.mixture() and self.objects is not None:
            return max(0, self.objects - self.active) // self.per_slab
        return max(0, self.slabs - -(-self.active // self.per_slab))


@dataclasses.dataclass(slots=True)
class State:
    """A file. kind: its format; failures: allocations that SLUB could not serve (dmesg)."""

    path: str
    kind: str
    allocator: str = "slub"
    caches: list[CacheState] = dataclasses.field(default_factory=list)
    dying: dict[str, int] = dataclasses.field(default_factory=dict)
    alive: dict[str, int] = dataclasses.field(default_factory=dict)
    failures: int = 0
    unread: list[int] = dataclasses.field(default_factory=list)
    unknown: list[str] = dataclasses.field(default_factory=list)
