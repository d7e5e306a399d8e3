"""Sheaves and stocks of linux-6.18: their CPU's flush, and tasks of one CPU that preempt each other while the local
lock is dropped.

Here sheaves hold two objects and a barn one full sheaf, else a refill alone has more interleavings than there is time
for.
"""

from __future__ import annotations

import pytest
from test_mutants import Mutant, mutate

from allocators.caches.memcg_caches import destroy_root
from allocators.caches.slab_common import kmem_cache_shrink
from allocators.memcg import obj_stock, objcg
from allocators.memcg.memcontrol import MEMCG
from allocators.sheaf_settings import SheafSettings
from allocators.slub import flush, sheaf, shrink
from shm import cpu_work
from shm.atomics import cpu_relax, read_once
from stress.explore.exploring import Request, build
from stress.explore.races import MODELS
from stress.explore.races.beyond import preempted_in_sheaf, shrink_and_sheaf
from stress.explore.search.search import Budget, search
from stress.explore.space.violation import Violation
from stress.explore.world.scene import Scene

CAPACITY = 2
MAX_FULL = 1


@pytest.fixture
def small_sheaves(monkeypatch) -> None:
    small = SheafSettings(CAPACITY, MAX_FULL, max_empty=10)
    monkeypatch.setattr(Scene.__init__, "__kwdefaults__", Scene.__init__.__kwdefaults__ | {"sheaves": small})
    monkeypatch.setattr(shrink, "PROMOTED", 4)  # as many as a slab here has objects


def shrinks(scene: Scene) -> Scene:
    scene.works(lambda m: kmem_cache_shrink(m, scene.root))
    return scene


def refill_and_free() -> Scene:
    """Main and spare are empty: while a task refills one, another one frees into main."""
    scene = Scene("linux-6.18", cpus=1, objects=4, preempt=True)
    mine = [scene.alloc(0) for _ in range(CAPACITY)]
    scene.frees("free", 0, mine[:1])
    scene.allocates("alloc", 0)
    return shrinks(scene)


def two_refills() -> Scene:
    """The same with two tasks that refill."""
    scene = Scene("linux-6.18", cpus=1, objects=4, preempt=True)
    for _ in range(CAPACITY):
        scene.alloc(0)
    scene.allocates("alloc", 0)
    scene.allocates("other alloc", 0)
    return shrinks(scene)


def two_frees_without_a_spare() -> Scene:
    """Main is full, there is no spare, and the barn has none: two tasks get one each."""
    scene = Scene("linux-6.18", cpus=1, objects=4, preempt=True)
    mine = [scene.alloc(0) for _ in range(4 * CAPACITY)]
    scene.free(0, mine[2:])
    mine[2:] = [scene.alloc(0) for _ in range(2 * CAPACITY + 1)]
    flush.flush_sheaves(scene.machine(0), scene.root)
    flush.shrink_barns(scene.machine(0), scene.root)
    scene.free(0, mine[2:][:CAPACITY])
    scene.frees("free", 0, mine[:1])
    scene.frees("other free", 0, mine[1:2])
    return shrinks(scene)


def two_frees_and_a_full_barn() -> Scene:
    """Main, spare and barn are full: two tasks flush the spare."""
    scene = Scene("linux-6.18", cpus=1, objects=4, preempt=True)
    mine = [scene.alloc(0) for _ in range((MAX_FULL + 2) * CAPACITY + 2)]
    scene.free(0, mine[2:])
    scene.frees("free", 0, mine[:1])
    scene.frees("other free", 0, mine[1:2])
    return shrinks(scene)


def charge_and_offline(design: str = "linux-7.3") -> Scene:
    """A cgroup goes offline while a task of it allocates: no page stock pins its memcg then."""
    scene = Scene(design, objects=4, nodes=2, preempt=True)
    scene.allocates("alloc", 0)
    scene.works(scene.offline)

    def gone(space) -> None:
        if space.mem[scene.memcg + MEMCG.used]:
            raise Violation("pinned memcg", "its cgroup is offline, no task is in it, and it is not freed")

    scene.ends.append(gone)
    return scene


