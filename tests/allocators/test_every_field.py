"""Who notices what: a field of each kind of struct is changed in a world at rest, and exactly these checkers see it.

`every_field.csv` has a row per field: the world, whose field it is, and what is broken when the field is one more, one
less, 0, or -1 ("-": nothing, "=": it was so). Fields that nobody looks at have no row, nor have those that an earlier
world has with the same answers. `python tests/allocators/test_every_field.py` prints the table anew.
"""

from __future__ import annotations

import csv
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_planted_faults
import test_slab_faults
import test_slob_faults
from small_world import SmallWorld
from test_kfree_rcu import free_later
from test_slab import array_of, slab_node

from allocators.core.kmem_cache import CACHE, CACHE_LIVE, KMEM_CACHE_CPU, NODE
from allocators.core.page_alloc import KIND_BUDDY, KIND_TAIL, PAGE, ZONE, address_of
from allocators.core.world import (
    CACHES_AT,
    KMEM_CACHE_CPU_WORDS,
    MEM_MAP,
    OBJCG,
    OPS,
    OPS_AT,
    PAGE_STOCK,
    PAGE_STOCK_AT,
    PAGE_WORDS,
    RCU_BATCH_AT,
    STOCK,
    STOCK_AT,
    WORLD,
    WORLD_AT,
)
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import MEMCG
from allocators.slab.state import ARRAY_CACHE, SLAB_NODE, SLAB_STAT, alien_array, entry_of
from allocators.slob.inspect import blocks
from allocators.slob.state import SLOB, SLOB_STAT
from allocators.slub.sheaf_state import BARN, PCS, POOL, SHEAF, barn_of, pcs_of
from allocators.slub.state import STAT
from shm.machine import CPU, MACHINE
from shm.ring import ITEM, RING

TABLE = Path(__file__).with_name("every_field.csv")
CHANGES: dict[str, Callable[[int], int]] = {
    "one more": lambda word: word + 1,
    "one less": lambda word: word - 1,
    "zero": lambda _: 0,
    "minus one": lambda _: -1,
}
Named = dict[str, int]  # whose word it is, and which -> where it is

PADDING = {"pad", "pad0", "pad1", "pad2", "SIZE"}  # and no fields


def fields(whose: str, layout: Any, at: int, *only: str) -> Iterator[tuple[str, int]]:
    for name in only or layout._fields:
        if name not in PADDING:
            yield f"{whose}.{name}", at + getattr(layout, name)


def common(world: SmallWorld, w: Snapshot) -> Iterator[tuple[str, int]]:
    """What all worlds have; of descriptors one of each state."""
    yield "assertion", MACHINE.bug
    yield from fields("world", WORLD, WORLD_AT, *(f for f in WORLD._fields if f in TALLIES))
    yield from fields("CPU 1", CPU, w.area(1), "irq", "preempt", "ipi_lock", "ipi_pending")
    for cpu in range(world.layout.nr_cpus):
        yield f"batch of CPU {cpu}.rcu_batch", w.area(cpu) + RCU_BATCH_AT
    yield from fields("operations of CPU 0", OPS, w.area(0) + OPS_AT)
    yield from fields("zone", ZONE, world.layout.plan["zones"])
    for ring in ("workqueue", "rcu_queue"):
        at = world.layout.plan[ring]
        yield from fields(ring, RING, at)
        head = world.mem[at + RING.head]
        if world.mem[at + RING.tail] > head:
            item = at + RING.SIZE + head % world.mem[at + RING.capacity] * ITEM.SIZE
            yield from fields(f"first item of the {ring}", ITEM, item)
    live, child, offline = w.caches["state"] == CACHE_LIVE, w.caches["root"] != 0, w.caches["offline"] != 0
    for whose, some in (
        ("root cache", live & ~child),
        ("child", live & child & ~offline),
        ("dead child", live & child & offline),
        ("free cache", ~live),
    ):
        for cache in np.flatnonzero(some)[:1]:
            yield from fields(whose, CACHE, w.cache_at(cache))
            yield from fields(
                f"node of a {whose}", NODE, world.layout.plan["nodes"] + cache * w.nodes.shape[1] * NODE.SIZE
            )
            at = w.area(0) + CACHES_AT + int(cache) * KMEM_CACHE_CPU_WORDS
            yield from fields(f"CPU slab of a {whose}", KMEM_CACHE_CPU, at)
    used, online = w.memcgs["used"] != 0, w.memcgs["online"] != 0
    for whose, some in (("memcg", used & online), ("offline memcg", used & ~online), ("free memcg", ~used)):
        for memcg in np.flatnonzero(some)[:1]:
            yield from fields(whose, MEMCG, world.layout.plan["memcgs"] + int(memcg) * MEMCG.SIZE)
    yield "slot of a child", int(w.caches["slots"][0]) if not w.caches["root"][0] else 0
    yield "index of a cache", world.layout.plan["cache_table"]
    kind, order = w.pages["kind"], w.pages["order"]
    for whose, frames in (
        ("free block", np.flatnonzero((kind == KIND_BUDDY) & (order > 0))[:1]),
        ("tail of a slab", np.flatnonzero(kind == KIND_TAIL)[:1]),
        ("last frame of all", np.array([world.layout.last_frame - 1])),
        ("slab on no list", w.frames[(w.claimed[w.frames] == 0)][:1]),
    ):
        for frame in frames:
            yield from fields(whose, PAGE, MEM_MAP + int(frame) * PAGE.SIZE)
    for place in dict.fromkeys(slabs.place for slabs in w.lists):
        slabs = max((one for one in w.lists if one.place == place), key=lambda one: len(one.frames))
        yield from fields(f"first slab of a {place}", PAGE, MEM_MAP + slabs.frames[0] * PAGE.SIZE)
        if len(slabs.frames) > 1:
            yield from fields(f"last slab of a {place}", PAGE, MEM_MAP + slabs.frames[-1] * PAGE.SIZE)


