"""What is still there at the end of a workload: how the objects that it holds lie in slabs, so what fragmentation there
is and how scattered what a CPU allocated last, and which objects are still charged.
"""

from __future__ import annotations

import numpy as np

from allocators.catalogue import SLUB
from allocators.core.world import PAGE_SHIFT, PAGE_WORDS
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.obj_vector import MADE
from scenarios.tape import OP_ALLOC, decode
from shm.machine import Machine
from stress.engine import SLOT_FAILED
from stress.play.arena import Arena

LAST = 64  # allocations of each CPU that are looked at


def scatter(arena: Arena, m: Machine) -> dict[str, int]:
    """Counts of SLUB's slabs, the world at rest; nothing where no object is held.

    objects_held: by the workload. slabs: all there are; slabs_full_of_held: whose objects are all held, so the others
    are partial to who looks from outside, whatever keeps their free objects. last_allocations: of each CPU's last 64,
    those still held, and slabs_of_last_allocations: that they are of; both summed over the CPUs.
    """
    base, size = arena.plan.regions["slot_table"]
    slots = arena.words[base : base + size]
    held = slots[(slots != 0) & (slots != SLOT_FAILED)]
    if arena.allocator != SLUB.name or not len(held):
        return {}
    w = Snapshot(m, arena.layout)

    def slabs_of(objects: np.ndarray) -> np.ndarray:
        return w.slab_at[w.frames_of(w.pages["head"][objects >> PAGE_SHIFT])]

    in_each = np.bincount(slabs_of(held), minlength=len(w.frames))
    found = {
        "objects_held": len(held),
        "slabs": len(w.frames),
        "slabs_full_of_held": int(np.count_nonzero(in_each == w.objects)),
        "last_allocations": 0,
        "slabs_of_last_allocations": 0,
    }
    for tape in arena.load.tapes:
        code, _, _, slot = decode(tape)
        mine = slots[np.unique(slot[code == OP_ALLOC][-LAST:])]
        mine = mine[(mine != 0) & (mine != SLOT_FAILED)]
        found["last_allocations"] += len(mine)
        found["slabs_of_last_allocations"] += len(np.unique(slabs_of(mine)))
    return found


def charged(arena: Arena, m: Machine) -> dict[str, int]:
    """F_OBJCG, the world at rest: objects that have an owner (held ones, and those that wait for kfree_rcu), and how
    many obj_cgroups these keep; nothing for other designs."""
    if not m.has("F_OBJCG"):
        return {}
    w = Snapshot(m, arena.layout)
    states = w.words[w.layout.plan["obj_cgroups"] : w.layout.plan["obj_cgroups"] + w.layout.last_frame]
    base = w.layout.plan["owners"] - w.layout.first_frame * PAGE_WORDS
    made = np.flatnonzero(states[w.frames] == MADE)
    parts = [w.words[base + frame * PAGE_WORDS :][:n] for frame, n in zip(w.frames[made].tolist(), w.objects[made])]
    owners = np.concatenate([np.zeros(0, np.int64), *parts])
    return {
        "objects_charged": int(np.count_nonzero(owners)),
        "obj_cgroups_charged": len(np.unique(owners[owners != 0])),
    }
