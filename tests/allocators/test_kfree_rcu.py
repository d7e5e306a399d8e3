"""kfree_rcu: objects are freed after a grace period, in sheaves or in batches, and what waits is counted."""

from __future__ import annotations

import random

import numpy as np
import pytest
from small_world import SmallWorld
from test_sheaves_for_all import counted

from allocators.caches.kfree_rcu import kfree_rcu
from allocators.caches.memcg_caches import destroy_root, run_deferred_work
from allocators.core.kmem_cache import CACHE
from allocators.core.world import OPS, OPS_AT, RCU_BATCH_AT
from allocators.invariants.rcu import deferred, queued
from allocators.sheaf_settings import SheafSettings
from allocators.slub.rcu_words import RCU_TAKE_BATCH
from allocators.slub.sheaf_state import BARN, PCS, SHEAF, barn_of, pcs_of
from allocators.slub.state import STAT

SHEAVES = ("linux-6.18-F_SHEAFASK", "linux-7.0", "linux-7.3")


def free_later(world: SmallWorld, cpu: int, objects: list[int]) -> None:
    for obj in objects:
        kfree_rcu(world.machine(cpu), obj)
        world.live[obj] -= 1
    world.live = +world.live


def owned_objects(world: SmallWorld) -> int:
    """Objects that have an owner."""
    first = world.layout.plan["owners"]
    return int(
        np.count_nonzero(world.words[first : first + (world.layout.last_frame - world.layout.first_frame) * 512])
    )


def frees(world: SmallWorld) -> int:
    return sum(world.mem[world.layout.area(cpu) + OPS_AT + OPS.free] for cpu in range(world.layout.nr_cpus))


DESIGNS = (
    *(("slub", design) for design in ("linux-3.16", "v3", "linux-5.3", "linux-6.18", "linux-7.0-F_RCUSHEAF", *SHEAVES)),
    ("slub", "rfc-reparent"), ("slab", "linux-3.16"), ("slab", "v3"), ("slob", "linux-3.16"),
)  # fmt: skip


@pytest.mark.parametrize(("allocator", "design"), DESIGNS)
def test_random_work_keeps_every_rule(allocator, design):
    nodes = 1 if allocator == "slob" else 2
    world = SmallWorld(design, allocator=allocator, sizes=(64, 512), nodes=nodes, memory=8 << 20)
    world.create(1)
    world.create(2)
    rng = random.Random(5)
    held: list[int] = []
    for i in range(160):
        cpu, what = rng.randrange(2), rng.random()
        if what < 0.45:
            held += world.alloc(cpu, rng.randrange(2), rng.choice([0, *world.online()]), rng.randrange(1, 40))
        elif what < 0.9:
            some = [held.pop(rng.randrange(len(held))) for _ in range(min(len(held), rng.randrange(1, 40)))]
            if what < 0.75:
                free_later(world, cpu, some)
            else:
                world.free(cpu, some)
        elif what < 0.96:
            world.work()
        else:
            world.shrink(rng.randrange(2))
        if i == 100:
            world.work()
            world.offline(1)
        if i % 40 == 0:
            assert world.check().violated == []
    free_later(world, 0, held)
    assert world.check().violated == []
    for cache in range(2):
        world.shrink(cache)
    world.work()
    assert world.check().violated == []
    totals = [
        sum(world.mem[world.layout.area(cpu) + OPS_AT + item] for cpu in range(3)) for item in (OPS.alloc, OPS.free)
    ]
    assert totals[0] == totals[1] > 1000


def test_an_object_of_a_batch_waits_for_a_whole_grace_period():
    """Two grace periods at most: while objects come together, and after they were taken."""
    world = SmallWorld("linux-5.9", sizes=(64,))
    first, second = world.alloc(0, 0, count=2)
    free_later(world, 0, [first])
    assert run_deferred_work(world.kworker) and frees(world) == 0
    free_later(world, 1, [second])
    assert sorted(deferred(world.mem, world.layout)) == sorted([first, second]), "one in a queued batch"
    assert run_deferred_work(world.kworker) and frees(world) == 1
    world.work()
    assert frees(world) == 2
    assert world.check().violated == []


def test_cpus_share_no_word_of_a_batch():
    """Each has its own, as in a kernel: what one frees, another cannot wait for."""
    world = SmallWorld("linux-5.9", sizes=(64,))
    objects = world.alloc(0, 0, count=4)
    for cpu in (0, 1):
        free_later(world, cpu, objects[2 * cpu : 2 * cpu + 2])
        assert world.mem[world.layout.area(cpu) + RCU_BATCH_AT] == objects[2 * cpu + 1]
    assert [func for func, _, _ in queued(world.mem, world.layout, "rcu_queue")] == [RCU_TAKE_BATCH] * 2
    world.work()
    assert frees(world) == 4 and world.check().violated == []


