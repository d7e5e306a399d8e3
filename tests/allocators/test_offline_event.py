"""A trace takes single children offline, a scenario whole cgroups: what becomes of a child must be the same.

Not in serial play, where a grace period takes no word: the other CPUs are there but not online, so nobody waits for
them.
"""

from __future__ import annotations

import numpy as np
import pytest
from small_world import SmallWorld

from allocators.caches import offline, slab_common
from allocators.core.kmem_cache import CACHE
from allocators.core.world import WORLD, WORLD_AT
from allocators.designs import DESIGNS, DesignError, parse_design
from allocators.memcg.memcontrol import MEMCG, SLOT_PENDING
from scenarios.tape import EV_CREATE_CACHE, EV_OFFLINE_CACHE, EV_OFFLINE_CGROUP
from shm.layout import view
from shm.machine import CPU, MACHINE
from stress.engine import kworker
from stress.engine.words import EVENT, PLAY, RUN
from stress.explore.search.search import Budget, search
from stress.explore.world.scene import Scene

CHILD = 1  # its index in the workload, where the root cache is 0
# Grace periods that the offline itself must ask for, whatever else it does; of a child that is empty.
WAITS = ("v2", "v3", "full-tracking", "linux-5.3", "v1+F_RCU", "linux-3.16+F_FREEREF", "v3+F_GP")


def designs(allocator: str) -> list[str]:
    names = []
    for name in (*DESIGNS, *WAITS, "linux-5.3+F_FREEREF", "linux-5.3+P2+F_RCU"):
        try:
            parse_design(name).check_allocator(allocator)
            names.append(name)
        except DesignError:
            pass
    return list(dict.fromkeys(names))


CASES = [
    (allocator, name)
    for allocator in ("slub", "slab")
    for name in designs(allocator)
    if not parse_design(name).switches & {"F_OBJCG"}
]


def world_of(allocator: str, design: str, objects: int) -> tuple[SmallWorld, int]:
    """A world with a child that has handed `objects` objects out, and the child; without any it has no slab.

    Grace periods count from now on. The memcg is referred to, so that it stays.
    """
    extra = {"run": RUN.SIZE, "plays": PLAY.SIZE * 2, "schedule": EVENT.SIZE}
    small = SmallWorld(design, allocator=allocator, sizes=(512, 512), extra=extra)
    made = small.child_with_objects(count=max(objects, 1))
    if not objects:
        small.free(0, made)
        slab_common.kmem_cache_shrink(small.kworker, small.child(0, 1))
    small.mem[small.memcg(1) + MEMCG.css] += 1
    small.mem[MACHINE.serial] = 0
    for cpu in range(small.cpus):
        small.mem[small.layout.percpu_base + cpu * small.layout.percpu_stride + CPU.online] = 0
    return small, small.child(0, 1)


def run_event(small: SmallWorld, kind: int, arg: int, cgroup: int = 0) -> None:
    """The kworker's turn that finds this event due."""
    at = small.layout.plan
    for field, value in {"plays": at["plays"], "schedule": at["schedule"], "events": 1, "events_done": 0}.items():
        small.mem[at["run"] + getattr(RUN, field)] = value
    for field, value in {"kind": kind, "arg": arg, "round": 0, "parent": 0, "cpu": -1, "cgroup": cgroup}.items():
        small.mem[at["schedule"] + getattr(EVENT, field)] = value
    assert kworker.kworker_turn(small.kworker, at["run"])


def caches_and_grace_periods(small: SmallWorld) -> np.ndarray:
    """All words but those of the memcg itself, and of the schedule."""
    words, layout = small.words[: small.layout.words].copy(), small.layout
    words[[WORLD_AT + WORLD.cgroups_online, WORLD_AT + WORLD.cgroups_offline]] = 0
    for name in ("run", "schedule"):
        base, size = layout.plan.regions[name]
        words[base : base + size] = 0
    memcgs = view(words, MEMCG, layout.plan["memcgs"], layout.limits.memcgs)
    for field in ("online", "css", "kmem", "kmem_dead"):
        memcgs[field] = 0
    return words


