"""Allocators broken in one line, by concurrency faults above all: the explorer finds each within its budget.

A mutant replaces text in one function, wherever that function is used on the interpreted engine. What
nothing finds is a hole in the oracles.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import NamedTuple

import pytest

import shm.atomics
from allocators.caches import offline, slab_common
from allocators.core import page_alloc
from allocators.memcg import cache_ref, memcontrol
from allocators.slub import alloc, deactivate, discard, free, partial, reparent, shrink, state
from shm import ipi, locks, rcu, ring
from stress.explore.races.beyond import remote_free
from stress.explore.races.hiding import free_and_offline
from stress.explore.search.search import Budget, search
from stress.explore.world.scene import Scene


def two_frees(design: str = "v3+F_NRP", **options) -> Scene:
    """Two CPUs free the only objects of two full slabs, which have to go on the node's list or back."""
    scene = Scene(design, cpus=2, cpu_partial=False, **options)
    scene.create_child()
    first, second = scene.alloc(2), scene.alloc(2)
    scene.free(2, [scene.alloc(2)])
    scene.frees("free", 0, [first])
    scene.frees("other free", 1, [second])
    scene.works()
    return scene


def two_discards() -> Scene:
    """The same with min_partial 0: both slabs go back to the page allocator."""
    return two_frees(min_partial=0)


def two_frees_of_a_slab() -> Scene:
    """Two CPUs free the two objects of one full slab."""
    scene = Scene("linux-3.16", cpus=2, objects=2)
    scene.create_child()
    mine = [scene.alloc(2), scene.alloc(2)]
    scene.free(2, [scene.alloc(2)])
    scene.frees("free", 0, mine[:1])
    scene.frees("other free", 1, mine[1:])
    scene.works()
    return scene


def two_frees_while_reparenting() -> Scene:
    """The same while the cgroup goes offline and the slab moves to the root cache."""
    scene = Scene("rfc-reparent", cpus=2, objects=2)
    scene.create_child()
    mine = [scene.alloc(2), scene.alloc(2)]
    scene.free(2, [scene.alloc(2)])
    scene.frees("free", 0, mine[:1])
    scene.frees("other free", 1, mine[1:])
    scene.works(scene.offline)
    return scene


def free_into_a_cpu_slab_while_reparenting() -> Scene:
    """The only object of the kworker's CPU slab is freed while its cgroup goes offline; caches keep no empty slab."""
    scene = Scene("rfc-reparent", cpus=1, min_partial=0)
    scene.create_child()
    scene.frees("free", 0, [scene.alloc(1)])
    scene.works(scene.offline)
    return scene


def free_and_keep() -> Scene:
    return remote_free("v3+F_NRP")


def alloc_beside_its_buddy() -> Scene:
    """A CPU is given the page whose buddy another CPU frees."""
    scene = Scene("v3+F_NRP", cpus=2, cpu_partial=False, min_partial=0)
    scene.create_child()
    _, even, odd, _ = [scene.alloc(2) for _ in range(4)]
    scene.free(0, [odd])
    scene.allocates("alloc", 0, 1)
    scene.frees("free", 1, [even])
    scene.works()
    return scene


def one_cpu_two_tasks() -> Scene:
    """Two tasks of one CPU allocate and free from one CPU slab, one preempting the other."""
    scene = Scene("linux-3.16", cpus=1, objects=3, preempt=True)
    scene.create_child()
    scene.free(0, [scene.alloc(0)])
    held: list[int] = []

    def other(m) -> None:
        mine = [slab_common.kmem_cache_alloc(m, scene.root, scene.memcg) for _ in range(2)]
        slab_common.kmem_cache_free(m, mine[0])
        scene.live.add(mine[1])
        held[:] = mine[1:]

    scene.allocates("alloc", 0, 2)
    scene.task("other", 0, other)
    scene.works()
    return scene


class Mutant(NamedTuple):
    function: Callable
    old: str
    new: str
    scene: Callable[[], Scene]


def dead() -> Scene:
    return free_and_offline("v3+F_NRP")


def dead_no_cpu_partial() -> Scene:
    return free_and_offline("v3+F_NRP", cpu_partial=False)


def reparented() -> Scene:
    return free_and_offline("rfc-reparent")


def dead_tso() -> Scene:
    return free_and_offline("v3+F_NRP+F_MB", memory_model="tso")


