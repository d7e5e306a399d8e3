"""Operations that may not spin, in every interleaving: what an interrupt is to free is freed once.

That a destroy waits for it shows nowhere here: it also waits for work on every CPU, which comes after the interrupt.
"""

from __future__ import annotations

import pytest
from test_mutants import Mutant, mutate

from allocators.caches import nolock
from allocators.core import lists
from stress.explore.exploring import Request, build
from stress.explore.races import MODELS
from stress.explore.races.nolock import deferred_and_used, frees
from stress.explore.races.sheaves import SMALL
from stress.explore.search.search import Budget, search
from stress.explore.world.scene import Scene

DESIGN = "linux-7.0+F_NOLOCK"


@pytest.mark.parametrize("model, bound", [("deferred-vs-alloc", 1), ("deferred-vs-destroy", 2)])
def test_nothing_is_lost(model, bound):
    scene = build(Request(model, "slub", DESIGN, "sc", MODELS[model].cpus))
    found = search(scene.space(), bound=bound, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive


def with_room() -> Scene:
    """The free finds room in its CPU's main sheaf."""
    scene = Scene(DESIGN, cpus=1, objects=4, sheaves=SMALL)
    frees(scene, [scene.alloc(0)])
    scene.works()
    return scene


MUTANTS = {
    "the interrupt comes in the middle of a push": Mutant(
        lists.stack_push,
        "        if cmpxchg(m, head, first, item) == first:\n            return first\n",
        "        write_once(m, head, item)\n        return first\n",
        lambda: deferred_and_used(DESIGN),
    ),
    "a free is deferred and in the sheaf too": Mutant(
        nolock.free_nolock, "    else:\n        _defer_free", "    if True:\n        _defer_free",
        with_room,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_found(name, monkeypatch):
    mutant = MUTANTS[name]
    scene = mutant.scene()
    mutate(monkeypatch, mutant)
    found = search(scene.space(), bound=1, budget=Budget(schedules=20_000))
    assert found.outcome is not None, f"nothing found in {found.schedules} schedules, exhaustive: {found.exhaustive}"
