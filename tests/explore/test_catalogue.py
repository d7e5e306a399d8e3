"""Each race of the catalogue both ways: found in the design that has it, not in the one that mends it."""

from __future__ import annotations

import pytest

from allocators.designs import parse_design
from stress.explore.exploring import Request, build
from stress.explore.races import MODELS
from stress.explore.search.minimise import minimise
from stress.explore.search.search import Budget, search
from stress.explore.space.violation import KINDS

RACES = [model for model in MODELS.values() if model.is_race]
POSSIBLE = [model for model in RACES if not model.finding or model.aside]
TWICE = ("B9", "B28")  # two preemptions, no fewer
IMPOSSIBLE = [model for model in RACES if model.finding and not model.aside]


def look(model, design, *, bound, kinds=(), memory_model=""):
    request = Request(model.name, model.allocator, design, memory_model or model.memory_model, model.cpus)
    space = build(request).space()
    return space, search(space, bound=bound, budget=Budget(schedules=20_000), kinds=kinds)


@pytest.mark.parametrize("model", POSSIBLE, ids=lambda m: m.name)
def test_found_where_it_is(model):
    space, found = look(model, model.design, bound=2, kinds=model.kinds)
    assert found.outcome is not None and found.outcome.kind in model.kinds
    assert found.schedules < (3000 if model.name in TWICE else 500), "97 are the most that any other needs"
    assert found.outcome.preemptions <= (2 if model.name in TWICE else 1)
    assert minimise(space, found.outcome).kind == found.outcome.kind


@pytest.mark.parametrize("model", RACES, ids=lambda m: m.name)
def test_not_found_where_it_is_mended(model):
    _, found = look(model, model.mended, bound=1, kinds=model.kinds if model.aside else ())
    assert found.outcome is None, found.outcome
    assert found.exhaustive and (found.bound == 1 or found.complete)


@pytest.mark.parametrize("model", IMPOSSIBLE, ids=lambda m: m.name)
def test_said_to_be_possible_and_is_not(model):
    _, found = look(model, model.design, bound=1)
    assert found.outcome is None and found.exhaustive


def test_r6_needs_a_store_buffer():
    model = MODELS["R6"]
    _, found = look(model, model.design, bound=2, memory_model="sc")
    assert found.outcome is None and found.exhaustive


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.name)
def test_models_name_what_exists(model):
    for design in (model.design, model.mended):
        if design:
            parse_design(design).check_allocator(model.allocator)
    assert set(model.kinds) <= set(KINDS) and set(model.aside) <= set(KINDS)
    assert bool(model.kinds) == bool(model.raised) == model.is_race


@pytest.mark.parametrize(
    "name, allocator, design, kind",
    [
        ("offline-vs-free", "slub", "linux-4.0", ""),
        ("offline-vs-free", "slub", "linux-5.3", "use after free"),
        ("alloc-vs-offline", "slub", "v3", "leak"),
        ("alloc-vs-offline", "slub", "linux-5.3", ""),
        ("offline-vs-free", "slub", "rfc-reparent", ""),
        ("alloc-vs-offline", "slub", "rfc-reparent", ""),
        ("create-vs-offline", "slub", "rfc-reparent", ""),
        ("create-vs-offline", "slub", "v3", "corruption"),
        ("create-vs-offline", "slub", "linux-4.0", ""),
        ("create-vs-offline", "slab", "linux-5.3", ""),
        ("remote-free", "slub", "v3", ""),
        ("remote-free", "slab", "v3", ""),
        ("reaper-vs-destroy", "slab", "v1", "leak"),
    ],
)
def test_beyond_the_catalogue(name, allocator, design, kind):
    model = MODELS[name]
    found = search(
        build(Request(name, allocator, design, "sc", model.cpus)).space(), bound=1, budget=Budget(schedules=20_000)
    )
    assert (found.outcome.kind if found.outcome else "") == kind
    assert found.outcome or found.exhaustive
