"""Questions beyond the catalogue, for any design: what may a new switch break?"""

from __future__ import annotations

from allocators.caches.slab_common import kmem_cache_shrink
from allocators.catalogue import DEFAULT
from allocators.slab.reap import cache_reap
from stress.explore.races.hiding import free_and_offline
from stress.explore.races.race import Model
from stress.explore.world.scene import Scene


def alloc_and_offline(design: str, *, memory_model: str = "sc", cpus: int = 1, allocator: str = DEFAULT) -> Scene:
    """A task allocates on behalf of a cgroup and frees, while the cgroup goes offline."""
    scene = Scene(design, allocator=allocator, cpus=cpus, memory_model=memory_model)
    scene.create_child()
    scene.allocates("alloc", 0, free=True)
    scene.works(scene.offline)
    return scene


def create_and_offline(design: str, *, memory_model: str = "sc", cpus: int = 1, allocator: str = DEFAULT) -> Scene:
    """The first allocation of a cgroup asks for the child cache, while the cgroup goes offline."""
    scene = Scene(design, allocator=allocator, cpus=cpus, memory_model=memory_model)
    scene.allocates("alloc", 0, 2, free=True)
    scene.works(scene.offline)
    return scene


def remote_free(design: str, *, memory_model: str = "sc", cpus: int = 2, allocator: str = DEFAULT) -> Scene:
    """An object of a CPU slab is freed on another CPU, while its owner allocates and keeps what it gets."""
    scene = Scene(design, allocator=allocator, cpus=cpus, objects=2, memory_model=memory_model)
    scene.create_child()
    mine = [scene.alloc(0), scene.alloc(0)]
    scene.frees("free", cpus - 1, mine[:1])
    scene.allocates("alloc", 0, 2)
    scene.works()
    return scene


def reap_and_destroy(design: str, *, memory_model: str = "sc", cpus: int = 1, allocator: str = "slab") -> Scene:
    """SLAB's reaper passes while a dead cache's last object is freed and the cache destroyed."""
    scene = Scene(design, allocator=allocator, cpus=cpus, memory_model=memory_model)
    scene.create_child()
    mine = [scene.alloc(0)]
    scene.frees("free", 0, mine)
    scene.task("reaper", 0, cache_reap)
    scene.works(scene.offline)
    return scene


def shrink_and_sheaf(
    design: str, *, memory_model: str = "sc", cpus: int = 1, preempt: bool = False, objects: int = 32
) -> Scene:
    """A CPU whose sheaf holds objects frees one and allocates one, while the cache is shrunk.

    preempt: by two tasks, which preempt each other.
    """
    scene = Scene(design, cpus=cpus, objects=objects, memory_model=memory_model, preempt=preempt)
    scene.frees("free", 0, [scene.alloc(0)])
    scene.allocates("alloc", 0)
    scene.works(lambda m: kmem_cache_shrink(m, scene.root))
    return scene


def preempted_in_sheaf(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """As shrink_and_sheaf, by preemptible tasks."""
    return shrink_and_sheaf(design, memory_model=memory_model, cpus=cpus, preempt=True)


MODELS = (
    Model("offline-vs-free", "a free while the cgroup goes offline", free_and_offline, both=True),
    Model("alloc-vs-offline", "an allocation while the cgroup goes offline", alloc_and_offline, both=True),
    Model("create-vs-offline", "a child cache is created while its cgroup goes offline", create_and_offline, both=True),
    Model("remote-free", "a free on another CPU while its slab is allocated from", remote_free, cpus=2, both=True),
    Model(
        "shrink-vs-sheaf",
        "a free and an allocation on a CPU while its sheaves are flushed",
        shrink_and_sheaf,
        design="linux-6.18",
    ),
    Model(
        "preempted-in-sheaf",
        "the same by two tasks of that CPU, one preempting the other",
        preempted_in_sheaf,
        design="linux-6.18",
    ),
    Model("reaper-vs-destroy", "SLAB's reaper while a dead cache is destroyed", reap_and_destroy, allocator="slab"),
)
