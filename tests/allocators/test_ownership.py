"""linux-5.9: one set of caches, an owner per object; the memcg goes at once, whatever is alive."""

from __future__ import annotations

import pytest
from small_world import SmallWorld

from allocators.core.world import OBJCG, OPS, OPS_AT, PAGE_SHIFT, PAGE_WORDS, STOCK, STOCK_AT
from allocators.invariants import left_behind
from allocators.invariants.sheaves import SHEAF_PLACES, sheaves_of
from allocators.invariants.snapshot import Snapshot
from allocators.memcg import slab_pages
from allocators.memcg.memcontrol import MEMCG
from allocators.memcg.obj_vector import BEING_MADE, FAILED, NONE
from allocators.sheaf_settings import SheafSettings


def used(world: SmallWorld) -> int:
    base = world.layout.plan["objcgs"]
    return sum(world.mem[base + i * OBJCG.SIZE + OBJCG.used] for i in range(world.layout.objcgs))


def test_objects_of_all_cgroups_share_slabs():
    world = SmallWorld("linux-5.9")
    for cgroup in (1, 2):
        world.create(cgroup)
    for _ in range(16):
        for cgroup in (0, 1, 2):
            world.alloc(0, 0, cgroup)
    world.work()
    assert world.tally("nr_caches") == 3
    assert world.tally("owner_bytes") == 64 * 8
    assert world.check().violated == []


def test_charges_are_by_byte_and_in_whole_pages():
    world = SmallWorld("linux-5.9")
    world.create(1)
    objects = world.alloc(0, 0, 1, 56)  # 56 * 72 = 4032
    assert world.mem[world.memcg(1) + MEMCG.kmem] == 1
    objects += world.alloc(0, 0, 1)
    assert world.mem[world.memcg(1) + MEMCG.kmem] == 2
    world.free(1, objects)
    assert world.check().violated == []
    assert world.mem[world.memcg(1) + MEMCG.kmem] <= 2


def test_the_memcg_goes_at_once_and_its_owner_pointer_with_the_last_object():
    world = SmallWorld("linux-5.9")
    world.create(1)
    objects = world.alloc(0, 0, 1, 640)
    world.offline(1)
    assert world.check().violated == []
    world.work()
    assert world.memcg(1) == 0
    assert (world.tally("offlined"), world.tally("cgroups_offline")) == (0, 0)
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)
    assert used(world) == 1
    world.free(1, objects)
    world.work()
    assert world.check().violated == []
    assert used(world) == 1, "the stocks still refer to it"
    world.create(2)
    for cpu in (0, 1):
        world.free(cpu, world.alloc(cpu, 0, 2))
    world.work()
    assert used(world) == 1
    assert world.check().violated == []


def test_work_per_free_is_counted():
    world = SmallWorld("linux-5.9")
    world.create(1)
    objects = world.alloc(0, 0, 1, 100)
    world.offline(1)
    world.free(0, objects)
    ops = [
        sum(world.mem[world.layout.percpu_base + c * world.layout.percpu_stride + OPS_AT + f] for c in (0, 1))
        for f in (OPS.owned_free, OPS.dead_free)
    ]
    assert ops == [100, 100]


def test_a_failed_allocation_is_uncharged():
    world = SmallWorld("linux-5.9", sizes=(4096,), memory=4 << 20)
    world.create(1)
    objects = world.alloc(0, 0, 1, 2000)
    assert 0 < len(objects) < 2000
    assert world.check().violated == []
    world.free(0, objects)
    assert world.check().violated == []
    assert world.tally("owner_bytes_peak") >= len(objects) * 8


def test_a_vector_that_outlives_its_slab_is_found(monkeypatch):
    world = SmallWorld("linux-5.9")
    world.create(1)
    objects = world.alloc(0, 0, 1, 640)
    world.free(1, objects)
    monkeypatch.setattr(slab_pages, "drop_vector", lambda m, page: None)
    world.shrink(0)
    assert world.check().broken() == {"owners"}


def test_an_owner_of_what_nobody_has_is_found():
    world = SmallWorld("linux-5.9")
    world.create(1)
    objects = world.alloc(0, 0, 1, 8)
    assert world.check().violated == []
    world.live[objects[3]] -= 1
    report = world.check()
    assert report.broken() == {"owners", "inuse", "conservation"}
    assert any("has an owner and is not handed out" in text for _, text in report.violated)


@pytest.mark.parametrize(("state", "broken"), [(BEING_MADE, {"owners"}), (FAILED, set())])
def test_no_vector_of_owners_is_being_made_at_rest(state, broken):
    world = SmallWorld("linux-5.9")
    world.create(1)
    frame = world.alloc(0, 0, 0)[0] >> PAGE_SHIFT  # of the root, with no owners
    at = world.layout.plan["obj_cgroups"] + frame
    assert world.mem[at] == NONE
    world.mem[at] = state
    assert world.check().broken() == broken


@pytest.mark.parametrize("number", (-1, "count"))
@pytest.mark.parametrize("where", ("object", "stock"))
def test_an_owner_beside_all_obj_cgroups_is_found(where, number):
    """Whatever the first and the last descriptor say."""
    world = SmallWorld("linux-5.9")
    world.create(1)
    objects = world.alloc(0, 0, 1, 8)
    base, count = world.layout.plan["objcgs"], world.layout.objcgs
    for i in range(count):
        world.mem[base + i * OBJCG.SIZE + OBJCG.used] = 1
    assert "no obj_cgroup" not in str(world.check().violated)
    at = owner_at(world, objects[3]) if where == "object" else world.layout.area(0) + STOCK_AT + STOCK.objcg
    world.mem[at] = base + (count if number == "count" else number) * OBJCG.SIZE
    assert "no obj_cgroup" in str(world.check().violated)


@pytest.mark.parametrize("place", SHEAF_PLACES)
def test_an_owner_of_what_a_sheaf_has_is_found(place):
    """Only what waits for its grace period in a sheaf keeps its owner."""
    world = SmallWorld("linux-7.0", sizes=(64,), sheaves=SheafSettings(capacity=10, max_full=1))
    world.create(1)
    objects = world.alloc(0, 0, 1, 60)
    world.free(1, objects[:30])  # into its two sheaves and the barn
    kept = next(
        sheaf.objects
        for sheaf in sheaves_of(Snapshot(world.kworker, world.layout))
        if sheaf.place == place and len(sheaf.objects)
    )
    assert world.check().violated == []
    freed, held = owner_at(world, int(kept[0])), owner_at(world, objects[-1])
    assert world.mem[freed] == 0 and world.mem[held]
    world.mem[freed], world.mem[held] = world.mem[held], 0
    report = world.check()
    assert report.broken() == {"owners"} and "has an owner and is not handed out" in report.violated[0][1]


def owner_at(world: SmallWorld, obj: int) -> int:
    """Where the owner of an object of 64 bytes is."""
    page, number = divmod(obj, PAGE_WORDS)
    return world.layout.plan["owners"] + (page - world.layout.first_frame) * PAGE_WORDS + number // 8
