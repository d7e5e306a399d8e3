"""Every kind of violation is reported for a fault that is one; what looks like one and is none is not."""

from __future__ import annotations

import importlib

import pytest
from test_mutants import MUTANTS, Mutant, mutate

from allocators.core.page_alloc import address_of, alloc_pages, free_pages
from allocators.slub import alloc
from shm.atomics import bug, load, read_once, store, write_once
from shm.locks import spin_lock, spin_unlock
from stress.explore.exploring import Request, build
from stress.explore.search.search import Budget, races, search
from stress.explore.space.violation import KINDS
from stress.explore.world import guard
from stress.explore.world.bare import bare_space
from stress.explore.world.scene import Scene


def scene_with(task) -> Scene:
    scene = Scene("v3", objects=3)
    scene.create_child()
    scene.task("faulty", 0, task)
    scene.works()
    return scene


def keeps_three() -> Scene:
    scene = Scene("linux-3.16", objects=3)
    scene.create_child()
    scene.allocates("alloc", 0, 3)
    scene.works()
    return scene


def found_in(scene: Scene):
    return search(scene.space(), bound=1, budget=Budget(schedules=20_000)).outcome


def race(name: str):
    def find(monkeypatch):
        return found_in(build(Request(name, "slub", {"R8": "v3", "R4": "v3+F_NRP-F_NP-F_RCU"}[name], "sc", 1)))

    return find


def mutant(mutant: Mutant):
    def find(monkeypatch):
        scene = mutant.scene()
        mutate(monkeypatch, mutant)
        return found_in(scene)

    return find


def endless(monkeypatch):
    def wait(m, b):
        while read_once(m, b) != 5:
            pass

    space, _ = bare_space([wait, lambda m, b: write_once(m, b, 1)])
    return search(space, budget=Budget(schedules=20_000)).outcome


def unlocked(monkeypatch):
    """A count that is kept without the lock that the others hold."""

    def locked(m, b):
        spin_lock(m, b, 0)
        store(m, b + 1, load(m, b + 1) + 1)
        spin_unlock(m, b)

    space, _ = bare_space([locked, lambda m, b: load(m, b + 1)], races=True)
    return races(space).outcome


FAULTS = {
    "use after free": race("R4"),
    "leak": race("R8"),
    "double hand-out": mutant(
        Mutant(
            alloc.slab_alloc,
            "cpu_pair(after & 0x7FFFFFFF, next_tid(pair))",
            "cpu_pair(obj, next_tid(pair))",
            keeps_three,
        )
    ),
    "corruption": mutant(
        MUTANTS["nr_slabs is not counted down"]._replace(scene=MUTANTS["the page allocator takes no lock"].scene)
    ),
    "assertion": lambda monkeypatch: found_in(scene_with(lambda m: bug(m, 1, 0))),
    "deadlock": mutant(MUTANTS["list_lock is never released"]),
    "endless loop": endless,
    "wild access": lambda monkeypatch: found_in(scene_with(lambda m: m.load(1 << 40))),
    "data race": unlocked,
}


@pytest.mark.parametrize("kind", KINDS)
def test_fires(kind, monkeypatch):
    outcome = FAULTS[kind](monkeypatch)
    assert outcome is not None and outcome.kind == kind, outcome


def test_a_freed_page_is_not_touched(monkeypatch):
    def touch(m):
        obj = scene.held.pop() if scene.held else 0
        m.load(obj)

    scene = scene_with(touch)
    obj = scene.alloc(0)
    scene.held = [obj]
    assert found_in(scene) is None
    scene = scene_with(lambda m: m.load(m.space.guard.first_object + 512 * 900))
    assert found_in(scene).kind == "use after free"


@pytest.mark.parametrize(
    "model, design",
    (("shrink-vs-sheaf", "linux-5.9"), ("shrink-vs-sheaf", "v3+P7b+F_NRP"), ("preempted-in-sheaf", "linux-6.18")),
)
def test_a_page_is_its_cpus_as_soon_as_that_has_taken_it(model, design):
    """Under TSO: the store that says so is in the CPU's buffer yet, and memory calls the page free."""
    space = build(Request(model, "slub", design, "tso", 1)).space()
    found = search(space, "random", seed=5, budget=Budget(0, 150), kinds=("use after free",))
    assert found.outcome is None, found.outcome


def test_a_page_is_gone_for_its_cpu_as_soon_as_that_has_freed_it():
    scene = Scene("linux-3.16", memory_model="tso")

    def touch(m):
        page = alloc_pages(m, 0, 0)
        free_pages(m, page, 0)
        m.load(address_of(page))

    scene.task("faulty", 0, touch)
    scene.allocates("alloc", 1)
    scene.works()
    assert found_in(scene).kind == "use after free"


@pytest.mark.parametrize("module, function", sorted(guard.EXCUSED))
def test_what_may_touch_what_is_gone_is_there(module, function):
    code = getattr(importlib.import_module(module), function).__code__
    assert code.co_name == function, "or its frames have another name"


def test_sound_scenes_have_none():
    assert found_in(keeps_three()) is None
    assert found_in(scene_with(lambda m: None)) is None