@pytest.mark.parametrize("design", SHEAVES)
def test_a_full_rcu_sheaf_goes_to_the_barn(design):
    world = SmallWorld(design, sizes=(64,), sheaves=SheafSettings(capacity=10, max_full=1))
    objects = world.alloc(0, 0, count=30)
    s = world.roots[0]
    barn, pcs = barn_of(world.kworker, s, 0), pcs_of(world.kworker, s, 0)
    free_later(world, 0, objects[:9])
    assert world.mem[world.mem[pcs + PCS.rcu_free] + SHEAF.size] == 9
    free_later(world, 0, objects[9:10])
    assert world.mem[pcs + PCS.rcu_free] == world.mem[barn + BARN.nr_full] == 0
    assert world.check().violated == []
    world.work()
    assert world.mem[barn + BARN.nr_full] == 1
    found = counted(world)
    assert (found["free_rcu_sheaf"], found["barn_put"], found.get("sheaf_flush", 0)) == (10, 1, 0)
    free_later(world, 0, objects[10:20])  # the barn has enough now
    world.work()
    found = counted(world)
    assert (found["free_rcu_sheaf"], found["barn_put_fail"], found["sheaf_flush"]) == (20, 1, 10)
    assert world.check().violated == []
    got = found["barn_get"] if "barn_get" in found else 0
    world.alloc(0, 0, count=10)
    assert counted(world)["barn_get"] == got + 1, "what kfree_rcu gave back is allocated again"


@pytest.mark.parametrize("design", ["linux-7.0", "linux-5.9"])
@pytest.mark.parametrize("ended", ["filled", "shrunk", "destroyed"])
def test_charged_until_the_sheaf_is_full_or_flushed(design, ended):
    """E10: an obj_cgroup of an offline memcg stays for ever for one object in an idle CPU's rcu_free sheaf."""
    world = SmallWorld(design, sizes=(64,), cpus=2)
    world.create(1)
    (obj,) = world.alloc(0, 0, 1)
    rest = world.alloc(0, 0, 0, 59)
    world.offline(1)
    free_later(world, 0, [obj])
    other = world.alloc(1, 0)  # whatever the other CPU does
    for _ in range(3):
        world.free(1, other)
        other = world.alloc(1, 0, 0, 100)
        world.work()
    assert world.check().violated == []
    waits = design == "linux-7.0"
    assert owned_objects(world) == int(waits)
    if ended == "filled":
        free_later(world, 0, rest)
    elif ended == "shrunk":
        world.shrink(0)
    else:
        world.free(0, rest)
        world.free(1, other)
        assert destroy_root(world.kworker, world.roots[0])
    assert world.check().violated == []  # a sheaf that waits as it is, or a full one
    world.work()
    assert owned_objects(world) == 0
    assert world.check().violated == []


@pytest.mark.parametrize(("design", "done"), [("linux-5.9", False), ("linux-6.18", True), ("linux-7.0", True)])
def test_destroy_waits_for_what_kfree_rcu_has(design, done):
    """B25: before, a destroy found objects that remained."""
    world = SmallWorld(design, sizes=(64,))
    free_later(world, 1, world.alloc(0, 0, count=3))
    assert destroy_root(world.kworker, world.roots[0]) == done
    world.work()
    if not done:
        assert destroy_root(world.kworker, world.roots[0])
    assert world.check().violated == []


def test_without_a_sheaf_it_is_a_batch():
    world = SmallWorld("linux-7.0", sizes=(64,), sheaves=SheafSettings(capacity=1, max_full=0, max_empty=0))
    s = world.roots[0]
    objects = world.alloc(0, 0, count=200)
    free_later(world, 0, objects)  # more sheaves than there are wait for a grace period
    found = counted(world)
    assert found["free_rcu_sheaf_fail"] > 0 and found["free_rcu_sheaf"] + found["free_rcu_sheaf_fail"] == 200
    assert world.check().violated == []
    world.work()
    assert world.check().violated == []
    assert world.mem[s + CACHE.live] == 0


FAULTS = {
    "an object that a rcu_free sheaf forgets": (
        lambda w: [w.mem[pcs_of(w.kworker, w.roots[0], 0) + PCS.rcu_free] + SHEAF.size], -1,
        {"inuse", "conservation", "owners"},
    ),
    "a batch that is lost": (lambda w: [w.layout.area(0) + RCU_BATCH_AT], None, {"inuse", "conservation"}),
    "a wrong count of kfree_rcu": (
        lambda w: [w.layout.area(0) + w.mem[w.roots[0] + CACHE.stats] + STAT.free_rcu_sheaf], 1, {"conservation"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults(name):
    where, delta, fires = FAULTS[name]
    world = SmallWorld("linux-7.0" if delta else "linux-5.9", sizes=(64,))
    world.create(1)
    free_later(world, 0, world.alloc(0, 0, 1, 3))
    assert world.check().violated == []
    for at in where(world):
        world.mem[at] = world.mem[at] + delta if delta else 0
    assert fires <= world.check().broken()
