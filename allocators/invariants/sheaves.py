"""Objects in sheaves (F_SHEAF): in use for SLUB, handed out to nobody; and what they keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from allocators.core.page_alloc import PAGE
from allocators.core.world import MEM_MAP, PAGE_SHIFT
from allocators.invariants.rcu import queued
from allocators.invariants.snapshot import Snapshot
from allocators.slub.rcu_words import RCU_FLUSH_SHEAF, RCU_FREE_SHEAF
from allocators.slub.sheaf_state import BARN, PCS, POOL, SHEAF, sheaf_count, sheaf_words

SHEAF_PLACES = ("sheaf", "barn")
RCU_PLACE = "rcu_free"


class Sheaf(NamedTuple):
    """A sheaf that is in use. place: sheaf (main or spare of a CPU), barn, or rcu_free (of a CPU, or waiting for a
    grace period); objects: what it holds; problem: what is wrong."""

    place: str
    cache: int
    objects: np.ndarray
    problem: str


def sheaves_of(w: Snapshot) -> list[Sheaf]:
    """All sheaves in use, in the CPUs and the barns; walked once."""
    return w.once(_walk)


def _walk(w: Snapshot) -> list[Sheaf]:
    if not w.m.has("F_SHEAF"):
        return []
    caches = [int(cache) for cache in w.live_caches if w.caches["sheaves"][cache]]
    own = [_own(w, cache) for cache in caches]
    strays = [at for _, at in _waiting(w) if not any(at in sheaves for sheaves in own)]
    return [sheaf for cache in caches for sheaf in _of_cache(w, cache)] + [
        _wrong(RCU_PLACE, -1, f"word {at} waits for a grace period and is no sheaf") for at in strays
    ]


def _wrong(place: str, cache: int, problem: str) -> Sheaf:
    return Sheaf(place, cache, np.zeros(0, np.int64), problem)


def _waiting(w: Snapshot) -> list[tuple[int, int]]:
    """(func, sheaf) of what waits for a grace period."""
    items = queued(w.mem, w.layout, "rcu_queue")
    return [(func, at) for func, at, _ in items if func in (RCU_FREE_SHEAF, RCU_FLUSH_SHEAF)]


def _own(w: Snapshot, cache: int) -> range:
    """Where the sheaves of a cache begin; none when its descriptor makes no sense."""
    cpus, limits, base = w.layout.nr_cpus, w.layout.limits, int(w.caches["sheaves"][cache])
    capacity = int(w.caches["sheaf_capacity"][cache])
    region, words = w.layout.plan.regions["sheaves"]
    room = w.layout.sheaf_words
    fits = capacity > 0 and sheaf_words(cpus, limits.nodes, capacity, limits.sheaves) <= room
    if base not in range(region, region + words, room) or not fits:
        return range(0)
    first, each = base + cpus * PCS.SIZE + limits.nodes * BARN.SIZE + POOL.SIZE, SHEAF.SIZE + capacity
    return range(first, first + sheaf_count(cpus, limits.nodes, limits.sheaves) * each, each)


def _of_cache(w: Snapshot, cache: int) -> Iterator[Sheaf]:
    cpus, nodes, base = w.layout.nr_cpus, w.layout.limits.nodes, int(w.caches["sheaves"][cache])
    barns = base + cpus * PCS.SIZE
    capacity = int(w.caches["sheaf_capacity"][cache])
    own = _own(w, cache)
    if not own:
        yield _wrong("sheaf", cache, f"sheaves of {capacity} objects are said to begin at word {base}")
        return
    seen: set[int] = set()

    def read(place: str, at: int, sizes: range) -> Sheaf:
        if at not in own or at in seen:
            return _wrong(place, cache, f"word {at} is {'twice in use' if at in seen else 'no sheaf'}")
        seen.add(at)
        size = w.mem[at + SHEAF.size]
        if size not in sizes:
            return _wrong(place, cache, f"a sheaf has {size} objects, {sizes.start} to {sizes.stop - 1} are right")
        return Sheaf(place, cache, w.words[at + SHEAF.objects :][:size].copy(), "")

    for cpu in range(cpus):
        for field in (PCS.main, PCS.spare):
            at = w.mem[base + cpu * PCS.SIZE + field]
            if at or field == PCS.main:
                yield read("sheaf", at, range(capacity + 1))
        at = w.mem[base + cpu * PCS.SIZE + PCS.rcu_free]
        if at:
            yield read(RCU_PLACE, at, range(1, capacity))
    for func, at in _waiting(w):
        if at in own:
            yield read(RCU_PLACE, at, range(capacity if func == RCU_FREE_SHEAF else 1, capacity + 1))
    for node in range(nodes):
        barn = barns + node * BARN.SIZE
        for head, counter, sizes in (
            (BARN.full, BARN.nr_full, range(capacity, capacity + 1)),
            (BARN.empty, BARN.nr_empty, range(1)),
        ):
            at, length = w.mem[barn + head], 0
            while at:
                sheaf = read("barn", at, sizes)
                yield sheaf
                if "word" in sheaf.problem:
                    break
                at, length = w.mem[at + SHEAF.next], length + 1
            if length != w.mem[barn + counter]:
                yield _wrong("barn", cache, f"{length} sheaves are on a list that counts {w.mem[barn + counter]}")
    at = w.mem[barns + nodes * BARN.SIZE + POOL.unused]
    while at in own and at not in seen:
        seen.add(at)
        at = w.mem[at + SHEAF.next]
    if at or len(seen) != len(own):
        yield _wrong(
            "sheaf", cache, f"the unused ones end with word {at}, {len(own) - len(seen)} of {len(own)} are nowhere"
        )


def sheaved(w: Snapshot) -> np.ndarray:
    """Words of all objects in sheaves."""
    return np.concatenate([np.zeros(0, np.int64), *(sheaf.objects for sheaf in sheaves_of(w))])


def sheaves(w: Snapshot) -> Iterator[str]:
    """Every sheaf is at one CPU, in one barn or unused; a barn's full ones are full, its empty ones empty."""
    for sheaf in sheaves_of(w):
        if sheaf.problem:
            yield f"{w.cache_name(sheaf.cache)}, {sheaf.place}: {sheaf.problem}"


def kept_by_sheaves(w: Snapshot, private: np.ndarray) -> dict[str, int]:
    """Objects in sheaves and in barns, and slabs that nothing but such objects keeps. private: by slab,
    objects on a CPU's private freelist. A slab with objects in both places counts as the CPUs'."""
    found = {f"objects_in_{place}": 0 for place in SHEAF_PLACES}
    waiting = {place: np.zeros(len(w.frames), np.int64) for place in SHEAF_PLACES}
    for sheaf in sheaves_of(w):
        place = "barn" if sheaf.place == "barn" else "sheaf"
        found[f"objects_in_{place}"] += len(sheaf.objects)
        frames = w.frames_of(MEM_MAP + (sheaf.objects >> PAGE_SHIFT) * PAGE.SIZE)
        heads = w.frames_of(w.pages["head"][frames[frames >= 0]])
        slabs = w.slab_at[heads[heads >= 0]]
        np.add.at(waiting[place], slabs[slabs >= 0], 1)
    total = waiting["sheaf"] + waiting["barn"]
    only = (total > 0) & (w.used - private == total)
    found["slabs_kept_by_sheaf"] = int(np.count_nonzero(only & (waiting["sheaf"] > 0)))
    found["slabs_kept_by_barn"] = int(np.count_nonzero(only & (waiting["sheaf"] == 0)))
    return found
