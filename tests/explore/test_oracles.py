"""Every kind of violation is reported for a fault that is one; what looks like one and is none is not."""

from __future__ import annotations

import pytest
from test_mutants import MUTANTS, Mutant, mutate

from allocators.slub import alloc
from shm.atomics import bug, load, read_once, store, write_once
from shm.locks import spin_lock, spin_unlock
from stress.explore.exploring import Request, build
from stress.explore.search.search import Budget, races, search
from stress.explore.space.violation import KINDS
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


def test_sound_scenes_have_none():
    assert found_in(keeps_three()) is None
    assert found_in(scene_with(lambda m: None)) is None
