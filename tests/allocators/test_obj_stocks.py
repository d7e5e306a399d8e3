"""Stocks of charged bytes and pages, linux-6.18 to linux-7.3: what drains them, and faults in them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest
from small_world import SmallWorld

from allocators.core.world import OBJCG, OPS, OPS_AT, PAGE_STOCK, PAGE_STOCK_AT
from allocators.invariants import left_behind
from allocators.memcg import memcontrol, obj_stock, objcg, page_stock
from allocators.memcg.memcontrol import MEMCG
from allocators.memcg.page_stock import BATCH

DESIGNS = (
    "linux-5.9+F_PAGESTOCK",
    "linux-6.18",
    "linux-7.0",
    "linux-7.1-F_STOCKMEMCG",
    "linux-7.1",
    "linux-7.2",
    "linux-7.2-F_PAGESTOCK",
    "linux-7.3",
)
MODULES = [module for name, module in sys.modules.items() if name.partition(".")[0] == "allocators"]


def counted(world: SmallWorld, counter: int) -> int:
    return sum(world.mem[world.layout.area(cpu) + OPS_AT + counter] for cpu in range(world.layout.nr_cpus))


def descriptors(world: SmallWorld) -> int:
    base = world.layout.plan["objcgs"]
    return sum(world.mem[base + i * OBJCG.SIZE + OBJCG.used] for i in range(world.layout.objcgs))


def exchange(world: SmallWorld, rounds: int) -> int:
    """Each CPU allocates an object for cgroup 1, and the other one frees it; the number of operations."""
    for _ in range(rounds):
        mine, others = world.alloc(0, 0, 1), world.alloc(1, 0, 1)
        world.free(0, others)
        world.free(1, mine)
    return 4 * rounds


@pytest.mark.parametrize(
    ("design", "drains"),
    [
        ("linux-5.9", 0),
        ("linux-6.18", 0),
        ("linux-7.0", 0),
        ("linux-7.1-F_STOCKMEMCG", 1),
        ("linux-7.1", 0),
        ("linux-7.1+F_STOCK5", 0),
        ("linux-7.2", 0),
        ("linux-7.2-F_STOCK5", 1),
        ("linux-7.3", 0),
    ],
)
def test_drains_per_operation_between_two_nodes(design, drains):
    """01b9da291c49 alone drains a stock at every operation."""
    world = SmallWorld(design, nodes=2, memory=8 << 20)
    world.create(1)
    exchange(world, 10)
    before = counted(world, OPS.drain_obj_stock)
    operations = exchange(world, 100)
    assert counted(world, OPS.drain_obj_stock) - before == drains * operations
    assert world.check().violated == []


def test_on_one_node_a_memcg_has_one_owner():
    world = SmallWorld("linux-7.1-F_STOCKMEMCG")
    world.create(1)
    exchange(world, 10)
    before = counted(world, OPS.drain_obj_stock)
    exchange(world, 100)
    assert counted(world, OPS.drain_obj_stock) == before
    assert descriptors(world) == 1


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("seed", [1, 2])
def test_random_work_of_six_cgroups_on_two_nodes_keeps_every_rule(design, seed):
    world = SmallWorld(design, cpus=4, nodes=2, memory=8 << 20)
    for cgroup in range(1, 7):
        world.create(cgroup)
    for i, name in enumerate(world.churn(seed, 500)):
        if i % 20 == 0 or name == "offline":
            assert world.check().violated == [], name
    world.free(0, list(world.live.elements()))
    for cgroup in world.online():
        world.offline(cgroup)
    world.work()
    assert world.check().violated == []
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)


@pytest.mark.parametrize(("design", "charges", "pages"), [("linux-6.18-F_PAGESTOCK", 63, 63), ("linux-6.18", 1, 64)])
def test_a_batch_of_pages_is_charged_at_once(design, charges, pages):
    world = SmallWorld(design)
    world.create(1)
    world.alloc(0, 0, 1, 56 * 64)  # of 72 bytes with their pointers: 63 pages
    assert counted(world, OPS.objcg_charge) == charges
    assert world.mem[world.memcg(1) + MEMCG.kmem] == pages
    assert world.check().violated == []


@pytest.mark.parametrize("design", ["linux-6.18", "linux-7.2", "linux-7.3"])
def test_an_offline_takes_its_pages_from_every_page_stock(design, monkeypatch):
    world = SmallWorld(design, cpus=4, nodes=2, memory=8 << 20)
    world.create(1)
    kept = [world.alloc(cpu, 0, 1)[0] for cpu in range(4)]
    assert world.mem[world.memcg(1) + MEMCG.css] == 5
    assert world.mem[world.memcg(1) + MEMCG.kmem] == 4 * BATCH
    world.offline(1)
    world.work()
    assert world.memcg(1) == 0
    world.free(0, kept)
    assert world.check().violated == []

    monkeypatch.setattr(objcg, "drain_all_stock", lambda m, memcg: None)
    world.create(2)
    world.free(0, world.alloc(0, 0, 2))
    world.offline(2)
    world.work()
    assert world.memcg(2), "CPU 0's page stock pins it"


@pytest.mark.parametrize(("design", "css"), [("linux-7.2", 2), ("linux-7.3", 1)])
def test_a_slot_without_pages_pins_its_memcg_until_7_3(design, css):
    world = SmallWorld(design, sizes=(4080,))  # 4088 bytes with its pointer: a page for each object but every 512th
    world.create(1)
    world.alloc(0, 0, 1, BATCH)
    assert world.mem[world.memcg(1) + MEMCG.kmem] == BATCH
    assert world.mem[world.memcg(1) + MEMCG.css] == css
    assert world.check().violated == []


@pytest.mark.parametrize(
    ("design", "pages", "broken"),
    [
        ("linux-6.18", 0, set()),
        ("linux-6.18", BATCH, set()),
        ("linux-6.18", BATCH + 1, {"owners"}),
        ("linux-6.18", -1, {"owners"}),
        ("linux-7.3", 0, {"owners"}),
        ("linux-7.3", 1, set()),
    ],
)
def test_a_page_stock_may_be_full_and_not_fuller(design, pages, broken):
    """And empty until 7.3; what it has is charged."""
    world = SmallWorld(design)
    world.create(1)
    world.alloc(0, 0, 1)
    at = world.layout.area(0) + PAGE_STOCK_AT + PAGE_STOCK.pages
    world.mem[world.memcg(1) + MEMCG.kmem] += pages - world.mem[at]
    world.mem[at] = pages
    assert world.check().broken() == broken


@pytest.mark.parametrize(("cgroups", "drained"), [(5, 0), (6, 1)])
def test_five_owners_fit_into_a_stock_of_five(cgroups, drained):
    world = SmallWorld("linux-7.2")
    for cgroup in range(1, 1 + cgroups):
        world.create(cgroup)
        world.alloc(0, 0, cgroup)
    before = counted(world, OPS.drain_obj_stock)
    assert before == drained
    for _ in range(10):  # each is the next victim's when there is one too many
        for cgroup in range(1, 1 + cgroups):
            world.free(0, world.alloc(0, 0, cgroup))
    assert counted(world, OPS.drain_obj_stock) - before == drained * 10 * cgroups
    assert world.check().violated == []


def test_a_free_gives_whole_pages_to_the_page_stock_and_keeps_its_slot():
    world = SmallWorld("linux-7.2")
    world.create(1)
    objects = world.alloc(0, 1, 1, 100)
    before = counted(world, OPS.drain_obj_stock), counted(world, OPS.objcg_charge)
    world.free(0, objects)
    assert (counted(world, OPS.drain_obj_stock), counted(world, OPS.objcg_charge)) == before
    assert world.check().violated == []


class Fault(NamedTuple):
    build: Callable[[Callable], Callable]
    original: Callable
    caught_by: set[str]
    design: str


def _keeps_bytes(original):
    """A slot that is drained loses what is no whole page."""

    def _drain_stock(m, a):
        held = m.load(a + obj_stock.STOCK.bytes)
        m.store(a + obj_stock.STOCK.bytes, held - held % obj_stock.PAGE_BYTES)
        original(m, a)

    return _drain_stock


def _without_drain(original):
    def _new_slot(m, o):
        a = m.pcpu + obj_stock.STOCK_AT
        m.store(a + obj_stock.STOCK.objcg, o)
        return a

    return _new_slot


def _without_reference(original):
    def _new_slot(m, memcg):
        a = original(m, memcg)
        m.fetch_add(memcg + MEMCG.css, -1)
        return a

    return _new_slot


def _first_slot(original):
    return lambda m, o: m.pcpu + obj_stock.STOCK_AT if m.load(m.pcpu + obj_stock.STOCK_AT) else original(m, o)


def _keeps_its_page(original):
    def _drain(m, a):
        if m.load(a + page_stock.PAGE_STOCK.pages):
            m.store(a + page_stock.PAGE_STOCK.pages, m.load(a + page_stock.PAGE_STOCK.pages) - 1)
        original(m, a)

    return _drain


FAULTS = {
    "a drained slot loses its bytes": Fault(_keeps_bytes, obj_stock._drain_stock, {"owners"}, "linux-7.1-F_STOCKMEMCG"),
    "a drained slot loses its bytes, and serves a memcg": Fault(
        _keeps_bytes, obj_stock._drain_stock, {"owners"}, "linux-7.1"
    ),
    "a slot serves any memcg": Fault(_first_slot, obj_stock._slot_of, {"owners"}, "linux-7.1"),
    "a slot is taken and not drained": Fault(_without_drain, obj_stock._new_slot, {"owners"}, "linux-7.2"),
    "a memcg has an owner for its first node only": Fault(
        lambda original: lambda m: 1, objcg._objcgs_of_a_memcg, {"owners"}, "linux-7.1"
    ),
    "a page stock takes no reference": Fault(_without_reference, page_stock._new_slot, {"references"}, "linux-6.18"),
    "a page stock drops no reference": Fault(
        lambda original: lambda m, memcg: None, memcontrol.css_put, {"references"}, "linux-7.3"
    ),
    "a drained page stock loses a page": Fault(_keeps_its_page, page_stock._drain, {"owners"}, "linux-6.18"),
    "pages of a stock are had twice": Fault(
        lambda original: lambda m, memcg, pages: page_stock._slot_of(m, memcg) != 0,
        page_stock._consume,
        {"owners"},
        "linux-6.18",
    ),
}


def _first_caught(world: SmallWorld) -> set[str]:
    def steps():
        for cgroup in range(1, 7):
            yield world.create(cgroup)
        yield exchange(world, 3)
        kept = []
        for cgroup in range(1, 7):
            kept.append(world.alloc(0, 1, cgroup, 200))
            yield kept
        for objects in kept:
            yield world.free(1, objects)
        for objects in kept:
            objects[:] = world.alloc(1, 1, 1, 200)
            yield objects
        for objects in kept:
            yield world.free(1, objects)
        for cgroup in range(1, 7):
            world.alloc(0, 2, cgroup, 1 + BATCH)
            yield world.offline(cgroup)

    for _ in steps():
        found = world.check().broken()
        if found:
            return found
    return set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_name(name, monkeypatch):
    fault = FAULTS[name]
    world = SmallWorld(fault.design, nodes=2, memory=16 << 20)
    assert _first_caught(world) == set(), "without the fault"
    replacement = fault.build(fault.original)
    for module in MODULES:
        for attribute, value in list(vars(module).items()):
            if value is fault.original:
                monkeypatch.setattr(module, attribute, replacement)
    world = SmallWorld(fault.design, nodes=2, memory=16 << 20)
    assert _first_caught(world) == fault.caught_by
