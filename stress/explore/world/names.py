"""Names of words, for people: `slab 3 .pair` instead of word 70193."""

from __future__ import annotations

from allocators.caches.layout import Layout
from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE
from allocators.core.page_alloc import PAGE, ZONE
from allocators.core.page_pair import FROZEN, freelist_of, inuse_of, objects_of
from allocators.core.world import CACHES_AT, KMEM_CACHE_CPU_WORDS, MEM_MAP, PAGE_SHIFT, STAT_WORDS, WORLD, WORLD_AT
from allocators.memcg.memcontrol import MEMCG
from allocators.slab.state import SLAB_NODE
from allocators.slob.state import SLOB
from allocators.slub.state import STAT
from shm.layout import field_name
from shm.machine import CPU, MACHINE
from shm.ring import ITEM, RING


class Names:
    """Of a world's words. Pages are numbered from the first frame of the zones."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def of(self, a: int) -> str:
        """The struct and field that word `a` is."""
        layout, plan, limits = self.layout, self.layout.plan, self.layout.limits
        if a < MACHINE.SIZE:
            return f"machine .{field_name(MACHINE, a)}" if a >= 0 else f"word {a}"
        if a < WORLD_AT + WORLD.SIZE:
            return f"world .{field_name(WORLD, a - WORLD_AT)}"
        if "owners" in plan.regions and plan["owners"] <= a < layout.words:
            frame, obj = divmod(a - plan["owners"], 1 << PAGE_SHIFT)
            return f"page {frame} owner {obj}"
        if a >= layout.first_frame << PAGE_SHIFT:
            return f"page {(a >> PAGE_SHIFT) - layout.first_frame} word {a & (1 << PAGE_SHIFT) - 1}"
        for name, struct, label in (
            ("caches", CACHE, "cache"),
            ("memcgs", MEMCG, "memcg"),
            ("zones", ZONE, "zone"),
            ("slob", SLOB, "slob"),
        ):
            base, size = plan.regions.get(name, (0, 0))
            if base <= a < base + size:
                number, field = divmod(a - base, struct.SIZE)
                return f"{label} {number} .{field_name(struct, field)}"
        for name, struct in (("nodes", NODE), ("slab_nodes", SLAB_NODE)):  # SLAB has its own beside the common ones
            base, size = plan.regions.get(name, (0, 0))
            if base <= a < base + size:
                number, field = divmod(a - base, struct.SIZE)
                return f"cache {number // limits.nodes} node {number % limits.nodes} .{field_name(struct, field)}"
        for name in ("workqueue", "rcu_queue"):
            base, size = plan.regions[name]
            if base <= a < base + size:
                if a < base + RING.SIZE:
                    return f"{name} .{field_name(RING, a - base)}"
                item, field = divmod(a - base - RING.SIZE, ITEM.SIZE)
                return f"{name} item {item} .{field_name(ITEM, field)}"
        if MEM_MAP <= a < MEM_MAP + layout.last_frame * PAGE.SIZE:
            frame, field = divmod(a - MEM_MAP, PAGE.SIZE)
            return f"page {frame - layout.first_frame} .{field_name(PAGE, field)}"
        if layout.percpu_base <= a < layout.percpu_base + layout.nr_cpus * layout.percpu_stride:
            return self._percpu(*divmod(a - layout.percpu_base, layout.percpu_stride))
        for name, (base, size) in plan.regions.items():
            if base <= a < base + size:
                return f"{name}[{a - base}]"
        return f"word {a}"

    def _percpu(self, cpu: int, at: int) -> str:
        caches = self.layout.limits.caches
        if at < CPU.SIZE:
            return f"cpu{cpu} .{field_name(CPU, at)}"
        number, field = divmod(at - CACHES_AT, KMEM_CACHE_CPU_WORDS)
        if 0 <= number < caches:
            return f"cache {number} cpu{cpu} .{field_name(KMEM_CACHE_CPU, field)}"
        number, field = divmod(at - CACHES_AT - caches * KMEM_CACHE_CPU_WORDS, STAT_WORDS)
        if 0 <= number < caches:
            return f"cache {number} cpu{cpu} stat {field_name(STAT, field)}"
        return f"cpu{cpu} word {at}"

    def value(self, a: int, v: int) -> str:
        """A value as what it is in word `a`: a page pair, a pointer, a number."""
        name = self.of(a)
        if name.endswith(".pair") and name.startswith("page") and v >> 31:
            frozen = " frozen" if v & FROZEN else ""
            return f"[{self.pointer(freelist_of(v))} {inuse_of(v)}/{objects_of(v)}{frozen}]"
        if name.endswith(".pair") and v >> 32:
            return f"[{self.pointer(freelist_of(v))} tid {v & 0xFFFFFFFF}]"
        return self.pointer(v)

    def pointer(self, v: int) -> str:
        """A pointer by what it points to."""
        layout = self.layout
        if layout.first_frame << PAGE_SHIFT <= v < layout.words:
            return f"object {(v >> PAGE_SHIFT) - layout.first_frame}:{v & (1 << PAGE_SHIFT) - 1}"
        first = MEM_MAP + layout.first_frame * PAGE.SIZE
        if first <= v < MEM_MAP + layout.last_frame * PAGE.SIZE and (v - MEM_MAP) % PAGE.SIZE == 0:
            return f"page {(v - first) // PAGE.SIZE}"
        base, size = layout.plan.regions["caches"]
        if base <= v < base + size and (v - base) % CACHE.SIZE == 0:
            return f"cache {(v - base) // CACHE.SIZE}"
        return str(v)
