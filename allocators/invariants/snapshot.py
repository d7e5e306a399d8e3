"""What the checkers look at: NumPy views of a world at rest, and one walk of every list of slabs.

A slab's place is found by walking the lists from their heads. Each frame is claimed by the first
list that reaches it, and a walk ends at a frame that is claimed already, so all walks together visit
every frame once however the links are broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

import numpy as np

from allocators.caches.layout import Layout
from allocators.core.kmem_cache import CACHE, CACHE_LIVE, KMEM_CACHE_CPU, NODE
from allocators.core.page_alloc import KIND_SLAB, PAGE
from allocators.core.page_pair import freelist_of, inuse_of, objects_of
from allocators.core.world import CACHES_AT, MEM_MAP, PAGE_SHIFT, WORLD, WORLD_AT
from allocators.memcg.memcontrol import MEMCG
from allocators.slub.state import PARTIAL_DISABLED
from shm.layout import view
from shm.machine import Machine

Made = TypeVar("Made")

CPU_SLAB, CPU_PARTIAL, NODE_PARTIAL = "cpu_slab", "cpu_partial", "node_partial"
FULL = "full"  # F_FULL: a node's list of full slabs
SENTINELS = {"P7"}  # switches with which c.partial of a dead cache may be PARTIAL_DISABLED; a plugin adds its own
RCU_WAIT = "rcu_wait"  # discarded, the pages wait for a grace period; slabs of all caches on one stack


@dataclasses.dataclass(slots=True)
class SlabList:
    """One c.page, c.partial or n.partial, a list of SLAB's, or the slabs that wait for a grace period (cache -1).

    number: the CPU's or the node's; frames: in list order; problem: why the walk ended early, or "".
    """

    place: str
    cache: int
    number: int
    frames: list[int]
    problem: str = ""

    def __str__(self) -> str:
        if self.place == RCU_WAIT:
            return "the stack of slabs that wait for a grace period"
        of = "CPU" if self.place in (CPU_SLAB, CPU_PARTIAL) else "node"
        return f"the {self.place.replace('_', ' ')} of {of} {self.number}"


class Snapshot:
    """See the module's text.

    pages: PAGE structs by frame. caches, nodes[cache, node], cpu_slabs[cpu, cache], memcgs: structs.
    frames: the heads of all slabs, ascending; cache (-1: none that lives), order, objects, used,
    freelist, frozen, node and discarded (waits for a grace period) are arrays parallel to it. slab_at: frame -> index
    into them, or -1.
    lists: every list that is not empty; claimed[frame]: index + 1 into `lists`, 0 none.
    """

    def __init__(self, m: Machine, layout: Layout, live_objects: np.ndarray | None = None) -> None:
        self.m, self.layout, self.live_objects = m, layout, live_objects
        self.mem = m.mem
        self.words = words = np.asarray(m.mem, dtype=np.int64)
        limits = layout.limits
        self.pages = view(words, PAGE, MEM_MAP, layout.last_frame)
        self.caches = view(words, CACHE, layout.plan["caches"], limits.caches)
        self.nodes = view(words, NODE, layout.plan["nodes"], limits.caches * limits.nodes).reshape(
            limits.caches, limits.nodes
        )
        self.memcgs = view(words, MEMCG, layout.plan["memcgs"], limits.memcgs)
        areas = [self.area(cpu) + CACHES_AT for cpu in range(layout.nr_cpus)]
        self.cpu_slabs = np.stack([view(words, KMEM_CACHE_CPU, a, limits.caches) for a in areas])
        self.live_caches = np.flatnonzero(self.caches["state"] == CACHE_LIVE)
        self._made: dict[Callable, Any] = {}
        self._read_slabs()
        self.lists: list[SlabList] = []
        self.claimed = np.zeros(layout.last_frame, np.int64)
        for found in self._heads():
            self._walk(*found)
        self.discarded = np.isin(
            self.claimed[self.frames], [i + 1 for i, s in enumerate(self.lists) if s.place == RCU_WAIT]
        )

    def _read_slabs(self) -> None:
        layout, pages = self.layout, self.pages
        self.frames = np.flatnonzero(pages["kind"] == KIND_SLAB)
        slabs = pages[self.frames]
        self.cache = self.cache_ids(slabs["slab_cache"])
        pair = slabs["pair"]
        self.objects, self.used, self.freelist = objects_of(pair), inuse_of(pair), freelist_of(pair)
        self.frozen = pair >> 31 & 1
        self.node = slabs["node"]
        self.order = np.clip(slabs["order"], 0, 10)
        self.slab_at = np.full(layout.last_frame, -1)
        self.slab_at[self.frames] = np.arange(len(self.frames))

    def area(self, cpu: int) -> int:
        """First word of a CPU's area."""
        return self.layout.area(cpu)

    def cache_id(self, address: int) -> int:
        """The number of the descriptor that a kmem_cache pointer points to, live or not; -1 for none."""
        cache, rest = divmod(address - self.layout.plan["caches"], CACHE.SIZE)
        return cache if rest == 0 and 0 <= cache < self.layout.limits.caches else -1

    def cache_ids(self, addresses: np.ndarray) -> np.ndarray:
        """Descriptor numbers of kmem_cache pointers; -1 for what points to no live cache."""
        at = np.asarray(addresses) - self.layout.plan["caches"]
        good = (at >= 0) & (at % CACHE.SIZE == 0) & (at // CACHE.SIZE < self.layout.limits.caches)
        ids = np.where(good, at // CACHE.SIZE, -1)
        return np.where(good & (self.caches["state"][ids] == CACHE_LIVE), ids, -1)

    def memcg_ids(self, addresses: np.ndarray) -> np.ndarray:
        """Numbers of memcg pointers; -1 for what points to no descriptor."""
        at = np.asarray(addresses) - self.layout.plan["memcgs"]
        good = (at >= 0) & (at % MEMCG.SIZE == 0) & (at // MEMCG.SIZE < self.layout.limits.memcgs)
        return np.where(good, at // MEMCG.SIZE, -1)

    def cache_at(self, cache: int) -> int:
        """Address of a descriptor."""
        return self.layout.plan["caches"] + int(cache) * CACHE.SIZE

    def frame_of(self, page: int) -> int:
        """The frame of a PAGE pointer, or -1 when it points to no frame of the zones."""
        frame, rest = divmod(page - MEM_MAP, PAGE.SIZE)
        return frame if rest == 0 and self.layout.first_frame <= frame < self.layout.last_frame else -1

    def frames_of(self, pages: np.ndarray) -> np.ndarray:
        """`frame_of` for many pointers."""
        frames, rest = np.divmod(pages - MEM_MAP, PAGE.SIZE)
        return np.where(
            (rest == 0) & (frames >= self.layout.first_frame) & (frames < self.layout.last_frame), frames, -1
        )

    def _heads(self) -> Iterator[tuple[str, int, int, int]]:
        live = self.live_caches
        page = self.cpu_slabs["page"][:, live]
        partial = self.cpu_slabs["partial"][:, live]
        mark = (partial == PARTIAL_DISABLED) & (self.caches["dead"][live] != 0) & any(map(self.m.has, SENTINELS))
        first = self.nodes["first"][live]
        for cpu, i in np.argwhere(page != 0).tolist():
            yield CPU_SLAB, int(live[i]), cpu, int(page[cpu, i])
        for cpu, i in np.argwhere((partial != 0) & ~mark).tolist():
            yield CPU_PARTIAL, int(live[i]), cpu, int(partial[cpu, i])
        for i, node in np.argwhere(first != 0).tolist():
            yield NODE_PARTIAL, int(live[i]), node, int(first[i, node])
        if self.m.has("F_FULL"):
            full = self.nodes["full"][live]
            for i, node in np.argwhere(full != 0).tolist():
                yield FULL, int(live[i]), node, int(full[i, node])
        waiting = self.mem[WORLD_AT + WORLD.rcu_slabs]
        if waiting:
            yield RCU_WAIT, -1, 0, waiting

    def _walk(self, place: str, cache: int, number: int, page: int) -> None:
        """Follow one list, claiming its frames."""
        slabs = SlabList(place, cache, number, [])
        self.lists.append(slabs)
        mine = len(self.lists)
        while page:
            frame = self.frame_of(page)
            if frame < 0:
                slabs.problem = f"points to word {page}, which is no page frame"
                break
            owner = int(self.claimed[frame])
            if owner:
                other = self.lists[owner - 1]
                slabs.problem = (
                    f"comes back to frame {frame}"
                    if owner == mine
                    else f"leads to frame {frame}, which is on {other} of {self.cache_name(other.cache)}"
                )
                break
            self.claimed[frame] = mine
            slabs.frames.append(frame)
            page = 0 if place == CPU_SLAB else self.mem[page + PAGE.next]

    def cache_name(self, cache: int) -> str:
        """How messages name a cache."""
        if cache < 0:
            return "no live cache"
        c = self.caches[cache]
        name = f"cache {cache} ({c['object_size']} B"
        if c["root"]:
            root, memcg = self.cache_id(int(c["root"])), int(self.memcg_ids(c["memcg"]))
            name += f", child of cache {root} for memcg {memcg}"
        return name + (", offline)" if c["offline"] else ")")

    def once(self, make: Callable[[Self], Made]) -> Made:
        """What `make` makes of this snapshot; made once."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    def slab_name(self, i: int | np.integer) -> str:
        """How messages name the slab with index i."""
        return f"slab at frame {self.frames[i]} of {self.cache_name(int(self.cache[i]))}"

    def start(self, slabs: np.ndarray) -> np.ndarray:
        """First word of slabs given by index."""
        return self.frames[slabs] << PAGE_SHIFT
