"""linux-7.0 and later: sheaves for all caches, slabs of nodes beneath, no CPU slabs."""

from __future__ import annotations

import pytest
from small_world import SmallWorld, damage

from allocators.caches.slab_common import kmem_cache_alloc_gfp
from allocators.catalogue import statistics_of
from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.page_alloc import PAGE, head_of
from allocators.core.page_pair import inuse_of
from allocators.core.world import WORLD, WORLD_AT
from allocators.designs import DESIGNS
from allocators.sheaf_settings import SheafSettings
from allocators.slub.inspect import statistics, walk_partial
from allocators.slub.node_slab import free_chain, free_one
from allocators.slub.sheaf_state import BARN, PCS, SHEAF, barn_of, pcs_of, sheaf_capacity
from allocators.slub.state import OFF_LIST, STAT
from shm.locks import LIST_LOCK, LOCK_COUNT, LOCK_COUNTS

SEVEN = (
    "linux-7.0-rc1",
    "linux-7.0",
    "linux-7.1",
    "linux-7.2",
    "linux-7.3",
    "linux-7.0-F_REMOTETRY",
    "linux-7.0-F_CAP7",
)


def counted(world: SmallWorld, cache: int = 0) -> dict[str, int]:
    """The statistics of a cache over all CPUs, those that are not 0."""
    found = statistics(world.kworker, world.roots[cache], world.layout.nr_cpus)
    return {name: sum(values) for name, values in found.items() if any(values)}


def list_locks(world: SmallWorld, cpu: int = 0) -> int:
    """How often a CPU took a list_lock."""
    return world.mem[world.layout.area(cpu) + LOCK_COUNTS + LIST_LOCK * LOCK_COUNT.SIZE + LOCK_COUNT.acquired]


@pytest.mark.parametrize("design", [*SEVEN, "linux-6.18", "linux-6.18-F_SHEAFASK"])
@pytest.mark.parametrize("nodes", [1, 2])
def test_random_work_keeps_every_rule(design, nodes):
    world = SmallWorld(design, nodes=nodes, memory=nodes << 22, sizes=(64, 512, 4096), sheaf_capacity=8 * (nodes - 1))
    world.create(1)
    for i, name in enumerate(world.churn(7, 700)):
        if i % 100 == 0:
            assert world.check().violated == [], name
    world.work()
    world.free(0, list(world.live.elements()))
    assert world.check().violated == []
    for cache in range(3):
        world.shrink(cache)
        world.shrink(cache)
    assert world.check().violated == []
    slabs = [
        world.mem[world.mem[s + CACHE.node] + i * NODE.SIZE + NODE.nr_slabs] for s in world.roots for i in range(nodes)
    ]
    assert sum(slabs) == 0


@pytest.mark.parametrize(("size", "capacity"), [(8, 60), (248, 60), (256, 28), (1016, 28), (1024, 12), (4096, 4)])
def test_capacities_by_size(size, capacity):
    features = DESIGNS["linux-7.0"].switches
    assert sheaf_capacity(features, size) == capacity
    assert sheaf_capacity(features, size, asked=32) == max(32, capacity)
    assert sheaf_capacity(features, size, set_to=7) == 7
    assert sheaf_capacity(DESIGNS["linux-6.18"].switches, size) == 0
    assert sheaf_capacity(DESIGNS["linux-6.18"].switches, size, asked=32) == 32


def test_what_the_first_allocation_does():
    """A new slab of 64 objects: 60 to the sheaf, 4 to the node's list under list_lock."""
    world = SmallWorld("linux-7.0")
    (obj,) = world.alloc(0, 0)
    assert counted(world) == {
        "alloc_fastpath": 1, "barn_get_fail": 1, "sheaf_alloc": 1, "sheaf_refill": 60, "alloc_slab": 1,
    }  # fmt: skip
    assert list_locks(world) == 1
    assert inuse_of(world.mem[head_of(world.kworker, obj) + PAGE.pair]) == 60


def test_a_slab_that_a_refill_takes_whole_costs_no_lock():
    world = SmallWorld("linux-7.0", sheaves=SheafSettings(capacity=64))
    world.alloc(0, 0, count=128)
    assert list_locks(world) == 0
    assert world.check().violated == []