TALLIES = {
    "cache_free", "memcg_free", "slab_mutex", "memcg_slab_mutex", "slab_caches", "offlined", "destroyed",
    "shrink_discarded", "cgroups_online", "cgroups_offline", "nr_caches", "reparented", "rcu_slabs",
    "owner_bytes", "objcg_left_over",
}  # fmt: skip


def slub(design: str, **options: Any) -> Callable[[], tuple[SmallWorld, Named]]:
    """Children alive and dead, slabs in all places, work and slabs that wait."""

    def build() -> tuple[SmallWorld, Named]:
        world = SmallWorld(design, by_rcu=(1,), **options)
        held = world.child_with_objects(1, 0, 200)
        world.free(1, held[:64])
        world.offline(1)
        if "F_REPARENT" in world.features:
            world.work()
        held = world.child_with_objects(2, 0, 200)
        world.free(1, held[5:200:64])
        world.child_with_objects(3, 1, 40)
        world.offline(3)
        held = world.alloc(0, 0, count=640)
        world.free(1, held[5:640:64])
        world.free(0, held[630:634])
        held = world.alloc(0, 1, count=64)
        world.free(1, held[::9] + held[1:9])
        world.shrink(1)
        world.create(4)
        world.alloc(0, 2, 4)  # a creation that is queued
        assert world.check().violated == []
        w = Snapshot(world.kworker, world.layout)
        named = dict(common(world, w))
        named |= fields("statistics", STAT, w.area(0) + int(w.caches["stats"][0]))
        return world, named

    return build


def owned(design: str) -> Callable[[], tuple[SmallWorld, Named]]:
    """Two nodes, obj_cgroups of live and of removed memcgs, stocks, sheaves of all kinds."""

    def build() -> tuple[SmallWorld, Named]:
        world = SmallWorld(design, cpus=4, nodes=2, memory=8 << 20)
        world.create(1)
        gone = world.alloc(0, 0, 1, 300)
        world.offline(1)
        world.work()
        world.create(2)
        held = world.alloc(0, 0, 2, 300) + world.alloc(3, 0, 2, 10)
        world.free(1, held[:140])
        free_later(world, 1, held[140:145])
        free_later(world, 0, held[145:210])
        world.free(0, gone[:3])
        assert world.check().violated == []
        w, plan = Snapshot(world.kworker, world.layout), world.layout.plan
        named = dict(common(world, w))
        named |= fields("statistics", STAT, w.area(0) + int(w.caches["stats"][0]))
        for i in range(world.layout.objcgs):
            at = plan["objcgs"] + i * OBJCG.SIZE
            kind = "" if world.mem[at + OBJCG.used] else "free "
            kind = "offline " if world.mem[at + OBJCG.offline] else kind
            if f"{kind}obj_cgroup.refcnt" not in named:
                named |= fields(f"{kind}obj_cgroup", OBJCG, at)
        for cpu, slot in ((0, 0), (0, 1), (3, 0)):
            named |= fields(f"stock {slot} of CPU {cpu}", STOCK, w.area(cpu) + STOCK_AT + slot * STOCK.SIZE)
            at = w.area(cpu) + PAGE_STOCK_AT + slot * PAGE_STOCK.SIZE
            named |= fields(f"page stock {slot} of CPU {cpu}", PAGE_STOCK, at)
        frame = next(int(f) for f in w.frames if world.mem[plan["obj_cgroups"] + int(f)])
        named["state of a vector"] = plan["obj_cgroups"] + frame
        named["state of no vector"] = plan["obj_cgroups"] + world.layout.last_frame - 1
        first = plan["owners"] + (frame - world.layout.first_frame) * PAGE_WORDS
        owners = world.words[first : first + 20]
        named["an owner"] = first + int(np.flatnonzero(owners)[0])
        if "F_OBJCGNODE" in world.features:
            memcg = (world.memcg(2) - plan["memcgs"]) // MEMCG.SIZE
            named["obj_cgroup of a memcg's node"] = plan["node_objcgs"] + memcg * world.layout.limits.nodes + 1
        if "F_SHEAF" in world.features and world.mem[world.roots[0] + CACHE.sheaves]:
            named |= sheaves(world)
        return world, named

    return build


