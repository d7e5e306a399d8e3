"""Worlds that sound allocators made satisfy every invariant; the checkers survive any memory."""

from __future__ import annotations

import random

import pytest
from small_world import SmallWorld, wild_memory

from allocators.core.world import MEM_MAP, PAGE_SHIFT
from allocators.invariants import CHECKERS, MOST, check

DESIGNS = (
    "linux-3.15",
    "linux-3.16",
    "v1",
    "v2",
    "v3",
    "linux-4.0",
    "linux-5.3",
    "full-tracking",
    "rfc-reparent",
    "linux-5.9",
    "linux-6.18",
    "linux-3.16-F_OBO",
    "linux-3.16+P1+P2",
    "v1-P1-P6",
    "v3-F_RCU",
    "linux-3.16+P2+P3+F_MB",
)


@pytest.mark.parametrize("nodes", (1, 2))
@pytest.mark.parametrize("design", DESIGNS)
def test_random_play_satisfies_all(design, nodes):
    world = SmallWorld(design, nodes=nodes, memory=8 << 20, by_rcu=(1,))
    for i, _ in enumerate(world.churn(seed=nodes, operations=1200)):
        if i % 60 == 0:
            assert world.check().violated == []
    report = world.check()
    assert report.violated == []
    assert report.checked == list(CHECKERS)
    assert world.tally("offlined") > 5 or "F_OBJCG" in world.features, (
        "the play must take caches offline to mean anything"
    )
    world.close()


def test_no_cpu_partial_lists():
    world = SmallWorld("linux-3.16", cpu_partial=False)
    for _ in world.churn(seed=3, operations=800):
        pass
    assert world.check().violated == []


def test_out_of_memory_leaves_a_sound_world():
    world = SmallWorld("v3", sizes=(4096, 256), memory=4 << 20)
    objects = world.alloc(0, 0, count=3000)
    assert 0 < len(objects) <= 1024
    assert world.check().violated == []
    world.free(1, objects)
    assert world.check().violated == []


def test_objects_of_the_very_last_page_are_known():
    world = SmallWorld("linux-3.16", sizes=(64, 4096))
    world.alloc(0, 0)
    last = [obj for obj in world.alloc(0, 1, count=2000) if obj >> PAGE_SHIFT >= world.layout.last_frame - 8]
    world.free(0, last)
    world.shrink(1)
    small = world.alloc(0, 0, count=2000)  # slabs of a page each, until memory is out
    assert max(small) >> PAGE_SHIFT == world.layout.last_frame - 1
    assert world.check().violated == []


def test_the_largest_blocks_stay_apart():
    assert SmallWorld(memory=16 << 20).check().violated == []


def test_work_that_is_still_queued_is_accounted_for():
    world = SmallWorld("v3")
    objects = world.child_with_objects(count=20)
    world.create(2)
    world.alloc(0, 1, 2)  # queues the creation of a child
    assert world.check().violated == []
    world.offline(1)
    world.free(0, objects)  # the last slab's uncharge queues the destruction
    assert world.check().violated == []
    assert world.tally("destroyed") == 0
    world.work()
    assert world.check().violated == []
    assert world.tally("destroyed") == 1


def test_what_cannot_be_checked_is_not_said_to_be_checked():
    world = SmallWorld("linux-3.16", stats=False)
    world.alloc(0, 0, count=10)
    report = check(world.kworker, world.layout, stats=False)
    assert report.violated == []
    assert set(CHECKERS) - set(report.checked) == {"inuse", "conservation"}


def test_list_as_memory():
    """The interpreted engine may run on a plain list; the checkers read that too."""
    world = SmallWorld("v1")
    world.child_with_objects(count=5)
    m = world.machine(0)
    m.mem = list(world.mem[:])
    assert check(m, world.layout, world.objects(), stats=True).violated == []
    m.mem[world.layout.percpu_base + 3] = 7  # padding: still sound
    m.mem[world.layout.plan["zones"]] = 1
    assert check(m, world.layout, world.objects(), stats=True).broken() == {"locks"}


def test_many_findings_are_cut_short():
    world = SmallWorld("linux-3.16")
    world.alloc(0, 0, count=640)
    world.words[MEM_MAP + 8 * world.layout.first_frame :][: 8 * 1024 : 8] ^= 1 << 31  # the frozen bit of every page
    report = world.check()
    texts = [text for name, text in report.violated if name == "one_state"]
    assert len(texts) == MOST + 1 and texts[-1] == "and more of the kind"


@pytest.mark.parametrize("count", (MOST, MOST + 1))
def test_what_is_left_out_is_said(monkeypatch, count):
    monkeypatch.setitem(CHECKERS, "bug", lambda _: iter([str(i) for i in range(count)]))
    told = [("bug", str(i)) for i in range(MOST)]
    assert SmallWorld().check().violated == told + [("bug", "and more of the kind")] * (count - MOST)


@pytest.mark.filterwarnings("error")
def test_any_memory_is_reported_and_never_crashes():
    """Wild words anywhere but in the boot constants of the header: findings, no exception, no hang."""
    world = SmallWorld("v3")
    held = [obj for cgroup in (1, 2, 3) for obj in world.child_with_objects(cgroup, cgroup % 3, 100)]
    held += world.alloc(0, 0, count=200)
    world.free(1, held[::2])
    world.offline(2)
    assert sum(wild_memory(world, random.Random(7))) > 75