MUTANTS = {
    "the swap on the page is not atomic": Mutant(
        state.cas_page,
        "if cmpxchg(m, page + PAGE.pair, old, new) == old:",
        "if load(m, page + PAGE.pair) == old:\n        store(m, page + PAGE.pair, new)",
        two_frees_of_a_slab,
    ),
    "a free takes no list_lock": Mutant(
        locks.spin_lock,
        "if not spin_trylock(m, lock, kind):",
        "if kind != LIST_LOCK and not spin_trylock(m, lock, kind):",
        two_frees,
    ),
    "the page allocator takes no lock": Mutant(
        locks.spin_lock,
        "if not spin_trylock(m, lock, kind):",
        "if kind != ZONE_LOCK and not spin_trylock(m, lock, kind):",
        two_discards,
    ),
    "list_lock is dropped before the slab is on the list": Mutant(
        free.slab_free_slow,
        "    if prior == 0:\n        add_partial(m, n, page, True)\n        stat(m, s, STAT.free_add_partial)\n    "
        "spin_unlock(m, n + NODE.list_lock)\n",
        "    spin_unlock(m, n + NODE.list_lock)\n    if prior == 0:\n        add_partial(m, n, page, True)\n        "
        "stat(m, s, STAT.free_add_partial)\n",
        two_frees,
    ),
    "list_lock is never released": Mutant(locks.spin_unlock, "store_release(m, lock, 0)", "pass", two_frees),
    "the uncharge is not atomic": Mutant(
        memcontrol.memcg_uncharge_slab,
        "if fetch_add(m, s + CACHE.refcnt, -weight) == weight:",
        "was = read_once(m, s + CACHE.refcnt)\n    store_release(m, s + CACHE.refcnt, was - weight)\n    if was == "
        "weight:",
        two_discards,
    ),
    "a new slab is not counted": Mutant(
        memcontrol.memcg_charge_slab, "fetch_add(m, s + CACHE.refcnt, slab_weight(m, order))", "pass", free_and_keep
    ),
    "nr_slabs is not counted down": Mutant(discard.discard_slab, "fetch_add(m, n + NODE.nr_slabs, -1)", "pass", dead),
    "the grace period does not wait": Mutant(rcu.synchronize_sched, "if load(m, MACHINE.serial):", "if True:", dead),
    "the reference of an online cgroup is dropped before the shrink": Mutant(
        offline.offline_child,
        "    mark_dead(m, s)\n",
        "    fetch_add(m, s + CACHE.refcnt, -1)\n    mark_dead(m, s)\n    fetch_add(m, s + CACHE.refcnt, 0)\n",
        dead,
    ),
    "the dead mark comes after the shrink": Mutant(
        offline.offline_child,
        '    mark_dead(m, s)\n    if m.has("F_GP"):\n        synchronize_sched(m)\n'
        '    if m.has("P7v4"):\n        kmem_cache_deactivate(m, s)\n    kmem_cache_shrink(m, s)\n',
        "    kmem_cache_shrink(m, s)\n    mark_dead(m, s)\n",
        dead,
    ),
    "a drained stack keeps its empty slabs": Mutant(
        partial.unfreeze_partials, "if inuse_of(old) == 0 and enough_partial(m, s, n):", "if False:", dead
    ),
    "enough_partial is off by one": Mutant(
        partial.enough_partial, ">= read_once(m, s + CACHE.min_partial)", "> read_once(m, s + CACHE.min_partial)", dead
    ),
    "the transaction id does not step": Mutant(
        state.next_tid, "(pair & TID_MASK) + TID_STEP & TID_MASK", "pair & TID_MASK", one_cpu_two_tasks
    ),
    "a free trusts that the slab is its CPU's": Mutant(
        free.slab_free, "mine = read_once(m, c + KMEM_CACHE_CPU.page) == page", "mine = True", free_and_keep
    ),
    "the flush forgets the private objects": Mutant(deactivate.flush_slab, "freelist_of(pair))", "0)", dead),
    "the flush looks at CPU slabs only": Mutant(
        deactivate.has_cpu_slab,
        " or read_once(m, c + KMEM_CACHE_CPU.partial) != 0",
        "",
        lambda: free_and_offline("v2+F_NRP"),
    ),
    "an interrupt is never acknowledged": Mutant(
        ipi.serve_ipis, "_answer(m)", "pass", lambda: free_and_offline("v1+F_ALLCPU")
    ),
    "the queue loses every other item": Mutant(ring.ring_pop_into, "head + 1)", "head + 2)", dead),
    "a reference of the memcg is never dropped": Mutant(memcontrol.css_put, "css_put_many(m, memcg, 1)", "pass", dead),
    "a freed object is not linked": Mutant(
        free.slab_free_slow, "store(m, obj + offset, prior)", "store(m, obj + offset, obj)", two_frees_of_a_slab
    ),
    "a refill takes one object too many": Mutant(
        alloc.get_freelist,
        "page_pair(0, objects, objects, 1 if obj else 0)",
        "page_pair(0, objects - 1, objects, 1 if obj else 0)",
        free_and_keep,
    ),
    "shrink leaves empty slabs": Mutant(shrink._sort_partial, "if inuse == 0:", "if inuse < 0:", dead_no_cpu_partial),
    "the mark of a dead memcg is no barrier": Mutant(
        offline.offline_memcg, "xchg(m, memcg + MEMCG.kmem_dead, 1)", "store(m, memcg + MEMCG.kmem_dead, 1)", dead_tso
    ),
    "a page is marked as taken after the unlock": Mutant(
        page_alloc._alloc_on_node,
        "        spin_unlock(m, zone + ZONE.lock)\n",
        "        if page:\n            store(m, page + PAGE.kind, KIND_BUDDY)\n"
        "        spin_unlock(m, zone + ZONE.lock)\n"
        "        if page:\n            store(m, page + PAGE.kind, KIND_SLAB)\n",
        alloc_beside_its_buddy,
    ),
    "a slow free does not look again whose the slab is": Mutant(
        reparent.free_in_slow_mode, "mine = load(m, page + PAGE.slab_cache) == s", "mine = True", reparented
    ),
    "a slow free takes no page lock": Mutant(
        reparent.free_in_slow_mode, "    slab_lock(m, page)\n", "", two_frees_while_reparenting
    ),
    "a slab is moved without its lock": Mutant(
        reparent.give_to_root, "    slab_lock(m, page)\n", "", two_frees_while_reparenting
    ),
    "the flush of a child that is given up discards": Mutant(
        partial.enough_partial, 'm.has("F_REPARENT_SLABS")', "False", free_into_a_cpu_slab_while_reparenting
    ),
    "the re-parenter forgets the full list": Mutant(
        reparent.take_full, "page = load(m, n + NODE.full)", "page = 0", two_frees_while_reparenting
    ),
    "the re-parenter does not flush": Mutant(
        reparent.reparent_slabs, "    flush_all(m, s)\n", "", two_frees_while_reparenting
    ),
    "a free takes its reference from zero": Mutant(
        cache_ref.cache_ref_tryget,
        "return inc_not_zero(m, s + CACHE.refcnt)",
        "fetch_add(m, s + CACHE.refcnt, 1)\n    return True",
        reparented,
    ),
    "a freed page is not returned": Mutant(
        page_alloc._give_back, "_push(m, zone, MEM_MAP + frame * PAGE.SIZE, order)", "pass", dead
    ),
}


