"""Races that leave an empty slab on a node's partial list: R7, R8, R8b, R13 of the review."""

from __future__ import annotations

from allocators.slub.sysfs import min_partial_store
from stress.explore.races.hiding import free_and_offline
from stress.explore.races.race import Model
from stress.explore.world.scene import Scene


def free_without_cpu_partial(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """As free_and_offline, of a cache without CPU partial lists."""
    return free_and_offline(design, memory_model=memory_model, cpus=cpus, cpu_partial=False)


def free_offline_and_sysfs(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """As free_and_offline, while a user writes the root cache's min_partial in sysfs."""
    scene = free_and_offline(design, memory_model=memory_model, cpus=cpus)
    scene.task("sysfs", 0, lambda m: min_partial_store(m, scene.root, 5))
    return scene


MODELS = (
    Model(
        "R7",
        "off by one: with min_partial 0 one empty slab stays",
        free_and_offline,
        design="v3+F_NRP-F_OBO",
        mended="v3+F_NRP",
        kinds=("leak",),
        raised="Joonsoo Kim, 24 Jun 2014",
    ),
    Model(
        "R8",
        "shrink skips a node whose unlocked nr_partial is still 0",
        free_without_cpu_partial,
        design="v3",
        mended="v3+F_NRP",
        kinds=("leak",),
        raised="Joonsoo Kim, 24 Jun 2014",
    ),
    Model(
        "R8b",
        "SLAB: drain_freelist sees an empty slabs_free too early",
        free_and_offline,
        allocator="slab",
        design="v3",
        mended="v3+F_FLIM",
        kinds=("leak",),
        raised="Vladimir Davydov, 24 Jun 2014",
        finding="cannot happen: the drain's IPI waits for every free that began before it, and later ones"
        " see the dead mark",
    ),
    Model(
        "R13",
        "a write to min_partial of the root is replayed on dead children",
        free_offline_and_sysfs,
        design="v3+F_NRP",
        mended="v3+F_NRP+F_SYSFS",
        kinds=("leak",),
        raised="inferred; guarded in the draft of 21 May 2014",
    ),
)
