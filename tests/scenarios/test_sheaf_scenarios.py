"""What the scenarios of sheaves say is to be expected, as counts of small serial runs (docs/sheaf-experiments.md)."""

from __future__ import annotations

import pytest

from stress.measure.evaluation import measure
from stress.play.coordinator import run
from stress.play.options import named
from stress.result.data import Design
from stress.show.progress import Progress

pytestmark = pytest.mark.usefixtures("interpreted")


def play(scenario: str, *designs: str, cpus: int = 2, nodes: int = 1, memoryless: int = 0, **settings) -> list[Design]:
    """What each design counted; object_size is 128, so sheaves hold 60, and nobody is charged, unless said."""
    if scenario in ("one-way", "free-burst"):
        settings = {"charged": "false"} | settings
    given = [f"{key}={value}" for key, value in ({"object_size": 128} | settings).items()]
    options = named(
        scenario=scenario, settings=given, before=designs[0], after=designs[1:], cpus=cpus, nodes=nodes,
        memoryless=memoryless, serial=True, memory="16M",
    )  # fmt: skip
    result = measure(run(options, Progress(quiet=True)))
    assert not result.partial and not result.invariants.violated
    return [result.designs[name] for name in designs]


def locks(design: Design) -> int:
    return design.operations["list_lock"]


def test_e1_one_way_on_one_node_needs_the_barn_alone():
    few, many = (play("one-way", "linux-7.0", batch=120, rounds=rounds)[0] for rounds in (4, 8))
    assert locks(many) == locks(few)
    assert many.stats["barn_get"] - few.stats["barn_get"] == 4 * 120 / 60
    assert many.stats["barn_put"] - few.stats["barn_put"] == 4 * 120 / 60


def test_e2_between_two_nodes_each_free_goes_to_its_slab():
    old, new = play("one-way", "linux-5.9", "linux-7.0", nodes=2, batch=300, rounds=4, pairing="halves")
    assert new.stats["free_slowpath"] == 4 * 300 and new.stats["barn_put"] == 0
    refills = new.stats["sheaf_refill"] / 60
    slabs = new.stats["free_add_partial"]  # a full one got its first free, or what a refill left over
    assert slabs <= locks(new) <= slabs + 3 * refills and locks(old) < locks(new) / 10


def test_e3_without_memory_each_allocation_takes_a_lock():
    """CPU 1, one of the two that allocate, is on a node without memory; one object more warms nothing up."""
    old, seven, mended = play(
        "one-way", "linux-5.9", "linux-7.0", "linux-7.1", cpus=4, nodes=4, memoryless=3, batch=300, rounds=4,
        pairing="halves",
    )  # fmt: skip
    assert seven.stats["alloc_slowpath"] == 4 * 300 + 3, "all of CPU 1, and the first use of the three"
    assert locks(seven) > 4 * 300 and locks(mended) < 4 * 300 / 10
    assert mended.stats["alloc_slowpath"] == mended.stats["free_slowpath"] == 0
    assert locks(old) < 20


def test_e4_who_may_not_block_refills_none():
    shut, opened = play(
        "one-way", "linux-7.0-rc1", "linux-7.0", nodes=2, batch=300, rounds=4, pairing="halves", may_not_block=1
    )
    in_sheaf = 2 * (60 - 1)  # that the first use, which may block, left in each CPU's; CPU 0 alone allocates
    assert shut.stats["alloc_slowpath"] == 4 * 300 - in_sheaf // 2 - 1
    assert opened.stats["alloc_slowpath"] == 0 and locks(opened) < locks(shut) / 8


@pytest.mark.parametrize("objects, expected", [(60, (0, 0, 0)), (300, (19, 0, 0)), (500, (34, 10, 37.5))])
def test_e5_e6_the_knee_of_bursts_with_one_and_with_two_layers(objects, expected):
    """list_lock of a burst. Sheaves of 32: two and ten hold 384; a CPU partial list some 120; 6.18 has both, one behind
    the other, and counts the list's slabs (F_PARTIALSLABS)."""
    designs = ("linux-5.9", "linux-6.18", "linux-7.0")
    few, many = (
        play("free-burst", *designs, cpus=1, object_size=256, sheaf_capacity=32, objects=objects, bursts=bursts)
        for bursts in (2, 6)
    )
    assert tuple((locks(two) - locks(one)) / 4 for one, two in zip(few, many, strict=True)) == expected