def mutate(monkeypatch, mutant: Mutant) -> None:
    source = textwrap.dedent(inspect.getsource(mutant.function))
    assert source.count(mutant.old) == 1, "the mutant no longer fits its function"
    namespace = mutant.function.__globals__
    scope: dict[str, object] = {}
    exec(
        compile(source.replace(mutant.old, mutant.new), inspect.getsourcefile(mutant.function), "exec"),
        namespace | {"LIST_LOCK": locks.LIST_LOCK, "load": shm.atomics.load, "store": shm.atomics.store},
        scope,
    )
    broken = scope[mutant.function.__name__]
    for name, module in list(sys.modules.items()):
        if (
            name.partition(".")[0] in ("allocators", "shm", "stress")
            and getattr(module, mutant.function.__name__, None) is mutant.function
        ):
            monkeypatch.setattr(module, mutant.function.__name__, broken)


@pytest.mark.parametrize("name", MUTANTS)
def test_found(name, monkeypatch):
    mutant = MUTANTS[name]
    scene = mutant.scene()
    mutate(monkeypatch, mutant)
    found = search(scene.space(), bound=2, budget=Budget(schedules=20_000))
    assert found.outcome is not None, f"nothing found in {found.schedules} schedules, exhaustive: {found.exhaustive}"


@pytest.mark.parametrize(
    "scene",
    [
        two_frees,
        two_discards,
        two_frees_of_a_slab,
        one_cpu_two_tasks,
        dead,
        dead_no_cpu_partial,
        reparented,
        free_and_keep,
        alloc_beside_its_buddy,
        free_into_a_cpu_slab_while_reparenting,
    ],
    ids=lambda s: s.__name__,
)
def test_the_scenes_are_sound_without_them(scene):
    found = search(scene().space(), bound=1, budget=Budget(schedules=20_000))
    assert found.outcome is None and found.bound >= 0, found.outcome
