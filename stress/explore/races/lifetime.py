"""Races in which somebody outlives the cache that he works on: R1, R1b, R4, R9, R10, R11, R14 of the review."""

from __future__ import annotations

from allocators.caches.memcg_caches import destroy_root
from allocators.caches.slab_common import kmem_cache_shrink
from allocators.catalogue import DEFAULT
from allocators.slub.sheaf_state import SheafSettings
from shm.atomics import cpu_relax, read_once
from shm.machine import Machine
from stress.explore.races.hiding import free_and_offline
from stress.explore.races.race import Model
from stress.explore.world.scene import Scene


def _wait_for_flag(scene: Scene, m) -> None:
    while read_once(m, scene.flag) == 0:
        cpu_relax(m)


def free_with_stats(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """As free_and_offline, in a kernel with SLUB_STATS."""
    return free_and_offline(design, memory_model=memory_model, cpus=cpus, stats=True)


def preempted_free(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """As free_and_offline, by a preemptible task: a grace period does not wait for it where it may be preempted."""
    return free_and_offline(design, memory_model=memory_model, cpus=cpus, preempt=True)


def shrink_and_offline(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """Somebody shrinks the child cache, whose only slab is empty; meanwhile the cgroup goes offline.

    In a design without child caches it is the cache that all cgroups share.
    """
    scene = Scene(design, cpus=cpus, memory_model=memory_model, sheaves=SheafSettings(2, 1, 1))
    scene.create_child()
    home = scene.workers
    scene.free(home, [scene.alloc(home)])

    def shrink(m: Machine) -> None:
        m.fetch_add(scene.flag, 1)
        kmem_cache_shrink(m, scene.child or scene.root)

    scene.task("shrink", 0, shrink)
    scene.works(lambda m: _wait_for_flag(scene, m), scene.offline)
    return scene


def _destroy_root_when_freed(scene: Scene, m) -> None:
    _wait_for_flag(scene, m)
    destroy_root(m, scene.root)


def free_offline_and_destroy(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """As free_and_offline; when all is freed the root cache is destroyed by its owner."""
    return free_and_offline(design, memory_model=memory_model, cpus=cpus, signal=True, then=(_destroy_root_when_freed,))


def alloc_and_offline(design: str, *, memory_model: str = "sc", cpus: int = 1, allocator: str = DEFAULT) -> Scene:
    """A preemptible task allocates on behalf of a cgroup, having looked its cache up, while the cgroup goes offline."""
    scene = Scene(design, allocator=allocator, cpus=cpus, memory_model=memory_model, preempt=True)
    scene.create_child()
    scene.allocates("alloc", 0, free=True)
    scene.works(scene.offline)
    return scene


MODELS = (
    Model(
        "R1",
        "the freer outlives the cache: the statistic after the last object",
        free_with_stats,
        design="v1+F_ALLCPU",
        mended="v3+F_NRP",
        kinds=("use after free",),
        raised="Vladimir Davydov, 2 Jun 2014; Joonsoo Kim, 4 Jun 2014",
    ),
    Model(
        "R1b",
        "the freer has read page.slab_cache; the slab is re-parented and the cache destroyed before it takes a "
        "reference",
        preempted_free,
        design="rfc-reparent",
        mended="rfc-reparent+F_NP",
        kinds=("use after free",),
        raised="Vladimir Davydov, 16 May 2014; that the RFC's frees are preemptible there is inferred",
    ),
    Model(
        "R4",
        "the check after the push is made on a cache that may be gone",
        free_and_offline,
        design="v3+F_NRP-F_NP-F_RCU",
        mended="v3+F_NRP",
        kinds=("use after free",),
        raised="Vladimir Davydov, 2 and 3 Jun 2014",
    ),
    Model(
        "R9",
        "a shrink frees the last slab, which lets the cache be destroyed while it is being shrunk",
        shrink_and_offline,
        design="linux-3.15",
        mended="v3+F_NRP",
        kinds=("use after free", "assertion"),
        raised="Vladimir Davydov, Apr 2014",
    ),
    Model(
        "R10",
        "an allocation has picked a cache that is destroyed before it allocates",
        alloc_and_offline,
        design="linux-5.3-F_ALLOCREF",
        mended="linux-5.3",
        kinds=("use after free",),
        raised="inferred; remedied in 5.3",
        aside=("leak",),
        finding="with the reference the cache lives, but an allocation that was preempted over the offline"
        " makes a CPU slab of a dead cache, which nobody flushes",
        cpus=1,
    ),
    Model(
        "R11",
        "a root cache is destroyed while the destruction of a child is queued",
        free_offline_and_destroy,
        design="v3+F_NRP",
        mended="v3+F_NRP+F_FLUSHWORK",
        kinds=("assertion", "use after free"),
        raised="inferred; a race of create, destroy and deactivate was mended in 2018",
    ),
    Model(
        "R14",
        "a slab is destroyed under list_lock, and the cache before the unlock",
        free_and_offline,
        allocator="slab",
        design="v3-F_RCU",
        mended="v3",
        kinds=("use after free",),
        raised="Vladimir Davydov, 13 Jun 2014 (v3 5/8)",
        finding="cannot happen: the destruction of a SLAB cache drains every CPU by an IPI and waits,"
        " which a free with interrupts off holds up until it has unlocked",
    ),
)