@pytest.mark.parametrize("design", ["linux-6.18", "linux-7.1", "linux-7.3"])
def test_an_offline_leaves_nothing_of_its_memcg_in_page_stocks(design, small_sheaves):
    found = search(charge_and_offline(design).space(), bound=2, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive


@pytest.mark.parametrize(
    "build_scene",
    [refill_and_free, two_refills, two_frees_without_a_spare, two_frees_and_a_full_barn],
    ids=lambda s: s.__name__,
)
def test_tasks_of_one_cpu_that_drop_the_local_lock(build_scene, small_sheaves):
    found = search(build_scene().space(), bound=1, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive


@pytest.mark.parametrize(("model", "bound"), [("shrink-vs-sheaf", 2), ("preempted-in-sheaf", 1)])
def test_no_flush_comes_in_the_middle_of_an_operation(model, bound, small_sheaves):
    found = search(
        build(Request(model, "slub", "linux-6.18", "sc", 1)).space(), bound=bound, budget=Budget(schedules=20_000)
    )
    assert found.outcome is None, found.outcome
    assert found.exhaustive


@pytest.mark.parametrize("design", ["linux-5.9", "linux-6.18", "linux-7.1", "linux-7.3"])
@pytest.mark.parametrize("model", ["R1b", "R5", "R10"])
def test_stocks_and_references_of_owners_bear_preemption(model, design):
    """The scenes of these races have preemptible tasks; what they are about is not there without child caches."""
    found = search(
        build(Request(model, "slub", design, "sc", MODELS[model].cpus)).space(),
        bound=1,
        budget=Budget(schedules=20_000),
    )
    assert found.outcome is None, found.outcome
    assert found.exhaustive


def test_two_shrinks_at_once_wait_for_each_other(small_sheaves):
    scene = Scene("linux-6.18", cpus=1, objects=4)
    scene.free(0, [scene.alloc(0)])
    scene.free(1, [scene.alloc(1)])
    scene.task("shrink", 0, lambda m: kmem_cache_shrink(m, scene.root))
    scene.task("other shrink", 1, lambda m: kmem_cache_shrink(m, scene.root))
    found = search(scene.space(), bound=1, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive


def test_a_shrink_and_an_offline_wait_for_each_other(small_sheaves):
    """The one for work on the other's CPU, the other for a grace period."""
    scene = Scene("linux-6.18", cpus=1, objects=4)
    scene.free(1, [scene.alloc(1)])
    scene.task("shrink", 0, lambda m: kmem_cache_shrink(m, scene.root))
    scene.works(scene.offline)
    found = search(scene.space(), bound=1, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive


def test_the_sheaves_of_a_cache_that_is_destroyed_are_flushed(small_sheaves):
    scene = Scene("linux-6.18", cpus=1, objects=4)
    scene.frees("free", 0, [scene.alloc(0)], signal=True)

    def destroy(m) -> None:
        while read_once(m, scene.flag) == 0:
            cpu_relax(m)
        destroy_root(m, scene.root)

    scene.works(destroy)
    found = search(scene.space(), bound=2, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive


MUTANTS = {
    "the flush is an interrupt": Mutant(cpu_work._queue, "SERVICE_CALL", "1", lambda: shrink_and_sheaf("linux-6.18")),
    "a free drops the local lock before the object is in its sheaf": Mutant(
        sheaf.sheaf_free,
        "    write_once(m, main + SHEAF.size, held + 1)\n    local_unlock(m, s)\n",
        "    local_unlock(m, s)\n    write_once(m, main + SHEAF.size, held + 1)\n",
        lambda: preempted_in_sheaf("linux-6.18"),
    ),
    "a refilled sheaf replaces a main that got objects meanwhile": Mutant(
        sheaf._install_full, "if load(m, main + SHEAF.size) == 0:", "if True:", two_refills
    ),
    "an empty sheaf replaces a spare that came meanwhile": Mutant(
        sheaf._install_empty, "if spare == 0:", "if True:", two_frees_without_a_spare
    ),
    "a spare that is being flushed is still the CPU's": Mutant(
        sheaf._replace_full_main,
        "        write_once(m, p + PCS.spare, 0)\n        local_unlock(m, s)\n",
        "        local_unlock(m, s)\n",
        two_frees_and_a_full_barn,
    ),
    "page stocks are drained while tasks may still charge": Mutant(
        objcg.reparent_objcg,
        "    synchronize_sched(m)\n"
        "    # Nobody charges to the memcg any more; what it was charged is charged to the root cgroup now.\n"
        '    if m.has("F_PAGESTOCK"):\n'
        "        drain_all_stock(m, memcg)\n",
        "    drain_all_stock(m, memcg)\n    synchronize_sched(m)\n",
        charge_and_offline,
    ),
    "the stock is changed with its local lock dropped": Mutant(
        obj_stock.refill_obj_stock,
        "    store(m, a + STOCK.bytes, load(m, a + STOCK.bytes) + size)\n",
        "    preempt_enable(m)\n    store(m, a + STOCK.bytes, load(m, a + STOCK.bytes) + size)\n    "
        "preempt_disable(m)\n",
        lambda: preempted_in_sheaf("linux-5.9"),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_found(name, monkeypatch, small_sheaves):
    mutant = MUTANTS[name]
    scene = mutant.scene()
    mutate(monkeypatch, mutant)
    found = search(scene.space(), bound=2, budget=Budget(schedules=20_000))
    assert found.outcome is not None, f"nothing found in {found.schedules} schedules, exhaustive: {found.exhaustive}"
