"""Slabs, sheaves and barns of kernels without CPU slabs (7.0 and later): who has a slab in hand while others use it?

Sheaves hold two objects and a barn keeps one full one, so that one operation refills and one flushes.
"""

from __future__ import annotations

from allocators.caches.kfree_rcu import kfree_rcu
from allocators.caches.memcg_caches import destroy_root
from allocators.caches.slab_common import kmem_cache_shrink
from allocators.core.bugs import BUG_CLOSE_BUSY
from allocators.core.page_alloc import head_of
from allocators.sheaf_settings import SheafSettings
from allocators.slub.node_slab import alloc_one, free_one
from shm.atomics import bug, cpu_relax, read_once, write_once
from stress.explore.races.race import Model
from stress.explore.world.scene import Scene

SMALL = SheafSettings(capacity=2, max_full=1, max_empty=1)


def refill_and_free(design: str, *, memory_model: str = "sc", cpus: int = 2, min_partial: int = 5) -> Scene:
    """A refill of two takes a slab of four objects, three of them free, while others free the last one and allocate
    one, past their sheaves."""
    scene = Scene(design, cpus=cpus, objects=4, memory_model=memory_model, sheaves=SMALL, min_partial=min_partial)
    last = scene.machine(cpus - 1)
    mine = [alloc_beneath(scene, last) for _ in range(4)]
    for obj in mine[1:]:
        free_beneath(scene, last, obj)
    scene.allocates("refill", 0)
    scene.task("free", cpus - 1, lambda m: _free_beneath(scene, m, mine[0]))
    scene.task("alloc", cpus - 1, lambda m: _alloc_beneath(scene, m))
    scene.works()
    return scene


def discarding_refill(design: str, *, memory_model: str = "sc", cpus: int = 2) -> Scene:
    """As refill_and_free; no empty slab is kept."""
    return refill_and_free(design, memory_model=memory_model, cpus=cpus, min_partial=0)


def alloc_beneath(scene: Scene, m) -> int:
    """Setting up: an object past the sheaves."""
    obj = alloc_one(m, scene.root, -1)
    scene.held.append(obj)
    return obj


def free_beneath(scene: Scene, m, obj: int) -> None:
    """Setting up: free an object past the sheaves."""
    free_one(m, scene.root, head_of(m, obj), obj)
    scene.held.remove(obj)


def _free_beneath(scene: Scene, m, obj: int) -> None:
    scene.live.discard(obj)
    free_one(m, scene.root, head_of(m, obj), obj)


def _alloc_beneath(scene: Scene, m) -> None:
    obj = alloc_one(m, scene.root, -1)
    scene.hand_out(m, obj)


def two_refills(design: str, *, memory_model: str = "sc", cpus: int = 2) -> Scene:
    """Two CPUs refill two objects each; the only partial slab has one free."""
    scene = Scene(design, cpus=cpus, objects=3, memory_model=memory_model, sheaves=SMALL)
    last = scene.machine(cpus - 1)
    mine = [alloc_beneath(scene, last) for _ in range(3)]
    free_beneath(scene, last, mine[0])
    for cpu in range(cpus):
        scene.allocates(f"refill {cpu}", cpu)
    scene.works()
    return scene


def barn_and_shrink(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A CPU exchanges a sheaf with the barn while the cache is shrunk."""
    scene = Scene(design, cpus=cpus, objects=4, memory_model=memory_model, sheaves=SMALL)
    mine = [scene.alloc(0) for _ in range(8)]
    scene.free(0, mine[1:7])
    scene.frees("free", 0, mine[:1])
    scene.works(lambda m: kmem_cache_shrink(m, scene.root))
    return scene


def barn_and_destroy(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A CPU frees the last object of a cache, whose sheaves and barn are full; then the cache is destroyed."""
    scene = Scene(design, cpus=cpus, objects=4, memory_model=memory_model, sheaves=SMALL)
    mine = [scene.alloc(0) for _ in range(7)]
    scene.free(0, mine[1:])
    scene.frees("free", 0, mine[:1], signal=True)

    def destroy(m) -> None:
        while read_once(m, scene.flag) == 0:
            cpu_relax(m)
        destroy_root(m, scene.root)

    scene.works(destroy)
    return scene


def kfree_rcu_and_destroy(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A CPU frees the last objects of a cache by kfree_rcu, one into a sheaf that is not full; then it is destroyed."""
    scene = Scene(design, cpus=cpus, objects=4, memory_model=memory_model, sheaves=SMALL)
    mine = [scene.alloc(0) for _ in range(3)]

    def free_later(m) -> None:
        for obj in mine:
            scene.live.discard(obj)
            kfree_rcu(m, obj)
        write_once(m, scene.flag, 1)

    scene.task("kfree_rcu", 0, free_later)
    destroys(scene)
    return scene


def destroys(scene: Scene) -> None:
    """The kworker destroys the scene's cache once its flag is set, and it must be destroyed."""

    def destroy(m) -> None:
        while read_once(m, scene.flag) == 0:
            cpu_relax(m)
        if not destroy_root(m, scene.root):
            bug(m, BUG_CLOSE_BUSY, scene.root)

    scene.works(destroy)


MODELS = (
    Model(
        "refill-vs-free",
        "a refill has a slab in hand while others free into it and allocate",
        refill_and_free,
        design="linux-7.2",
        cpus=2,
        needs=("F_NOCPUSLAB",),
    ),
    Model(
        "discarding-refill",
        "the same where no empty slab is kept",
        discarding_refill,
        design="linux-7.0",
        cpus=2,
        needs=("F_NOCPUSLAB",),
    ),
    Model(
        "two-refills",
        "two CPUs refill when one partial slab is there",
        two_refills,
        design="linux-7.2",
        cpus=2,
        needs=("F_NOCPUSLAB",),
    ),
    Model(
        "barn-vs-shrink", "a free gives the barn a sheaf while the cache is shrunk", barn_and_shrink, design="linux-7.0"
    ),
    Model("barn-vs-destroy", "a cache with full sheaves is destroyed", barn_and_destroy, design="linux-7.0"),
    Model(
        "kfree-rcu-vs-destroy",
        "a cache is destroyed while objects of kfree_rcu wait",
        kfree_rcu_and_destroy,
        design="linux-7.0",
    ),
)
