"""Root caches of Linux 3.16 that a process in a container makes use of, and how it uses them.

Names, sizes, alignments and constructors are those of a 3.16.0 on x86-64. Popularity and the scale of
the lives are guesses at a server's mix: names and inodes live long, small buffers hardly at all.
"""

from __future__ import annotations

import dataclasses

from scenarios.tape import CacheSpec


@dataclasses.dataclass(frozen=True, slots=True)
class KernelCache:
    """weight: its part of all allocations, relative. life: factor on the median life of objects. remote_share: of its
    objects, freed on another CPU than allocated them; None for the parameters'."""

    spec: CacheSpec
    weight: float
    life: float
    remote_share: float | None = None


KERNEL_CACHES: dict[str, KernelCache] = {
    cache.spec.name: cache
    for cache in (
        KernelCache(CacheSpec("kmalloc-64", 64), 22, 0.5),
        KernelCache(CacheSpec("kmalloc-128", 128), 14, 0.5),
        KernelCache(CacheSpec("kmalloc-256", 256), 10, 0.5),
        KernelCache(CacheSpec("kmalloc-512", 512), 6, 0.5),
        KernelCache(CacheSpec("kmalloc-1024", 1024), 4, 0.5),
        KernelCache(CacheSpec("kmalloc-4096", 4096), 1, 0.25),
        KernelCache(CacheSpec("dentry", 192), 20, 3.0),
        KernelCache(CacheSpec("inode_cache", 528, has_ctor=True), 8, 3.0),
        KernelCache(CacheSpec("filp", 248, align=64), 11, 1.0),
        KernelCache(CacheSpec("radix_tree_node", 576, has_ctor=True), 4, 2.0),
    )
}
