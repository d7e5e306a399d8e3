"""Races that leave an empty slab on a CPU's partial stack: R2, R3, R5, R6, R12 of the review."""

from __future__ import annotations

from allocators.catalogue import DEFAULT
from stress.explore.races.race import Model
from stress.explore.world.scene import Scene


def free_and_offline(
    design: str,
    *,
    memory_model: str = "sc",
    cpus: int = 1,
    allocator: str = DEFAULT,
    objects: int = 1,
    signal: bool = False,
    then=(),
    **options,
) -> Scene:
    """The last CPU frees the only object of a full slab while the cgroup goes offline.

    It was allocated on the kworker's CPU (SLAB: on the first one), whose CPU slab is another, empty one.
    then: what the kworker does after the offline, functions of scene and machine.
    """
    scene = Scene(design, allocator=allocator, cpus=cpus, objects=objects, memory_model=memory_model, **options)
    scene.create_child()
    home = scene.workers if allocator == "slub" else 0
    mine = [scene.alloc(home) for _ in range(objects)]
    scene.free(home, [scene.alloc(home)])
    scene.frees("free", scene.workers - 1, mine, signal=signal)
    scene.works(scene.offline, *(lambda m, event=event: event(scene, m) for event in then))
    return scene


def free_and_migrate(design: str, *, memory_model: str = "sc", cpus: int = 2) -> Scene:
    """As free_and_offline, by a task that may be preempted and go on on another CPU."""
    scene = Scene(design, cpus=cpus, memory_model=memory_model, preempt=True)
    scene.create_child()
    home = scene.workers
    mine = scene.alloc(home)
    scene.free(home, [scene.alloc(home)])
    scene.frees("free", cpus - 1, [mine], cpus=tuple(range(cpus)))
    scene.works(scene.offline)
    return scene


MODELS = (
    Model(
        "R2",
        "a free that decided to freeze is overtaken by the shrink",
        free_and_offline,
        design="v3+P7a+F_NRP",
        mended="v3+P7a+F_NRP+F_GP",
        kinds=("leak",),
        raised="Vladimir Davydov, 19 May 2014",
    ),
    Model(
        "R3",
        "the dead mark is set between the test and the push",
        free_and_offline,
        design="v3+P7b+F_NRP",
        mended="v3+F_NRP",
        kinds=("leak",),
        raised="Vladimir Davydov, 31 May 2014",
    ),
    Model(
        "R5",
        "a task migrates between its push and the drain of the stack",
        free_and_migrate,
        design="v3+F_NRP-F_NP",
        mended="v3+F_NRP",
        kinds=("leak",),
        raised="Joonsoo Kim, 2 Jun 2014",
        cpus=2,
    ),
    Model(
        "R6",
        "store buffering: the push is not seen by the flush, nor the dead mark by the push",
        free_and_offline,
        design="v3+F_NRP",
        mended="v3+F_NRP+F_MB",
        kinds=("leak",),
        raised="Joonsoo Kim, 10 Jun 2014 and Jan 2015; Peter Zijlstra, Apr 2016",
        memory_model="tso",
    ),
    Model(
        "R12",
        "no sentinel on a CPU that held nothing when the flush looked",
        free_and_offline,
        design="v1",
        mended="v1+F_ALLCPU",
        kinds=("leak",),
        raised="inferred from v1; seen on a real 3.16.0",
    ),
)