def _left_over(design: str) -> tuple[SmallWorld, int]:
    """CPU 0 refills a sheaf of 10 from three partial slabs; returns the world and how often it took list_lock."""
    world = SmallWorld(design, sizes=(512,), cpus=2, sheaves=SheafSettings(capacity=10, max_full=0, max_empty=0))
    objects = world.alloc(1, 0, count=40)
    by_slab: dict[int, list[int]] = {}
    for obj in objects:
        by_slab.setdefault(head_of(world.kworker, obj), []).append(obj)
    some = [of[:6] for of in by_slab.values() if len(of) >= 7][:3]
    assert len(some) == 3
    for slab in some:
        for obj in slab:
            free_one(world.machine(1), world.roots[0], head_of(world.kworker, obj), obj)  # past the sheaves
            world.live[obj] -= 1
    before = list_locks(world)
    world.alloc(0, 0)
    return world, list_locks(world) - before


@pytest.mark.parametrize(("design", "locks"), [("linux-7.0", 2), ("linux-7.2", 2), ("linux-7.3", 2)])
def test_what_a_refill_leaves_over_is_on_its_list(design, locks):
    world, taken = _left_over(design)
    assert taken == locks
    n = world.mem[world.roots[0] + CACHE.node]
    assert len(list(walk_partial(world.kworker, n))) == world.mem[n + NODE.nr_partial] >= 1
    added = counted(world).get("free_add_partial", 0)
    assert (added == 4) == (design == "linux-7.0"), "a left-over is freed, or given back"


def test_7_0_rc1_leaks_what_a_refill_got_without_memory():
    leaked = {}
    for design in ("linux-7.0-rc1", "linux-7.0"):
        world = SmallWorld(design, sizes=(4096,), memory=1 << 22, sheaves=SheafSettings(capacity=10))
        world.alloc(0, 0, count=1100)
        leaked[design] = "inuse" in world.check().broken()
    assert leaked == {"linux-7.0-rc1": True, "linux-7.0": False}


def test_one_way_flow_on_one_node_needs_no_list_lock():
    """E1: who frees gives full sheaves to the barn, who allocates takes them."""
    world = SmallWorld("linux-7.0")
    held = world.alloc(0, 0, count=600)
    world.free(1, held)
    before = list_locks(world, 0) + list_locks(world, 1)
    for _ in range(5):
        world.free(1, world.alloc(0, 0, count=300))
    assert list_locks(world, 0) + list_locks(world, 1) == before
    assert world.check().violated == []


def test_a_full_slab_that_is_freed_at_once_waits_for_its_grace_period_as_it_is():
    """All its objects come back as one chain, as a sheaf has them: it was on no list, and is put on none."""
    world = SmallWorld("linux-7.0", sizes=(192,), by_rcu=(0,))
    s, m = world.roots[0], world.machine(0)
    held = world.alloc(0, 0, count=100)
    page = head_of(m, held[50])
    chain = [obj for obj in held if head_of(m, obj) == page]
    world.mem[s + CACHE.min_partial] = 0
    for obj, after in zip(chain, chain[1:]):
        world.mem[obj + world.mem[s + CACHE.offset]] = after
    assert world.mem[page + PAGE.prev] == OFF_LIST
    free_chain(m, s, page, chain[0], chain[-1], len(chain))
    world.live.subtract(chain)
    assert world.mem[WORLD_AT + WORLD.rcu_slabs] == page
    assert not [text for name, text in world.check().violated if name == "one_state"]


@pytest.mark.parametrize(("design", "locks"), [("linux-7.0-rc1", 600), ("linux-7.0", 19), ("linux-7.0+F_GATE", 600)])
def test_the_gate(design, locks):
    """E4: the barn is empty and no allocation may block. 7.0: of ten refills the first takes a new
    slab, the others what is left of it (one list_lock) and a new one, whose rest goes to the list (another)."""
    world = SmallWorld(design, sizes=(64,))
    m, s = world.machine(0), world.roots[0]
    world.live.update(kmem_cache_alloc_gfp(m, s, 0, False) for _ in range(600))
    assert list_locks(world) == locks
    found = counted(world)
    expected = (600, 0, 600) if locks == 600 else (0, 600, 10)
    assert tuple(found.get(item, 0) for item in ("alloc_slowpath", "alloc_fastpath", "barn_get_fail")) == expected
    assert world.check().violated == []


