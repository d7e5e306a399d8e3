"""Objects in sheaves (F_SHEAF): in use for SLUB, handed out to nobody; and what they keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from allocators.core.world import PAGE_SHIFT
from allocators.invariants.rcu import queued
from allocators.invariants.snapshot import Snapshot
from allocators.slub.rcu_words import RCU_FLUSH_SHEAF, RCU_FREE_SHEAF
from allocators.slub.sheaf_state import BARN, PCS, POOL, SHEAF, sheaf_count

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
    return [sheaf for cache in w.live_caches if w.caches["sheaves"][cache] for sheaf in _of_cache(w, int(cache))]


def _of_cache(w: Snapshot, cache: int) -> Iterator[Sheaf]:
    cpus, nodes, base = w.layout.nr_cpus, w.layout.limits.nodes, int(w.caches["sheaves"][cache])
    barns = base + cpus * PCS.SIZE
    first = barns + nodes * BARN.SIZE + POOL.SIZE
    seen: set[int] = set()
    capacity = int(w.caches["sheaf_capacity"][cache])
    all_sheaves = sheaf_count(cpus, nodes, w.layout.limits.sheaves)

    def read(place: str, at: int, sizes: range) -> Sheaf:
        number, rest = divmod(at - first, SHEAF.SIZE + capacity)
        if rest or not 0 <= number < all_sheaves or at in seen:
            return Sheaf(
                place, cache, np.zeros(0, np.int64), f"word {at} is {'twice in use' if at in seen else 'no sheaf'}"
            )
        seen.add(at)
        size = w.mem[at + SHEAF.size]
        problem = "" if size in sizes else f"a sheaf has {size} objects, {sizes.start} to {sizes.stop - 1} are right"
        return Sheaf(place, cache, w.words[at + SHEAF.objects :][: size if not problem else 0].copy(), problem)

    for cpu in range(cpus):
        for field in (PCS.main, PCS.spare):
            at = w.mem[base + cpu * PCS.SIZE + field]
            if at or field == PCS.main:
                yield read("sheaf", at, range(capacity + 1))
        at = w.mem[base + cpu * PCS.SIZE + PCS.rcu_free]
        if at:
            yield read(RCU_PLACE, at, range(1, capacity))
    for func, at, _ in queued(w.mem, w.layout, "rcu_queue"):
        if func in (RCU_FREE_SHEAF, RCU_FLUSH_SHEAF) and first <= at < first + all_sheaves * (SHEAF.SIZE + capacity):
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
                yield Sheaf(
                    "barn",
                    cache,
                    np.zeros(0, np.int64),
                    f"{length} sheaves are on a list that counts {w.mem[barn + counter]}",
                )
    at, unused = w.mem[barns + nodes * BARN.SIZE + POOL.unused], 0
    while at and unused <= all_sheaves:
        at, unused = w.mem[at + SHEAF.next], unused + 1
    if unused + len(seen) != all_sheaves:
        yield Sheaf(
            "sheaf",
            cache,
            np.zeros(0, np.int64),
            f"{len(seen)} sheaves are in use and {unused} are not, there are {all_sheaves}",
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
    found = {f"objects_in_{place}": 0 for place in SHEAF_PLACES} | {
        f"slabs_kept_by_{place}": 0 for place in SHEAF_PLACES
    }
    waiting = {place: np.zeros(len(w.frames), np.int64) for place in SHEAF_PLACES}
    for sheaf in sheaves_of(w):
        place = "barn" if sheaf.place == "barn" else "sheaf"
        found[f"objects_in_{place}"] += len(sheaf.objects)
        head = w.pages["head"][np.clip(sheaf.objects >> PAGE_SHIFT, 0, w.layout.last_frame - 1)]
        slabs = w.slab_at[np.maximum(w.frames_of(head), 0)]
        np.add.at(waiting[place], slabs[slabs >= 0], 1)
    total = waiting["sheaf"] + waiting["barn"]
    only = (total > 0) & (w.used - private == total)
    found["slabs_kept_by_sheaf"] = int(np.count_nonzero(only & (waiting["sheaf"] > 0)))
    found["slabs_kept_by_barn"] = int(np.count_nonzero(only & (waiting["sheaf"] == 0)))
    return found
