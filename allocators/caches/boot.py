"""Boot: bring a planned segment to the state before the first allocation.

Runs in one process while no CPU plays, so plain NumPy stores do for the tables; root caches are
created by the allocators' own code on the interpreted engine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from allocators.caches.layout import Layout
from allocators.caches.slab_common import take_descriptor
from allocators.core.kmem_cache import CACHE, NODE, SLAB_DESTROY_BY_RCU, SLAB_NO_CPU_PARTIAL
from allocators.core.page_alloc import KIND_BUDDY, KIND_FREE_TAIL, KIND_RESERVED, MAX_ORDER, PAGE, ZONE
from allocators.core.world import (
    CACHES_AT,
    DEFRAG,
    DEFRAG_AT,
    INJECTION,
    INJECTION_AT,
    KMEM_CACHE_CPU_WORDS,
    MEM_MAP,
    STAT_WORDS,
    WORLD,
    WORLD_AT,
)
from allocators.memcg.memcontrol import MEMCG
from allocators.slab.setup import slab_setup
from allocators.slub.sheaf_state import boot_sheaves, sheaf_capacity
from allocators.slub.sizing import Sizing
from shm.atomics import store
from shm.layout import view
from shm.machine import CPU, MACHINE, MAGIC, Machine
from shm.ring import RING
from shm.xorshift import seed_of


class Sizes(Protocol):
    """What an allocator computed for a cache."""

    def descriptor(self) -> dict[str, int]:
        """CACHE fields and their values."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Root:
    """A root cache to create. object_size: bytes; index: of the workload, under which CPUs will find it.
    sheaf_capacity: what the creator asks for (kmem_cache_args), 0 nothing."""

    sizes: Sizes
    object_size: int
    index: int
    destroy_by_rcu: bool = False
    cpu_partial: bool = True
    sheaf_capacity: int = 0


def boot(words: np.ndarray, layout: Layout, *, serial: bool, seed: int = 1) -> None:
    """Write the boot state of everything but the page frames' contents and what only one allocator has (see `kinds`).

    words: the segment's array. seed: of the generators of every CPU. A second boot resets the world: nothing of the
    first one remains.
    """
    limits, plan = layout.limits, layout.plan
    words[:MEM_MAP] = 0
    for name, (base, count) in plan.regions.items():
        # SLAB's arrays and index arrays are large; whoever gets one initialises it.
        if name not in ("machine", "world", "mem_map", "arrays", "freelists", "owners"):
            words[base : base + count] = 0
    for field, value in {
        "magic": MAGIC,
        "words": layout.words,
        "nr_cpus": layout.nr_cpus,
        "workers": limits.workers,
        "percpu_base": layout.percpu_base,
        "percpu_stride": layout.percpu_stride,
        "serial": int(serial),
    }.items():
        words[getattr(MACHINE, field)] = value
    for cpu in range(layout.nr_cpus):
        area = layout.area(cpu)
        words[area + CPU.online] = 1
        number = _generator_number(seed, cpu)
        words[area + INJECTION_AT + INJECTION.random] = seed_of(number)
        words[area + DEFRAG_AT + DEFRAG.random] = seed_of(number, 1)
    for field, value in {
        "nr_nodes": limits.nodes,
        "max_caches": limits.caches,
        "max_memcgs": limits.memcgs,
        "nodes_with_memory": limits.nodes - limits.memoryless,
        "first_frame": layout.first_frame,
        "clock_rate": 1_000_000,
        **{
            name: plan[name]
            for name in (
                "zones",
                "caches",
                "memcgs",
                "workqueue",
                "rcu_queue",
                "shrink_scratch",
                "cgroup_table",
                "cache_table",
                "lifetimes",
                "retired",
            )
        },
    }.items():
        words[WORLD_AT + getattr(WORLD, field)] = value
    for ring in ("workqueue", "rcu_queue"):
        base, size = plan.regions[ring]
        words[base + RING.capacity] = (size - RING.SIZE) // 4
    _boot_pages(words, layout)
    _boot_descriptors(words, layout)


def _generator_number(seed: int, cpu: int) -> int:
    """What seeds a CPU's generators: of its own among all CPUs under all seeds below 2**44."""
    block, place = divmod(cpu, 63)
    return (block << 50) + 64 * seed + place + 1


