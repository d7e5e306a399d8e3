"""Bugs of released kernels that were mended later, after the review: B3, B9, B17, B20, B25, and two of refills.

B13, a root destroyed while work for a child is queued (4.0 to 4.17; mended in 4.18), is R11.
"""

from __future__ import annotations

from allocators.caches.memcg_caches import destroy_root
from allocators.caches.slab_common import kmem_cache_alloc, kmem_cache_shrink
from allocators.core.injection import CERTAIN
from allocators.core.page_alloc import head_of
from allocators.core.world import INJECTION, INJECTION_AT, WORLD, WORLD_AT
from allocators.memcg.objcg import post_alloc, pre_alloc
from allocators.slub.alloc import NO_NODE
from allocators.slub.node_slab import alloc_one, free_one
from allocators.slub.sheaf_state import PCS, SHEAF, pcs_of
from allocators.slub.sysfs import min_partial_store
from shm.atomics import read_once
from shm.machine import Machine
from shm.rcu import quiescent_point
from stress.explore.races.race import Model
from stress.explore.races.sheaves import SMALL, alloc_beneath, free_beneath, kfree_rcu_and_destroy
from stress.explore.space.violation import Violation
from stress.explore.world.scene import Scene


def two_first_objects(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """Two tasks of a CPU have got the first objects of a slab that have an owner; one gets no memory for the vector."""
    scene = Scene(design, cpus=cpus, objects=2, memory_model=memory_model, preempt=True, sheaves=SMALL)
    scene.mem[scene.layout.area(0) + INJECTION_AT + INJECTION.vector_allocs] = 1
    for name in ("alloc", "other alloc"):
        obj = kmem_cache_alloc(scene.machine(0), scene.root, 0)
        scene.held.append(obj)
        scene.task(name, 0, lambda m, obj=obj: post_alloc(m, scene.root, pre_alloc(m, scene.root, scene.memcg), obj))
    scene.works()
    return scene


def flush_of_a_held_lock(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A task frees an object to its CPU's main sheaf, and may be preempted there; meanwhile the cache is shrunk.

    A worker of that CPU, which preempts the task, empties its sheaves. What main had must be gone afterwards.
    """
    scene = Scene(design, cpus=cpus, objects=2, memory_model=memory_model, preempt=True, sheaves=SMALL)
    mine = [scene.alloc(0) for _ in range(2)]
    scene.free(0, mine[1:])
    scene.frees("free", 0, mine[:1])

    def work(m: Machine) -> None:
        while True:
            quiescent_point(m)
            m.relax()

    scene.task("worker", 0, work, daemon=True)

    def shrink(m: Machine) -> None:
        kmem_cache_shrink(m, scene.root)
        held = read_once(m, read_once(m, pcs_of(m, scene.root, 0) + PCS.main) + SHEAF.size)
        if held > 1:
            raise Violation("leak", f"the cache was shrunk, and cpu0's main sheaf still has {held} objects")

    scene.works(shrink)
    return scene


def drain_and_look(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A free has its CPU give up its stock of charged bytes, while the offline looks into it."""
    scene = Scene(design, cpus=cpus, memory_model=memory_model)
    scene.frees("free", 0, [scene.alloc(0)])
    scene.works(scene.offline)
    return scene


def sysfs_and_destroy(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A user writes to a file of a cache in sysfs while the cache is destroyed."""
    scene = Scene(design, cpus=cpus, memory_model=memory_model)
    scene.task("sysfs", 0, lambda m: min_partial_store(m, scene.root, 5))
    scene.works(lambda m: destroy_root(m, scene.root))
    return scene


def refill_without_memory(design: str, *, memory_model: str = "sc", cpus: int = 1) -> Scene:
    """A refill of two finds one object and no memory for more."""
    scene = Scene(design, cpus=cpus, objects=2, memory_model=memory_model, sheaves=SMALL)
    first = scene.machine(0)
    mine = [alloc_beneath(scene, first) for _ in range(2)]
    free_beneath(scene, first, mine[0])
    scene.mem[WORLD_AT + WORLD.fail_page_alloc] = CERTAIN
    scene.mem[scene.layout.area(0) + INJECTION_AT + INJECTION.random] = 1
    scene.allocates("alloc", 0)
    scene.works()
    return scene


def return_and_relist(design: str, *, memory_model: str = "sc", cpus: int = 2) -> Scene:
    """A refill has taken a slab's freelist and gives the rest back; meanwhile a free puts the slab on the list, another
    one a second slab behind it, and an allocation takes what the first had freed, so the slab is full again."""
    scene = Scene(design, cpus=cpus, objects=4, memory_model=memory_model, sheaves=SMALL)
    last = scene.machine(cpus - 1)
    mine = [alloc_beneath(scene, last) for _ in range(8)]
    for obj in mine[1:4]:
        free_beneath(scene, last, obj)

    def free_and_alloc(m) -> None:
        for obj in (mine[0], mine[4]):
            scene.live.discard(obj)
            free_one(m, scene.root, head_of(m, obj), obj)
        scene.hand_out(m, alloc_one(m, scene.root, NO_NODE))

    scene.allocates("refill", 0)
    scene.task("free and alloc", cpus - 1, free_and_alloc)
    scene.works()
    return scene


MODELS = (
    Model(
        "B3",
        "a vector of owners that cannot be had is marked over one that another has made",
        two_first_objects,
        design="linux-5.9+F_BUG_VECFAIL",
        mended="linux-5.9",
        kinds=("corruption",),
        raised="6ed8bfd24ce1, 6.18 (a bug since 6.10)",
        needs=("F_OBJCG",),
    ),
    Model(
        "B9",
        "PREEMPT_RT: a flush finds the sheaves' lock held by a task it has preempted, and leaves the main sheaf",
        flush_of_a_held_lock,
        design="linux-7.0-rc1+F_RT",
        mended="linux-7.0+F_RT",
        kinds=("leak",),
        raised="48647d3f9a64, 7.0-rc3 (a bug since 6.18)",
        needs=("F_NOCPUSLAB",),
    ),
    Model(
        "B17",
        "whoever drains all stocks tests another CPU's pointer and reads it again, drained meanwhile",
        drain_and_look,
        design="linux-5.9+F_BUG_STOCKLOOK",
        mended="linux-5.9+F_STOCKLOOK",
        kinds=("assertion",),
        raised="obj_stock_flush_required, 6.4 (a bug since 5.9)",
        needs=("F_OBJCG",),
    ),
    Model(
        "B20",
        "who writes to a cache's file in sysfs wants the mutex of its destruction, which waits for him",
        sysfs_and_destroy,
        design="linux-5.9",
        mended="linux-5.9-F_UNLINKLOCKED",
        kinds=("deadlock",),
        raised="0495e337b703, 6.0",
    ),
    Model(
        "B25",
        "a cache is destroyed while objects of kfree_rcu wait for their grace period",
        kfree_rcu_and_destroy,
        design="linux-5.9",
        mended="linux-6.18",
        kinds=("assertion",),
        raised="6c6c47b063b5, 6.12; for each cache 0f35040de593, 6.19",
    ),
    Model(
        "B27",
        "a refill that runs out of memory frees its sheaf and loses the objects that it got",
        refill_without_memory,
        design="linux-7.0-rc1",
        mended="linux-7.0",
        kinds=("corruption",),
        raised="464b1c115852, 7.0",
        needs=("F_NOCPUSLAB",),
    ),
    Model(
        "B28",
        "what is left of a slab is swapped back while an allocation, having found it full, takes it off its list",
        return_and_relist,
        design="linux-7.2",
        mended="linux-7.3",
        kinds=("corruption",),
        raised="found here; 4a724bcf5d70, 7.3, by its title",
        cpus=2,
        needs=("F_NOCPUSLAB",),
    ),
)
