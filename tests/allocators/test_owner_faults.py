"""Owners of objects, and what waits in rings: what `owners`, `queued` and `deferred` say of each wrong word."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from small_world import SmallWorld, undone

from allocators.core.world import (
    DEFERRED_AT,
    OBJCG,
    PAGE_BYTES,
    PAGE_SHIFT,
    RCU_BATCH_AT,
    STOCK,
    STOCK_AT,
    WORLD,
    WORLD_AT,
)
from allocators.invariants.owners import owners
from allocators.invariants.rcu import deferred, queued
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import MEMCG, WORK_CREATE_CHILD, WORK_OBJCG_FREE, WORK_UNREGISTER
from allocators.memcg.obj_vector import BEING_MADE, FAILED, MADE, NONE
from allocators.slob.state import REFERENCE_SHIFT
from allocators.slub.rcu_words import RCU_FREE_BATCH
from shm.ring import ITEM, RING

DESIGNS = ("linux-5.9", "linux-7.1", "linux-7.2")


@functools.cache
def busy(design: str) -> SmallWorld:
    """Owned objects of a memcg that is online and of one that is not, on two CPUs of two nodes."""
    world = SmallWorld(design, sizes=(64,), cpus=2, nodes=2)
    for cgroup in (1, 2):
        world.create(cgroup)
        for cpu in (0, 1):
            world.free(1, world.alloc(cpu, 0, cgroup, 70)[:30])
    world.offline(2)
    world.work()
    assert world.check().violated == [] and not said(world)
    return world


@pytest.fixture(params=DESIGNS)
def world(request) -> Iterator[SmallWorld]:
    with undone(busy(request.param)):
        yield busy(request.param)


def said(world: SmallWorld, text: str = "") -> list[str]:
    return [finding for finding in owners(Snapshot(world.kworker, world.layout)) if text in finding]


def objcg(world: SmallWorld, number: int) -> int:
    return world.layout.plan["objcgs"] + number * OBJCG.SIZE


def numbers(world: SmallWorld, **words: int) -> list[int]:
    """Of the obj_cgroups with these words."""
    return [
        i
        for i in range(world.layout.objcgs)
        if all(world.mem[objcg(world, i) + getattr(OBJCG, name)] == value for name, value in words.items())
    ]


def owner_words(world: SmallWorld) -> list[int]:
    """Where the owners of objects lie, by their addresses."""
    base = world.layout.plan["owners"]
    size = (world.layout.last_frame - world.layout.first_frame) << PAGE_SHIFT
    return [at for at in range(base, base + size) if world.mem[at]]


def stock(world: SmallWorld, cpu: int, slot: int = 0) -> int:
    return world.layout.area(cpu) + STOCK_AT + slot * STOCK.SIZE


def queue(world: SmallWorld, func: int, what: int) -> None:
    ring = world.layout.plan["workqueue"]
    tail = world.mem[ring + RING.tail]
    item = ring + RING.SIZE + tail % world.mem[ring + RING.capacity] * ITEM.SIZE
    world.mem[item + ITEM.func], world.mem[item + ITEM.a], world.mem[ring + RING.tail] = func, what, tail + 1


@pytest.mark.parametrize("beyond", (-1, 0, 3))
def test_each_owner_that_is_no_obj_cgroup_is_said(world, beyond):
    """Those after it in the same slab, too."""
    first, second = owner_words(world)[:2]
    world.mem[first] = world.mem[second] = objcg(world, beyond if beyond < 0 else world.layout.objcgs + beyond)
    assert len(said(world, "which is no obj_cgroup")) == 2


@pytest.mark.parametrize("state", (BEING_MADE, -1, FAILED + 1))
def test_a_vector_is_made_or_failed(world, state):
    states = world.layout.plan["obj_cgroups"]
    made = next(at for at in range(states, states + world.layout.last_frame) if world.mem[at] == MADE)
    world.mem[made] = state
    assert state not in (NONE, MADE, FAILED)
    assert said(world, f"frame {made - states}: its vector of owners is in state {state}, and it is slab")


@pytest.mark.parametrize("beyond", (-1, 0, 3))
def test_a_stock_of_no_obj_cgroup_is_said(world, beyond):
    wild = objcg(world, beyond if beyond < 0 else world.layout.objcgs + beyond)
    world.mem[stock(world, 1) + STOCK.objcg] = wild
    assert said(world, f"the stock of CPU 1 is for word {wild}, which is no obj_cgroup")


def test_a_stock_has_no_less_than_nothing(world):
    o = objcg(world, numbers(world, used=1, offline=0)[0])
    world.mem[stock(world, 0) + STOCK.objcg], world.mem[stock(world, 0) + STOCK.bytes] = o, -1
    assert said(world, f"the stock of CPU 0 has -1 bytes for word {o}")
    world.mem[stock(world, 0) + STOCK.bytes] = 1
    assert not said(world, "bytes for word")
    world.mem[stock(world, 0) + STOCK.objcg] = 0
    assert said(world, "the stock of CPU 0 has 1 bytes for word 0")


def test_slots_of_a_stock_count_where_there_are_some(world):
    """An obj_cgroup in two is wrong; the second slot of a kernel that has one is no slot."""
    five = "F_STOCK5" in world.features
    world.mem[stock(world, 1, 1) + STOCK.objcg] = objcg(world, -1)
    assert len(said(world, "no obj_cgroup")) == bool(said(world)) == five
    both = objcg(world, numbers(world, used=1, offline=0)[0])
    world.mem[stock(world, 1) + STOCK.objcg] = world.mem[stock(world, 1, 1) + STOCK.objcg] = both
    assert len(said(world, f"has two slots for word {both}")) == five


@pytest.mark.parametrize("func", (WORK_OBJCG_FREE, WORK_OBJCG_FREE + 1, WORK_CREATE_CHILD, WORK_UNREGISTER))
def test_an_obj_cgroup_without_references_is_queued_to_be_freed(world, func):
    unused = numbers(world, used=0)[0]
    o = objcg(world, unused)
    for name in OBJCG._fields:
        if name != "SIZE":
            world.mem[o + getattr(OBJCG, name)] = 0
    world.mem[o + OBJCG.used] = world.mem[o + OBJCG.offline] = world.mem[o + OBJCG.ref_atomic] = 1
    text = f"obj_cgroup {unused} (of an offline memcg): it has no reference, and is not queued to be freed"
    assert said(world) == [text]
    queue(world, func, o)
    assert said(world) == ([] if func == WORK_OBJCG_FREE else [text])


def test_what_offline_memcgs_leave_over_is_whole_pages(world):
    """As one sum where stocks are of a memcg; elsewhere nobody's own sum has it."""
    world.mem[WORLD_AT + WORLD.objcg_left_over] += 8
    assert len(said(world, "no whole pages")) == ("F_STOCKMEMCG" in world.features)
    world.mem[WORLD_AT + WORLD.objcg_left_over] += PAGE_BYTES - 8
    assert not said(world, "no whole pages")


