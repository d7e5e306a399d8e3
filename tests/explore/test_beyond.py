"""The questions beyond the catalogue, on designs that have no child caches."""

from __future__ import annotations

import pytest

from allocators.memcg.memcontrol import MEMCG
from stress.explore.exploring import Request, explore
from stress.explore.races.lifetime import alloc_and_offline
from stress.explore.search.search import Budget, search
from stress.explore.space.space import Violation
from stress.explore.world import scene as scenes


@pytest.mark.parametrize("design", ["linux-5.9", "linux-6.18"])
@pytest.mark.parametrize("model", ["remote-free", "offline-vs-free"])
def test_owners_of_objects_are_no_pages(model, design):
    answer = explore(Request(model, "slub", design, "sc", 2 if model == "remote-free" else 1, preemptions=1, seconds=0))
    assert answer.outcome is None and answer.found.exhaustive and answer.raced


def test_a_preempted_allocation_charges_no_memcg_that_is_gone(monkeypatch):
    """linux-5.3. What else its preempted allocations leave behind (R10) is not looked at."""
    scene = alloc_and_offline("linux-5.3")

    def uncharged(m, layout, live, *, stats) -> None:
        if m.mem[scene.memcg + MEMCG.used] == 0 and m.mem[scene.memcg + MEMCG.kmem]:
            raise Violation("corruption", "a memcg that is gone was charged")

    monkeypatch.setattr(scenes, "at_rest", uncharged)
    found = search(scene.space(), bound=1, budget=Budget(schedules=20_000))
    assert found.outcome is None and found.exhaustive