def test_the_gate_is_passed_by_what_sheaves_have():
    """And who may block refills a sheaf, which then serves those that may not."""
    world = SmallWorld("linux-7.0-rc1", sizes=(64,))
    m, s = world.machine(0), world.roots[0]
    world.live.update(kmem_cache_alloc_gfp(m, s, 0, may_block) for may_block in (False, True, *[False] * 60))
    assert counted(world)["alloc_slowpath"] == 2
    assert counted(world)["alloc_fastpath"] == 60
    assert world.check().violated == []


def test_names_of_statistics():
    old, sheaves, seven = (statistics_of("slub", DESIGNS[d].switches) for d in ("linux-5.9", "linux-6.18", "linux-7.0"))
    assert (len(old), len(sheaves), len(seven)) == (26, 43, 26)
    assert not set(seven) & {"alloc_pcs", "free_pcs", "free_frozen", "cpu_partial_drain"}


@pytest.mark.parametrize("design", ["linux-6.18-F_SHEAFASK", "linux-7.0"])
@pytest.mark.parametrize("item", ["sheaf_refill", "sheaf_flush", "alloc_slowpath", "free_slowpath"])
def test_a_wrong_count_is_seen(design, item):
    world = SmallWorld(design)
    world.free(0, world.alloc(0, 0, count=100))
    assert world.check().violated == []
    s = world.roots[0]
    world.mem[world.layout.area(0) + world.mem[s + CACHE.stats] + getattr(STAT, item)] += 1
    assert world.check().broken() == {"conservation"}


FAULTS = {
    "an object that its sheaf forgets": (
        damage((lambda w: w.mem[pcs_of(w.kworker, w.roots[0], 0) + PCS.spare] + SHEAF.size, -1)),
        {"inuse", "conservation"},
    ),
    "a full slab that is marked as listed": (
        lambda w: w.words.__setitem__(head_of(w.kworker, min(w.live)) + PAGE.prev, 0), {"one_state"},
    ),
    "a barn that counts one too many": (
        damage((lambda w: barn_of(w.kworker, w.roots[0], 0) + BARN.nr_full, 1)), {"sheaves"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults(name):
    world = SmallWorld("linux-7.0", sizes=(64,))
    objects = world.alloc(0, 0, count=64 * 4)
    world.free(0, objects[128:])
    for obj in objects[128:]:
        assert world.live[obj] == 0
    world.live = +world.live
    assert world.check().violated == []
    fault, fires = FAULTS[name]
    fault(world)
    assert fires <= world.check().broken()


@pytest.mark.parametrize(("design", "slow"), [("linux-7.0", 200), ("linux-7.1", 0)])
def test_cpus_of_a_node_without_memory(design, slow):
    """E3: under 7.0 all that they allocate and free goes object by object to slabs of other nodes."""
    world = SmallWorld(design, nodes=2, memoryless=1, sizes=(64,))
    world.free(1, world.alloc(1, 0, count=200))
    found = counted(world)
    assert found.get("alloc_slowpath", 0) == found.get("free_slowpath", 0) == slow
    assert found.get("alloc_fastpath", 0) == found.get("free_fastpath", 0) == 200 - slow
    assert world.check().violated == []
    world.shrink(0)
    assert world.check().violated == []


@pytest.mark.parametrize("design", ["linux-6.18", "linux-7.0"])
def test_a_cache_that_asks_for_large_sheaves_has_room_for_them(design):
    world = SmallWorld(design, sizes=(64, 64), sheaf_capacity=240)
    for cache in (0, 1):
        world.free(0, world.alloc(0, cache, count=6000))
        world.free(1, world.alloc(1, cache, count=6000))
        assert world.check().violated == []