def test_e7_a_refill_finds_the_other_nodes_slabs():
    """In serial play nobody holds a lock that is tried."""
    old, tried, locked = play(
        "remote-refill", "linux-5.9", "linux-7.0", "linux-7.0-F_REMOTETRY", nodes=2, object_size=1024, slabs=32,
        batch=100, rounds=3,
    )  # fmt: skip
    assert tried.stats == locked.stats and tried.operations["list_lock_contended"] == 0
    assert old.stats["alloc_slab"] == 32, "what CPU 1 fills"
    assert 32 <= tried.stats["alloc_slab"] <= 35, "one refill in 43 does not look at other nodes"
    assert 0.8 * 3 * 100 <= tried.stats["free_slowpath"] <= 3 * 100, "objects of the other node"


def test_e8_one_drain_for_each_operation_where_a_stock_has_one_owner():
    designs = ("linux-7.0", "linux-7.1-F_STOCKMEMCG", "linux-7.1", "linux-7.2")

    def drains(nodes: int) -> list[int]:
        few, many = (play("exchange", *designs, nodes=nodes, rounds=rounds, batch=32) for rounds in (4, 8))
        name = "drain_obj_stock"
        return [two.operations[name] - one.operations[name] for one, two in zip(few, many, strict=True)]

    assert drains(2) == [0, 2 * 4 * 32 * 2, 0, 0]
    assert drains(1) == [0, 0, 0, 0]


def test_e9_sheaves_scatter_what_is_allocated_in_a_row():
    old, new, small, large = play(
        "replacement", "linux-5.9", "linux-7.0", "linux-7.0:sheaf_capacity=8", "linux-7.0:sheaf_capacity=120", cpus=1,
        object_size=256, objects=1024, steps=2048, release="false",
    )  # fmt: skip

    def rows(design: Design) -> tuple[int, int]:
        return design.operations["slabs"], design.operations["slabs_of_last_allocations"]

    assert {one.operations["objects_held"] for one in (old, new, small, large)} == {512}
    assert rows(new)[0] > rows(old)[0] >= 512 / 16 and rows(new)[1] > 2 * rows(old)[1]
    assert rows(small)[1] < rows(new)[1] / 2, "what is freed is more than those keep: it goes to the slabs and back"
    kept = [one.operations["objects_in_sheaf"] + one.operations["objects_in_barn"] for one in (small, new, large)]
    assert kept == sorted(kept) and kept[2] > kept[0] and kept[2] <= 12 * 120


def test_objects_that_were_never_replaced_fill_their_slabs():
    (found,) = play(
        "replacement", "linux-5.9", object_size=256, objects=128, steps=0, density=1, release="false"
    )  # of each of two CPUs
    names = ("objects_held", "slabs", "slabs_full_of_held", "last_allocations", "slabs_of_last_allocations")
    assert [found.operations[name] for name in names] == [256, 16, 16, 128, 8]
    assert "objects_held" not in play("replacement", "linux-5.9", objects=128, steps=0)[0].operations


@pytest.mark.parametrize(
    "design, charged",
    [("linux-5.9", 0), ("linux-7.0-F_RCUSHEAF", 0), ("linux-7.0", 160 % 60), ("linux-7.0:sheaf_capacity=100", 60)],
)
def test_e10_what_a_cgroup_freed_last_stays_charged(design, charged):
    (found,) = play("rcu-offline", design, cpus=1, cgroups=10, objects=16)
    assert found.operations["objects_charged"] == charged
    assert found.operations["obj_cgroups_charged"] == -(-charged // 16)
    assert found.cgroups_pinned == 0, "the objects' owners are their parent's by now"
