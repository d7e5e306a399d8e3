"""linux-6.18: sheaves in front of SLUB, a barn per node."""

from __future__ import annotations

import pytest
from small_world import SmallWorld

from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.world import OPS, OPS_AT
from allocators.invariants import sheaf_census
from allocators.sheaf_settings import MAX_FULL
from allocators.slub.sheaf_state import ASKED, BARN, PCS, SHEAF, barn_of, pcs_of

CAPACITY = ASKED


def ops(world: SmallWorld, field: int) -> int:
    return sum(
        world.mem[world.layout.percpu_base + c * world.layout.percpu_stride + OPS_AT + field]
        for c in range(world.layout.nr_cpus)
    )


def sizes(world: SmallWorld, cpu: int) -> list[int]:
    """Objects in a CPU's main and spare sheaf; -1: none."""
    p = pcs_of(world.kworker, world.roots[0], cpu)
    sheaves = [world.mem[p + f] for f in (PCS.main, PCS.spare)]
    return [world.mem[s + SHEAF.size] if s else -1 for s in sheaves]


def barn(world: SmallWorld, node: int = 0) -> tuple[int, int]:
    """(full, empty) sheaves of a barn."""
    b = barn_of(world.kworker, world.roots[0], node)
    return world.mem[b + BARN.nr_full], world.mem[b + BARN.nr_empty]


def test_the_first_allocation_refills_a_sheaf():
    world = SmallWorld("linux-6.18-F_SHEAFASK")
    objects = world.alloc(0, 0)
    assert sizes(world, 0) == [CAPACITY - 1, 0], "the empty main is the spare now"
    assert ops(world, OPS.sheaf_refill) == CAPACITY
    world.free(0, objects)
    assert sizes(world, 0) == [CAPACITY, 0]
    assert world.check().violated == []


def test_frees_go_to_spare_barn_and_slub_in_turn():
    world = SmallWorld("linux-6.18-F_SHEAFASK")
    objects = world.alloc(0, 0, count=CAPACITY * (MAX_FULL + 4))
    assert sizes(world, 0) == [0, 0]
    world.free(1, objects[: 2 * CAPACITY])
    assert (sizes(world, 1), barn(world)) == ([CAPACITY, CAPACITY], (0, 0))
    world.free(1, objects[2 * CAPACITY : -CAPACITY])
    assert (sizes(world, 1), barn(world)) == ([CAPACITY, CAPACITY], (MAX_FULL, 0))
    assert ops(world, OPS.sheaf_flush) == CAPACITY
    assert world.check().violated == []
    world.alloc(0, 0)
    assert barn(world) == (MAX_FULL - 1, 1), "an empty sheaf for a full one"
    assert world.check().violated == []


def test_objects_of_another_node_go_by():
    world = SmallWorld("linux-6.18-F_SHEAFASK", nodes=2)
    objects = world.alloc(0, 0, count=10)
    world.free(1, objects)
    assert sizes(world, 1) == [0, -1]
    assert ops(world, OPS.sheaf_free) == 0
    assert world.check().violated == []


@pytest.mark.parametrize(("design", "left"), [("linux-6.18-F_SHEAFASK-F_618SHRINK", 0), ("linux-6.18-F_SHEAFASK", 4)])
def test_a_shrink_finds_what_sheaves_and_barns_keep(design, left):
    """6.18's shrink flushes the CPU's partial list before it puts slabs there that only the barn kept full."""
    world = SmallWorld(design)
    objects = world.alloc(0, 0, count=64 * 10)
    world.free(1, objects)
    found = sheaf_census(world.kworker, world.layout)
    assert found["objects_in_sheaf"] == 2 * CAPACITY
    assert found["objects_in_barn"] == MAX_FULL * CAPACITY
    assert found["slabs_kept_by_sheaf"] == 1 and found["slabs_kept_by_barn"] >= 4
    world.shrink(0)
    assert set(sheaf_census(world.kworker, world.layout).values()) == {0}
    assert world.mem[world.mem[world.roots[0] + CACHE.node] + NODE.nr_slabs] == left
    assert world.check().violated == []


def test_without_memory_a_sheaf_is_not_half_full():
    world = SmallWorld("linux-6.18-F_SHEAFASK", sizes=(4096,), memory=4 << 20)
    objects = world.alloc(0, 0, count=2000)
    assert 900 < len(objects) <= 1024
    assert world.check().violated == []
    world.free(0, objects)
    assert world.check().violated == []


def test_owners_are_gone_before_an_object_reaches_a_sheaf():
    world = SmallWorld("linux-6.18-F_SHEAFASK")
    world.create(1)
    objects = world.alloc(0, 0, 1, 300)
    world.offline(1)
    world.free(0, objects)
    world.work()
    assert world.tally("cgroups_offline") == 0
    assert world.check().violated == []