@pytest.mark.parametrize("objects", (0, 20))
@pytest.mark.parametrize(("allocator", "design"), CASES)
def test_one_child_goes_offline_as_in_its_cgroup(allocator, design, objects):
    by_event, child = world_of(allocator, design, objects)
    by_event.mem[child + CACHE.index] = CHILD
    by_event.mem[by_event.layout.plan["cache_table"] + CHILD] = child
    by_memcg, child = world_of(allocator, design, objects)
    by_memcg.mem[child + CACHE.index] = CHILD
    by_memcg.mem[by_memcg.layout.plan["cache_table"] + CHILD] = child
    run_event(by_event, EV_OFFLINE_CACHE, CHILD)
    run_event(by_memcg, EV_OFFLINE_CGROUP, 1)
    ours, theirs = caches_and_grace_periods(by_event), caches_and_grace_periods(by_memcg)
    different = np.flatnonzero(ours != theirs).tolist()
    assert different == [], f"word {different[0]}: {ours[different[0]]} by event, {theirs[different[0]]} by memcg"
    if design in WAITS and not objects:
        assert by_event.mem[MACHINE.gp_seq] > 0
    by_event.close()
    by_memcg.close()


@pytest.mark.parametrize("waits", (True, False))
def test_a_free_that_emptied_the_child_may_drop_its_reference(monkeypatch, waits):
    """Two preemptions, every way: no child is destroyed under the free, unless the grace period is left out."""
    scene = Scene("full-tracking", cpu_partial=False, min_partial=0)
    child = scene.create_child()
    scene.frees("free", 0, [scene.alloc(0), scene.alloc(0)])
    scene.works(lambda m: offline.offline_one(m, child))
    if not waits:
        monkeypatch.setattr(offline, "_grace_period_first", lambda m: False)
    found = search(scene.space(), bound=2, budget=Budget(schedules=20_000), kinds=("use after free", "corruption"))
    assert found.exhaustive if waits else found.outcome.kind == "use after free"
    assert (found.outcome is None) == waits


def create(small: SmallWorld) -> None:
    run_event(small, EV_CREATE_CACHE, CHILD, cgroup=1)


def test_an_event_creates_a_child_once():
    """As the kernel, which may be asked for a child more than once: the first stays, and is the event's."""
    small, child = world_of("slub", "linux-3.16", 20)
    caches = small.tally("nr_caches")
    create(small)
    assert (small.child(0, 1), small.tally("nr_caches")) == (child, caches)
    assert small.mem[small.layout.plan["cache_table"] + CHILD] == child and small.mem[child + CACHE.index] == CHILD
    small.mem[small.memcg(1) + MEMCG.css] -= 1  # what `world_of` holds
    assert small.check().violated == []
    small.close()


@pytest.mark.parametrize("design", ("linux-4.0", "linux-5.3", "rfc-reparent"))
def test_an_event_creates_no_child_of_a_cgroup_that_is_offline(design):
    small = SmallWorld(
        design, sizes=(512, 512), extra={"run": RUN.SIZE, "plays": PLAY.SIZE * 2, "schedule": EVENT.SIZE}
    )
    small.create(1)
    small.mem[small.memcg(1) + MEMCG.online] = 0
    create(small)
    assert (
        small.mem[small.slot(0, 1)] <= SLOT_PENDING
        and small.mem[small.layout.plan["cache_table"] + CHILD] == small.roots[1]
    )
    small.close()


@pytest.mark.parametrize("design", ("linux-5.9", "linux-6.18"))
def test_an_event_creates_no_child_where_there_are_none(design):
    small = SmallWorld(
        design, sizes=(512, 512), extra={"run": RUN.SIZE, "plays": PLAY.SIZE * 2, "schedule": EVENT.SIZE}
    )
    small.create(1)
    caches = small.tally("nr_caches")
    create(small)
    assert small.tally("nr_caches") == caches
    small.close()
