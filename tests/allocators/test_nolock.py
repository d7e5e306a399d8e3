"""kfree_nolock and kmalloc_nolock in serial play; and work that each CPU does, told apart by its number."""

from __future__ import annotations

import numpy as np
import pytest

from allocators.caches.kfree_rcu import kfree_rcu
from allocators.caches.nolock import alloc_nolock, free_nolock
from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.world import DEFERRED_AT
from allocators.invariants import check
from allocators.invariants.rcu import deferred
from allocators.slub.flush import flush_rcu_sheaves
from allocators.slub.sheaf_state import PCS, pcs_of
from shm.locks import LIST_LOCK, spin_lock, spin_unlock
from shm.machine import MACHINE, Machine
from stress.explore.races.sheaves import SMALL
from stress.explore.world.scene import Scene


@pytest.fixture
def scene():
    return Scene("linux-7.0+F_NOLOCK", cpus=1, objects=4, sheaves=SMALL)


def violated(scene: Scene) -> list[str]:
    world = Machine(np.array(scene.mem, np.int64), scene.workers, scene.features, scene.allocator)
    report = check(world, scene.layout, np.array(sorted(scene.held), np.int64), stats=False)
    return [name for name, _ in report.violated]


def test_what_finds_no_room_waits_in_one_place_for_the_interrupt(scene):
    m = scene.machine(0)
    mine = [scene.alloc(0) for _ in range(8)]
    scene.free(0, mine[2:])
    scene.mem[MACHINE.serial] = 0  # the interrupt does not come
    for obj in mine[:2]:
        free_nolock(m, obj)
        scene.held.remove(obj)
    assert list(deferred(scene.mem, scene.layout)) == mine[1::-1] and violated(scene) == []
    scene.held.append(mine[0])
    assert "inuse" in violated(scene)
    scene.held.clear()
    scene.mem[scene.layout.area(0) + DEFERRED_AT] = mine[0]
    assert "inuse" in violated(scene)


def test_an_allocation_that_may_not_spin_gives_up_on_a_lock_and_refills_nothing(scene):
    m = scene.machine(0)
    first = scene.alloc(0)
    scene.alloc(0)
    n = scene.mem[scene.root + CACHE.node]
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    assert scene.mem[n + NODE.nr_partial] == 1 and alloc_nolock(m, scene.root, scene.memcg) == 0
    spin_unlock(m, n + NODE.list_lock)
    scene.held.append(alloc_nolock(m, scene.root, scene.memcg))
    assert 0 < scene.held[-1] != first and violated(scene) == []


def test_the_flush_of_rcu_sheaves_is_not_taken_for_the_drain_of_a_stock(scene):
    m = scene.machine(0)
    kfree_rcu(m, scene.alloc(0))
    rcu_free = pcs_of(m, scene.root, 0) + PCS.rcu_free
    assert scene.mem[rcu_free]
    flush_rcu_sheaves(m, scene.root)
    assert scene.mem[rcu_free] == 0
