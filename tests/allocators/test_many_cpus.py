"""Worlds with more CPUs than a word of a mask has bits, on several nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from running import play
from small_world import SmallWorld

from allocators.caches.boot import boot
from allocators.core.world import DEFRAG, DEFRAG_AT, INJECTION, INJECTION_AT
from allocators.slub import deactivate
from shm import cpumask, ipi
from stress.explore.races.hiding import free_and_offline
from stress.explore.search.search import Budget, search
from stress.explore.space.space import Outcome

CPUS, NODES = 70, 3


def a_dead_cache_is_destroyed(design: str, allocator: str = "slub") -> bool:
    """Every CPU of a large world holds objects of one child cache; its cgroup goes, then all is freed where it was
    allocated."""
    world = SmallWorld(design, allocator=allocator, cpus=CPUS, nodes=NODES, memory=24 << 20)
    held = {0: world.child_with_objects(1, 1, 3)}
    held |= {cpu: world.alloc(cpu, 1, 1, 3) for cpu in range(1, CPUS)}
    for cpu in range(CPUS):  # what CPUs keep of it must come back by their flush alone
        world.free(cpu, held[cpu])
    world.offline(1)
    world.work()
    assert world.check().violated == []
    return world.tally("destroyed") == world.tally("offlined") == 1


@pytest.mark.parametrize(("design", "allocator"), [("linux-3.16", "slub"), ("v2", "slub"), ("linux-3.16", "slab")])
def test_all_cpus_give_back_what_they_hold(design, allocator):
    assert a_dead_cache_is_destroyed(design, allocator)


def without(cpu: int, made: Callable[..., int]) -> Callable[..., int]:
    """A fault: the mask that is made never has this CPU."""

    def broken(m, *args):
        word, first = made(m, *args), args[-1]
        return word & ~(1 << cpu - first) if first <= cpu < first + cpumask.CPUS_IN_WORD else word

    return broken


@pytest.mark.parametrize("cpu", [62, 64, 69])
@pytest.mark.parametrize(
    ("allocator", "module", "name"), [("slub", deactivate, "_holders"), ("slab", ipi, "cpu_online_mask")]
)
def test_a_mask_that_loses_a_cpu_leaves_the_cache(monkeypatch, allocator, module, name, cpu):
    monkeypatch.setattr(module, name, without(cpu, getattr(module, name)))
    assert not a_dead_cache_is_destroyed("linux-3.16", allocator)


def a_free_while_the_cgroup_goes(design: str) -> Outcome | None:
    """The last of 70 CPUs frees the only object of the child cache while it dies: what random schedules find."""
    scene = free_and_offline(design, cpus=CPUS, nodes=NODES)
    return search(scene.space(), "random", budget=Budget(schedules=30)).outcome


def test_the_explorer_has_large_worlds(monkeypatch):
    assert a_free_while_the_cgroup_goes("v3+F_NRP") is None
    monkeypatch.setattr(deactivate, "_holders", without(CPUS, deactivate._holders))  # the kworker's own CPU slab stays
    found = a_free_while_the_cgroup_goes("v3+F_NRP")
    assert found is not None and found.kind == "leak"


def test_no_two_cpus_draw_the_same_numbers():
    """Nor does a CPU draw those of another one under the next seed."""
    world = SmallWorld(cpus=200, nodes=2, memory=8 << 20)
    states = []
    for seed in (1, 2, 3):
        boot(world.words, world.layout, serial=True, seed=seed)
        for at in (INJECTION_AT + INJECTION.random, DEFRAG_AT + DEFRAG.random):
            states += [int(world.words[world.layout.area(cpu) + at]) for cpu in range(world.layout.nr_cpus)]
    assert len(set(states)) == len(states) == 3 * 2 * 201 and np.all(np.array(states) > 0)


def test_serial_play_of_many_cpus():
    settings = {"operations": 1_000, "cgroups": 12, "active": 6, "rounds": 16, "burst": 16}
    result = play(settings=settings, cpus=100, nodes=NODES, after=("v1", "v3"))
    assert result.invariants.checked and result.invariants.violated == [] and not result.partial
    caches = {name: design.dead_caches for name, design in result.designs.items()}
    assert caches["v1"].left == caches["v3"].left == 0 < caches["linux-3.16"].left
    assert all(design.allocations == design.frees > 0 for design in result.designs.values())