def sheaves(world: SmallWorld) -> Iterator[tuple[str, int]]:
    root, m, mem = world.roots[0], world.kworker, world.mem
    for cpu in (0, 1):
        at = pcs_of(m, root, cpu)
        yield from fields(f"sheaves of CPU {cpu}", PCS, at)
        for field in ("main", "spare", "rcu_free"):
            if sheaf := mem[at + getattr(PCS, field)]:
                yield from fields(f"{field} of CPU {cpu}", SHEAF, sheaf, "next", "size")
    barn = barn_of(m, root, 0)
    yield from fields("barn", BARN, barn)
    for field in ("full", "empty"):
        if sheaf := mem[barn + getattr(BARN, field)]:
            yield from fields(f"{field} sheaf of the barn", SHEAF, sheaf, "next", "size")
    pool = barn_of(m, root, world.layout.limits.nodes - 1) + BARN.SIZE
    yield from fields("unused sheaves", POOL, pool)
    yield from fields("unused sheaf", SHEAF, mem[pool + POOL.unused], "next", "size")


def slab() -> tuple[SmallWorld, Named]:
    b = test_slab_faults.busy_world()
    world, root, mem = b.world, b.root, b.world.mem
    named = dict(common(world, b.snapshot))
    named |= fields("statistics", SLAB_STAT, b.snapshot.area(0) + int(b.snapshot.caches["stats"][0]))
    for node in (0, 1):
        at = slab_node(world, root, node)
        named |= fields(f"lists of node {node}", SLAB_NODE, at)
        for field in ("slabs_partial", "slabs_full", "slabs_free"):
            named[f"lists of node {node}.last of {field}"] = at + getattr(SLAB_NODE, field) + 1
    arrays = {
        "array of CPU 0": array_of(world, root, 0),
        "shared array": mem[slab_node(world, root, 0) + SLAB_NODE.shared],
        "alien array": alien_array(b.m, slab_node(world, root, 1), 0),
    }
    for whose, at in arrays.items():
        named |= fields(whose, ARRAY_CACHE, at)
        named[f"{whose}.first entry"] = entry_of(at, 0)
        named[f"{whose}.last entry"] = entry_of(at, max(0, mem[at + ARRAY_CACHE.avail] - 1))
    return world, named


def slob() -> tuple[SmallWorld, Named]:
    b = test_slob_faults.busy_world()
    world = b.world
    named = dict(common(world, b.snapshot))
    named |= fields("statistics", SLOB_STAT, b.snapshot.area(0) + int(b.snapshot.caches["stats"][0]))
    named |= fields("heap", SLOB, b.slob)
    named |= fields("full page", PAGE, b.full())
    named |= fields("large object", PAGE, b.large())
    page = b.page()
    for number, (unit, _) in enumerate(blocks(b.m, page)[:2]):
        named[f"free block {number}"] = address_of(page) + unit // 4
    return world, named


def busy() -> tuple[SmallWorld, Named]:
    b = test_planted_faults.busy_world()
    return b.world, dict(common(b.world, b.snapshot))


WORLDS: dict[str, Callable[[], tuple[SmallWorld, Named]]] = {
    "linux-3.16, one node": busy,
    "v1": slub("v1"),
    "linux-4.0": slub("linux-4.0"),
    "linux-5.3": slub("linux-5.3"),
    "full-tracking": slub("full-tracking"),
    "rfc-reparent": slub("rfc-reparent"),
    "linux-5.9": owned("linux-5.9"),
    "linux-6.18-F_SHEAFASK": owned("linux-6.18-F_SHEAFASK"),
    "linux-7.3": owned("linux-7.3"),
    "SLAB": slab,
    "SLOB": slob,
}


@functools.cache
def world_of(name: str) -> tuple[SmallWorld, Named]:
    return WORLDS[name]()


def noticed(world: SmallWorld, at: int) -> list[str]:
    """By change, who sees it."""
    found = []
    for change in CHANGES.values():
        old = world.mem[at]
        world.mem[at] = change(old)
        try:
            broken = world.check().broken() if world.mem[at] != old else {"="}
        finally:
            world.mem[at] = old
        found.append(" ".join(sorted(broken)) or "-")
    return found


@functools.cache
def expected() -> dict[tuple[str, str], dict[str, list[str]]]:
    """By world and whose field it is."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    with TABLE.open(newline="") as file:
        for world, what, *seen in csv.reader(file):
            found.setdefault((world, what.partition(".")[0]), {})[what] = seen
    return found


@pytest.mark.parametrize(("name", "whose"), expected())
def test_a_changed_field_is_noticed_by_name(name, whose):
    world, named = world_of(name)
    wanted = expected()[name, whose]
    assert {what: noticed(world, named[what]) for what in wanted} == wanted


def table() -> Iterator[list[str]]:
    """The rows as the checkers of now would have them."""
    known = set()
    for name in WORLDS:
        world, named = world_of(name)
        for what, at in named.items():
            seen = noticed(world, at)
            if (what, *seen) not in known and not {"-", "="}.issuperset(seen):
                known.add((what, *seen))
                yield [name, what, *seen]


if __name__ == "__main__":
    csv.writer(sys.stdout, lineterminator="\n").writerows(table())
