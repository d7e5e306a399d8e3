"""What the checkers look at in a SLAB world: its lists of slabs, its arrays, and where every object is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from allocators.core.world import CACHES_AT, FREELIST_WORDS, KMEM_CACHE_CPU_WORDS, PAGE_SHIFT, WORLD, WORLD_AT
from allocators.invariants.snapshot import RCU_WAIT, Snapshot
from allocators.slab.state import ARRAY_CACHE, KMEM_CACHE_ARRAY, SLAB_NODE
from shm.layout import view

PARTIAL, FULL, FREE = "slabs_partial", "slabs_full", "slabs_free"
LISTS = (PARTIAL, FULL, FREE)
CPU_ARRAY, SHARED_ARRAY, ALIEN_ARRAY = "cpu_array", "shared_array", "alien_array"

IS_FREE, IN_ARRAY = 1, 2


@dataclasses.dataclass(slots=True)
class Array:
    """One array_cache. number: the CPU's or the node's that fills it; home: node its objects belong to."""

    place: str
    cache: int
    number: int
    home: int
    at: int
    avail: int
    limit: int
    room: int
    entries: np.ndarray

    def __str__(self) -> str:
        of = "CPU" if self.place == CPU_ARRAY else "node"
        to = f" for node {self.home}" if self.place == ALIEN_ARRAY else ""
        return f"the {self.place.replace('_', ' ')} of {of} {self.number}{to}"


class SlabSnapshot(Snapshot):
    """A Snapshot whose `used` is a slab's `active`, with slab_nodes[cache, node] and arrays.

    Objects: `sound` slabs make sense; `marks` has IS_FREE and IN_ARRAY bits of every object at
    `first[slab] + number`; waiting: objects of each slab in arrays; problems: what was found on the way.
    """

    def _read_slabs(self) -> None:
        super()._read_slabs()
        limits = self.layout.limits
        self.slab_nodes = view(self.words, SLAB_NODE, self.layout.plan["slab_nodes"], limits.caches * limits.nodes)
        self.slab_nodes = self.slab_nodes.reshape(limits.caches, limits.nodes)
        self.used = self.pages[self.frames]["pair"]
        self.objects = np.where(self.cache >= 0, self.caches["oo_objects"][self.cache], 0)
        self.freelist = self.frozen = np.zeros(len(self.frames), np.int64)
        self.problems: list[str] = []
        self._find_objects()
        self.arrays = list(self._read_arrays())
        self.waiting = np.zeros(len(self.frames), np.int64)
        for array in self.arrays:
            self._mark_array(array)

    def _heads(self) -> Iterator[tuple[str, int, int, int]]:
        live = self.live_caches
        for place in LISTS:
            first = self.slab_nodes[place][live][:, :, 0]
            for i, node in np.argwhere(first != 0).tolist():
                yield place, int(live[i]), node, int(first[i, node])
        waiting = self.mem[WORLD_AT + WORLD.rcu_slabs]
        if waiting:
            yield RCU_WAIT, -1, 0, waiting

    def node_of_cpu(self, cpu: int) -> int:
        return cpu * self.layout.limits.nodes // self.layout.limits.workers

    def _find_objects(self) -> None:
        """Which slabs make sense (of no cache: none, for want of objects), and what their index arrays call free."""
        self.size, self.inside = self.caches["size"][self.cache], self.caches["management"][self.cache]
        room = (1 << self.order) << PAGE_SHIFT
        self.sound = (self.size > 0) & (self.objects > 0) & (self.inside + self.objects * self.size <= room)
        self.sound &= (self.used >= 0) & (self.used <= self.objects)
        for i in np.flatnonzero((self.cache >= 0) & ~self.sound):
            self.problems.append(
                f"{self.slab_name(i)} says that {self.used[i]} of {self.objects[i]} objects of {self.size[i]} words "
                f"are active; it has {room[i]} words"
            )
        capacity = np.where(self.sound, self.objects, 0)
        self.first = np.cumsum(capacity) - capacity
        self.marks = np.zeros(int(capacity.sum()), np.uint8)
        slabs = np.flatnonzero(self.sound)
        free = self.objects[slabs] - self.used[slabs]
        outside = self.layout.plan["freelists"] + self.frames[slabs] * FREELIST_WORDS
        array = np.where(self.inside[slabs] > 0, self.start(slabs), outside)
        slab = np.repeat(slabs, free)
        place = np.arange(len(slab)) - np.repeat(np.cumsum(free) - free, free) + np.repeat(self.used[slabs], free)
        number = self.words.view(np.uint8)[8 * np.repeat(array, free) + place].astype(np.int64)
        wild = number >= self.objects[slab]
        for i in np.flatnonzero(wild):
            self.problems.append(
                f"{self.slab_name(slab[i])}: its index array calls object {number[i]} free, it has "
                f"{self.objects[slab[i]]}"
            )
        flat, times = np.unique((self.first[slab] + number)[~wild], return_counts=True)
        self.marks[flat] |= IS_FREE
        for at in flat[times > 1]:
            i = np.searchsorted(self.first, at, side="right") - 1
            self.problems.append(
                f"{self.slab_name(i)}: its index array calls object {at - self.first[i]} free more than once"
            )

    def _read_arrays(self) -> Iterator[Array]:
        room = self.layout.arrays
        assert room is not None
        nodes = self.layout.limits.nodes
        header = ARRAY_CACHE.SIZE
        for cache in self.live_caches.tolist():
            for cpu in range(self.layout.limits.workers):
                at = self.mem[self.area(cpu) + CACHES_AT + cache * KMEM_CACHE_CPU_WORDS + KMEM_CACHE_ARRAY.array]
                home = self.node_of_cpu(cpu)
                if at:
                    yield self._array(CPU_ARRAY, cache, cpu, home, at, room.cpu - header)
            for node in range(nodes):
                n = self.slab_nodes[cache, node]
                if n["shared"]:
                    yield self._array(SHARED_ARRAY, cache, node, node, int(n["shared"]), room.shared - header)
                for home in range(nodes):
                    if n["alien"] and home != node:
                        at = int(n["alien"]) + home * room.alien
                        yield self._array(ALIEN_ARRAY, cache, node, home, at, room.alien - header)

    def _array(self, place: str, cache: int, number: int, home: int, at: int, room: int) -> Array:
        base, words = self.layout.plan.regions["arrays"]
        if not base <= at < base + words:
            array = Array(place, cache, number, home, at, 0, 0, 0, np.zeros(0, np.int64))
            self.problems.append(f"{array} of {self.cache_name(cache)} is said to be at word {at}")
            return array
        avail, limit = (self.mem[at + f] for f in (ARRAY_CACHE.avail, ARRAY_CACHE.limit))
        first = at + ARRAY_CACHE.SIZE
        return Array(
            place, cache, number, home, at, avail, limit, room, self.words[first : first + min(max(avail, 0), room)]
        )

    def _mark_array(self, array: Array) -> None:
        if not len(array.entries):
            return
        slab, number = self.locate(array.entries)
        for obj in array.entries[slab < 0]:
            self.problems.append(
                f"{array} of {self.cache_name(array.cache)} holds word {obj}, which is no object of a slab"
            )
        slab, number = slab[slab >= 0], number[slab >= 0]
        place = self.first[slab] + number
        taken = self.marks[place] != 0
        again = np.zeros(len(place), bool)
        again[np.setdiff1d(np.arange(len(place)), np.unique(place, return_index=True)[1])] = True
        for i in np.flatnonzero(taken | again):
            what = "also free in its slab" if self.marks[place[i]] & IS_FREE else "in an array already"
            self.problems.append(
                f"{array} of {self.cache_name(array.cache)} holds object {number[i]} of {self.slab_name(slab[i])}, "
                f"which is {what}"
            )
        self.marks[place] |= IN_ARRAY
        np.add.at(self.waiting, slab, 1)

    def locate(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slab index (-1: the word is no object of a sound slab) and object number of addresses."""
        words = np.asarray(words, np.int64)
        head = self.pages["head"][np.clip(words >> PAGE_SHIFT, 0, self.layout.last_frame - 1)]
        slab = self.slab_at[np.maximum(self.frames_of(head), 0)]
        known = np.flatnonzero(slab >= 0)
        known = known[self.sound[slab[known]]]
        at = slab[known]
        found, number = np.full(len(words), -1), np.zeros(len(words), np.int64)
        number[known], rest = np.divmod(words[known] - self.start(at) - self.inside[at], self.size[at])
        good = (rest == 0) & (number[known] >= 0) & (number[known] < self.objects[at])
        found[known[good]] = at[good]
        return found, number
