"""Kernels without CPU slabs: slabs in a refiller's hand, and barns, in every interleaving of a few operations."""

from __future__ import annotations

import pytest
from test_mutants import Mutant, mutate

from allocators.slub import node_slab, refill
from shm import rcu
from stress.explore.exploring import Request, build
from stress.explore.races import MODELS
from stress.explore.races.sheaves import discarding_refill, kfree_rcu_and_destroy, refill_and_free
from stress.explore.search.search import Budget, search

CASES = [
    *(("refill-vs-free", design, 1) for design in ("linux-7.0", "linux-7.2", "linux-7.3")),
    ("discarding-refill", "linux-7.0", 1),
    ("two-refills", "linux-7.2", 1),
    ("barn-vs-shrink", "linux-7.0", 2),
    ("barn-vs-destroy", "linux-7.0", 1),
    ("kfree-rcu-vs-destroy", "linux-7.0", 1),
]


@pytest.mark.parametrize(("model", "design", "bound"), CASES)
def test_nothing_is_lost(model, design, bound):
    scene = build(Request(model, "slub", design, "sc", MODELS[model].cpus))
    found = search(scene.space(), bound=bound, budget=Budget(schedules=20_000))
    assert found.outcome is None, found.outcome
    assert found.exhaustive


MUTANTS = {
    "a free puts a slab on the list that a refiller has in hand": Mutant(
        node_slab.free_chain, "if prior and not listed:", "if False:", lambda: discarding_refill("linux-7.0")
    ),
    "a leftover is swapped back whatever the slab is now": Mutant(
        refill._return_freelist,
        "    full = page_pair(0, every, every, 0)\n",
        "    full = read_once(m, page + PAGE.pair)\n",
        lambda: refill_and_free("linux-7.2"),
    ),
    "destroy waits for no grace period": Mutant(
        rcu.rcu_barrier,
        "    while read_once(",
        "    while False and read_once(",
        lambda: kfree_rcu_and_destroy("linux-7.0"),
    ),
    "a slab that was taken off and not used up is forgotten": Mutant(
        refill._put_run_back, "add_partial(m, n, page, True)", "pass", lambda: refill_and_free("linux-7.2")
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_found(name, monkeypatch):
    mutant = MUTANTS[name]
    scene = mutant.scene()
    mutate(monkeypatch, mutant)
    found = search(scene.space(), bound=1, budget=Budget(schedules=20_000))
    assert found.outcome is not None, f"nothing found in {found.schedules} schedules, exhaustive: {found.exhaustive}"
