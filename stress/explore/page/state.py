"""What a world looks like between two steps: every slab with its free objects, and the list that it is on.

Lists are walked as the checkers walk them (`allocators.invariants.snapshot`): each frame is claimed once, so a list
that is broken, or half changed, ends where it makes no sense, and says so.
"""

from __future__ import annotations

import msgspec
import numpy as np

from allocators.core.kmem_cache import CACHE_LIVE
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import freelist_of
from allocators.core.world import MEM_MAP, PAGE_SHIFT
from allocators.invariants.sheaves import sheaves_of
from allocators.invariants.slab_snapshot import FREE, IS_FREE, PARTIAL, SlabSnapshot
from allocators.invariants.slab_snapshot import FULL as SLABS_FULL
from allocators.invariants.snapshot import CPU_PARTIAL, CPU_SLAB, FULL, NODE_PARTIAL, RCU_WAIT, Snapshot
from shm.machine import Machine
from stress.explore.space.space import Space
from stress.explore.world.scene import Scene

PLACES = {
    CPU_SLAB: "CPU slab of cpu{}",
    CPU_PARTIAL: "CPU partial list of cpu{}",
    NODE_PARTIAL: "partial list of node {}",
    FULL: "full list of node {}",
    PARTIAL: "slabs_partial of node {}",
    SLABS_FULL: "slabs_full of node {}",
    FREE: "slabs_free of node {}",
    RCU_WAIT: "waits for a grace period",
}
NO_LIST = "on no list"


class Slab(msgspec.Struct, frozen=True):
    """A slab. free: the numbers of its free objects, in the order of its freelist; `used`: what its counter says."""

    page: int
    cache: int  # -1: of no cache that lives
    objects: int
    used: int
    free: tuple[int, ...]
    frozen: bool


class Place(msgspec.Struct, frozen=True):
    """A list and the pages of its slabs, from its head. problem: where the walk ended early, else ""."""

    name: str
    pages: tuple[int, ...]
    problem: str = ""


class Cache(msgspec.Struct, frozen=True):
    """A kmem_cache that lives. held: objects in array caches or sheaves, by where."""

    number: int
    child: bool
    dead: bool
    offline: bool
    references: int
    min_partial: int
    held: tuple[tuple[str, int], ...] = ()


class State(msgspec.Struct, frozen=True):
    """The world between two steps; words: of a test that has a machine of its own, by name."""

    caches: tuple[Cache, ...] = ()
    slabs: tuple[Slab, ...] = ()
    places: tuple[Place, ...] = ()
    words: tuple[tuple[str, int], ...] = ()


def look(scene: Scene, space: Space) -> State:
    """The slabs, lists and caches of a scene as memory has them now; what is in a store buffer is not there yet."""
    m = scene.world(space)
    kind = Snapshot if scene.layout.arrays is None else SlabSnapshot
    w = kind(m, scene.layout)
    first = scene.layout.first_frame
    on_lists: set[int] = set()
    places = []
    for one in w.lists:
        on_lists.update(one.frames)
        places.append(
            Place(PLACES[one.place].format(one.number), tuple(int(frame) - first for frame in one.frames), one.problem)
        )
    loose = tuple(int(frame) - first for frame in w.frames if int(frame) not in on_lists)
    if loose:
        places.append(Place(NO_LIST, loose))
    return State(_caches(w), tuple(_slab(m, w, i) for i in range(len(w.frames))), tuple(places))


def _caches(w: Snapshot) -> tuple[Cache, ...]:
    found = []
    for number in range(w.layout.limits.caches):
        c = w.caches[number]
        if c["state"] != CACHE_LIVE:
            continue
        held: dict[str, int] = {}
        if isinstance(w, SlabSnapshot):
            for array in w.arrays:
                if array.cache == number:
                    held[str(array).removeprefix("the ")] = len(array.entries)
        else:
            for sheaf in sheaves_of(w):
                if sheaf.cache == number and len(sheaf.objects):
                    held[sheaf.place] = held.get(sheaf.place, 0) + len(sheaf.objects)
        found.append(
            Cache(
                number, bool(c["root"]), bool(c["dead"]), bool(c["offline"]), int(c["refcnt"]), int(c["min_partial"]),
                tuple(held.items()),
            )
        )  # fmt: skip
    return tuple(found)


def _slab(m: Machine, w: Snapshot, i: int) -> Slab:
    frame, cache, objects = int(w.frames[i]), int(w.cache[i]), int(w.objects[i])
    if isinstance(w, SlabSnapshot):
        marks = w.marks[w.first[i] : w.first[i] + objects] if w.sound[i] else np.zeros(0, np.int64)
        free = tuple(int(number) for number in np.flatnonzero(marks & IS_FREE))
    else:
        free = _freelist(m, w, frame, cache, objects) if cache >= 0 else ()
    return Slab(frame - w.layout.first_frame, cache, objects, int(w.used[i]), free, bool(w.frozen[i]))


def _freelist(m: Machine, w: Snapshot, frame: int, cache: int, objects: int) -> tuple[int, ...]:
    """The objects on a slab's freelist, until it ends or makes no sense."""
    size, link = int(w.caches["size"][cache]), int(w.caches["offset"][cache])
    start = frame << PAGE_SHIFT
    found: list[int] = []
    obj = int(freelist_of(int(m.mem[MEM_MAP + frame * PAGE.SIZE + PAGE.pair])))
    while obj and size and len(found) < objects:
        number, rest = divmod(obj - start, size)
        if rest or not 0 <= number < objects:
            break
        found.append(number)
        obj = int(m.mem[obj + link])
    return tuple(found)
