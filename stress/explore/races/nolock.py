"""Operations that may not spin (F_NOLOCK): what an interrupt is to free, while others use and destroy the cache."""

from __future__ import annotations

from allocators.caches.nolock import alloc_nolock, free_nolock
from shm.atomics import write_once
from shm.rcu import quiescent_point
from stress.explore.races.race import Model
from stress.explore.races.sheaves import SMALL, destroys
from stress.explore.world.scene import Scene


def _full_sheaves(design: str, memory_model: str, cpus: int) -> tuple[Scene, list[int]]:
    """Main, spare and barn of CPU 0 are full; two objects are still to be freed there."""
    scene = Scene(design, cpus=cpus, objects=4, memory_model=memory_model, sheaves=SMALL)
    mine = [scene.alloc(0) for _ in range(8)]
    scene.free(0, mine[2:])
    return scene, mine[:2]


def frees(scene: Scene, objects: list[int]) -> None:
    """A task of CPU 0 that frees objects and may not spin."""

    def run(m) -> None:
        for obj in objects:
            scene.live.discard(obj)
            free_nolock(m, obj)
        write_once(m, scene.flag, 1)
        quiescent_point(m)

    scene.task("free", 0, run)


def deferred_and_used(design: str, *, memory_model: str = "sc", cpus: int = 2) -> Scene:
    """CPU 0 leaves two frees to its interrupt, which may come between them; another CPU allocates twice, the first time
    without spinning."""
    scene, mine = _full_sheaves(design, memory_model, cpus)
    frees(scene, mine)

    def run(m) -> None:
        scene.hand_out(m, alloc_nolock(m, scene.root, scene.memcg))
        quiescent_point(m)

    scene.task("alloc nolock", cpus - 1, run)
    scene.works()
    return scene


def deferred_and_destroy(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A CPU leaves the frees of a cache's last objects to its interrupt; then the cache is destroyed."""
    scene, mine = _full_sheaves(design, memory_model, cpus)
    frees(scene, mine)
    destroys(scene)
    return scene


MODELS = (
    Model(
        "deferred-vs-alloc",
        "frees that may not spin are left to an interrupt while another CPU allocates",
        deferred_and_used,
        design="linux-7.0+F_NOLOCK",
        cpus=2,
        needs=("F_NOLOCK",),
    ),
    Model(
        "deferred-vs-destroy",
        "a cache is destroyed while frees of its objects are left to an interrupt",
        deferred_and_destroy,
        design="linux-7.0+F_NOLOCK",
        needs=("F_NOLOCK",),
    ),
)