@pytest.mark.parametrize("world", DESIGNS[1:], indirect=True)
def test_an_obj_cgroup_is_once_in_its_memcgs_table(world):
    """Where it has one by node."""
    number = (world.memcg(1) - world.layout.plan["memcgs"]) // MEMCG.SIZE
    table = world.layout.plan["node_objcgs"] + number * 2
    first = (world.mem[table] - world.layout.plan["objcgs"]) // OBJCG.SIZE
    world.mem[table + 1] = world.mem[table]
    found = said(world, f"memcg {number} has the obj_cgroups")
    assert len(found) == 2 and any(text.startswith(f"obj_cgroup {first} ") for text in found), "one twice, one missing"


def test_only_memcgs_that_are_online_have_obj_cgroups(world):
    """A descriptor that is not used is none, whatever it says."""
    memcgs = world.layout.plan["memcgs"]
    at = next(
        memcgs + i * MEMCG.SIZE
        for i in range(world.layout.limits.memcgs)
        if not world.mem[memcgs + i * MEMCG.SIZE + MEMCG.used]
    )
    world.mem[at + MEMCG.online] = 1
    assert not said(world)
    world.mem[at + MEMCG.used] = 1
    assert said(world, "is online and has the obj_cgroups [0")


RING_AT, CAPACITY = 24, 4


@pytest.mark.parametrize("head, tail", ((0, 0), (3, 3), (2, 3), (3, 7), (0, 4), (5, 3), (0, 5), (3, 8)))
def test_the_items_of_a_ring(head, tail):
    """First in, first out; none where its ends make no sense."""
    mem = list(range(1000, 1100))
    mem[RING_AT + RING.head], mem[RING_AT + RING.tail], mem[RING_AT + RING.capacity] = head, tail, CAPACITY
    expected = []
    for i in range(head, tail):
        at = RING_AT + RING.SIZE + i % CAPACITY * ITEM.SIZE
        expected.append((mem[at + ITEM.func], mem[at + ITEM.a], mem[at + ITEM.b]))
    if tail - head > CAPACITY:
        expected = []
    assert queued(mem, SimpleNamespace(plan={"ring": RING_AT}), "ring") == expected


def test_objects_that_wait_in_batches():
    """Of `kfree_rcu`, of batches under way, of CPUs; a batch that leads out of memory or in a circle ends there."""
    words, area = WORLD_AT + WORLD.SIZE + 8000, 1500
    mem = [0] * words
    ring = WORLD_AT + WORLD.SIZE + 600
    layout = SimpleNamespace(
        plan={"rcu_queue": ring}, nr_cpus=2, words=words, area=lambda cpu: words - area * (2 - cpu)
    )
    assert layout.area(0) - DEFERRED_AT > ring + 100
    objects = iter(range(ring + 100, ring + 200, 2))
    batch, other, mine, last = ([next(objects) for _ in range(3)] for _ in range(4))
    for chain in (batch, other, mine, last):
        for one, after in zip(chain, chain[1:], strict=False):
            mem[one] = after
    mem[mine[-1]] = mine[0]  # a circle
    mem[other[-1]] = words  # just beyond
    mem[ring + RING.capacity], mem[ring + RING.tail] = 4, 3
    items = ((RCU_FREE_BATCH, other[0]), (RCU_FREE_BATCH - 1, next(objects)), (RCU_FREE_BATCH + 1, next(objects)))
    for i, (func, arg) in enumerate(items):
        mem[ring + RING.SIZE + i * ITEM.SIZE + ITEM.func] = func
        mem[ring + RING.SIZE + i * ITEM.SIZE + ITEM.a] = arg
    mem[layout.area(0) + RCU_BATCH_AT] = batch[0]
    mem[layout.area(0) + DEFERRED_AT], mem[layout.area(1) + DEFERRED_AT] = mine[0], last[0]
    mem[layout.area(0) - DEFERRED_AT] = mem[layout.area(1) - DEFERRED_AT] = 12345
    assert list(deferred(mem, layout)) == [*other, words, *batch, *mine, mine[0], *last]
    mem[layout.area(0) + RCU_BATCH_AT] = (
        5 << REFERENCE_SHIFT | batch[0]
    )  # SLOB: a reference, its cache in the high bits
    assert list(deferred(mem, layout))[len(other) + 2 :][:2] == batch[1:]