def _boot_pages(words: np.ndarray, layout: Layout) -> None:
    frames = layout.last_frame
    pages = view(words, PAGE, MEM_MAP, frames)
    words[MEM_MAP : MEM_MAP + frames * PAGE.SIZE] = 0
    pages["kind"] = KIND_RESERVED
    pages["head"] = MEM_MAP + np.arange(frames) * PAGE.SIZE
    per_node = (layout.last_frame - layout.first_frame) // (layout.limits.nodes - layout.limits.memoryless)
    block = 1 << MAX_ORDER
    for node in range(layout.limits.nodes - layout.limits.memoryless):
        start = layout.first_frame + node * per_node
        end = start + per_node
        pages["kind"][start:end] = KIND_FREE_TAIL
        pages["node"][start:end] = node
        heads = np.arange(start, end, block)
        address = MEM_MAP + heads * PAGE.SIZE
        pages["kind"][heads] = KIND_BUDDY
        pages["order"][heads] = MAX_ORDER
        pages["next"][heads] = np.r_[address[1:], 0]
        pages["prev"][heads] = np.r_[0, address[:-1]]
        zone = layout.plan["zones"] + node * ZONE.SIZE
        words[zone + ZONE.start] = start
        words[zone + ZONE.end] = end
        words[zone + ZONE.free_pages] = per_node
        words[zone + ZONE.first + MAX_ORDER] = address[0]


def _boot_descriptors(words: np.ndarray, layout: Layout) -> None:
    limits, plan = layout.limits, layout.plan
    ids = np.arange(limits.caches)
    caches = view(words, CACHE, plan["caches"], limits.caches)
    caches["id"] = ids
    caches["node"] = plan["nodes"] + ids * NODE.SIZE * limits.nodes
    caches["cpu_slab"] = CACHES_AT + ids * KMEM_CACHE_CPU_WORDS
    caches["stats"] = CACHES_AT + limits.caches * KMEM_CACHE_CPU_WORDS + ids * STAT_WORDS
    address = plan["caches"] + ids * CACHE.SIZE
    caches["next"] = np.r_[address[1:], 0]
    words[WORLD_AT + WORLD.cache_free] = address[0]
    memcgs = view(words, MEMCG, plan["memcgs"], limits.memcgs)
    address = plan["memcgs"] + np.arange(limits.memcgs) * MEMCG.SIZE
    memcgs["next_free"] = np.r_[address[1:], 0]
    words[WORLD_AT + WORLD.memcg_free] = address[0]


def create_root(m: Machine, layout: Layout, root: Root) -> int:
    """kmem_cache_create of a root cache, before any CPU runs; returns the descriptor.

    Raises RuntimeError when there is no descriptor or slot array left.
    """
    s = take_descriptor(m)
    roots = sum(1 for _ in root_caches(m))
    sheaves = capacity = 0
    if not s or roots > layout.limits.roots:
        raise RuntimeError(
            f"the segment has room for {layout.limits.caches} caches and {layout.limits.roots} root caches"
        )
    if m.has("F_SHEAF"):
        settings = layout.limits.sheaves
        size = 8 * root.sizes.descriptor()["size"]
        capacity = sheaf_capacity(m.features, size, asked=root.sheaf_capacity, set_to=settings.capacity)
    if capacity:
        sheaves = layout.plan["sheaves"] + (roots - 1) * layout.sheaf_words
        barns = layout.limits.nodes - (0 if m.has("F_BARNONLINE") else layout.limits.memoryless)
        boot_sheaves(m.mem, sheaves, layout.nr_cpus, layout.limits.nodes, capacity, settings, barns)
    sizes = root.sizes.descriptor()
    if m.has("F_PARTIALSLABS") and isinstance(root.sizes, Sizing):
        sizes["cpu_partial"] = root.sizes.cpu_partial_slabs
    for field, value in {
        **sizes,
        "object_size": root.object_size,
        "flags": (SLAB_DESTROY_BY_RCU if root.destroy_by_rcu else 0) | (0 if root.cpu_partial else SLAB_NO_CPU_PARTIAL),
        "slots": layout.plan["slots"] + (roots - 1) * layout.limits.memcgs,
        "index": root.index,
        "sheaves": sheaves,
        "sheaf_capacity": capacity,
    }.items():
        store(m, s + getattr(CACHE, field), value)
    if m.has("SLAB"):
        slab_setup(m, s)
    store(m, layout.plan["cache_table"] + root.index, s)
    return s


def all_caches(m: Machine) -> Iterable[int]:
    """Every live cache descriptor, newest first."""
    s = m.mem[WORLD_AT + WORLD.slab_caches]
    while s:
        yield s
        s = m.mem[s + CACHE.next]


def root_caches(m: Machine) -> Iterable[int]:
    """Every live root cache."""
    return (s for s in all_caches(m) if m.mem[s + CACHE.root] == 0)
