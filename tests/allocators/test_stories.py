"""Ten serial stories on 1 to 64 CPUs and 1 to 4 nodes, their counts derived by hand, not by the model.

No kernel was recorded with more than 4 CPUs. What the counts must be follows from the algorithm of 3.16 (sections
of the specification: 1.2 sizes, 1.4 allocation, 1.5 free, 1.6 hiding places, 2.1 and 2.2 SLAB), written beside each
story.

The cache has objects of 512 bytes. C is the number of CPUs, K of nodes, each with at least one CPU; CPU i is on node
i * K // C.

SLUB: a slab is to hold 4 * (fls(C) + 1) objects: 8, 16, 24 and 32 on 1, 4, 16 and 64 CPUs. 8 and 16 fill one page and
two. 24 fill three, so four pages are taken, which hold 32, and nothing is wasted. So N = 8, 16, 32, 32.
cpu_partial = 13, min_partial = 5.
SLAB: a page holds 8, management outside of it. limit = 54, batchcount = 27, shared 8 * 27 with several CPUs.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from small_world import SmallWorld

from allocators.slab import inspect as slab
from allocators.slub import inspect as slub

OBJECTS = {1: 8, 4: 16, 16: 32, 64: 32}  # N
SHAPES = [(cpus, nodes) for cpus in OBJECTS for nodes in (1, 2, 4) if nodes <= cpus]
SLAB_OBJECTS = 8


def world_of(cpus: int, nodes: int, design: str = "linux-3.16", allocator: str = "slub") -> SmallWorld:
    return SmallWorld(design, allocator=allocator, sizes=(512,), cpus=cpus, nodes=nodes, memory=16 << 20)


def counted(world: SmallWorld) -> dict[str, int]:
    """All statistics of the cache that are not 0, summed over CPUs, and its slabs."""
    kind = slub if world.allocator == "slub" else slab
    found = kind.statistics(world.kworker, world.roots[0], world.layout.nr_cpus)
    sums = {name: sum(values) for name, values in found.items() if name not in slab.MAXIMA and sum(values)}
    assert world.check().violated == []
    return sums | {"slabs": slabs(world, world.roots[0])}


def slabs(world: SmallWorld, s: int) -> int:
    if world.allocator == "slab":
        return slab.slabinfo(world.kworker, s).num_slabs
    return slub.attributes(world.kworker, s).slabs


def nothing(**counts: int) -> dict[str, int]:
    """Without what is 0; slabs always."""
    return {name: n for name, n in counts.items() if n or name == "slabs"}


def fill(world: SmallWorld, c: int, n: int) -> list[list[int]]:
    return [world.alloc(cpu, 0, 0, 2 * n + 1) for cpu in range(c)]


Counts = dict[str, int]
# A story returns what it counted and what must come out.
Story = Callable[[int, int, int], tuple[Counts, Counts]]


def every_cpu_fills_two_slabs_and_begins_a_third(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """The first object of each slab takes the slow path. Before the second and the third the CPU slab is found to have
    nothing more: it is left behind full, on no list (DEACTIVATE_BYPASS)."""
    world = world_of(c, k)
    fill(world, c, n)
    return counted(world), nothing(
        alloc_slowpath=3 * c, alloc_fastpath=(2 * n - 2) * c, alloc_slab=3 * c, deactivate_bypass=2 * c, slabs=3 * c
    )


FILLED = {"alloc_slowpath": 3, "alloc_slab": 3, "deactivate_bypass": 2}  # a CPU


def filled(c: int, n: int) -> Counts:
    return {name: times * c for name, times in FILLED.items()} | {"alloc_fastpath": (2 * n - 2) * c}


def every_cpu_frees_its_own(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """Of each full slab the first free freezes it on this CPU's partial list (case B), the others find it frozen
    (case A). At the second push the list has pobjects 1, not more than 13: no drain. The object of the CPU slab is
    fast. Nothing is given back."""
    world = world_of(c, k)
    for cpu, objects in enumerate(fill(world, c, n)):
        world.free(cpu, objects)
    return counted(world), filled(c, n) | nothing(
        free_fastpath=c, free_slowpath=2 * n * c, cpu_partial_free=2 * c, free_frozen=2 * (n - 1) * c, slabs=3 * c
    )


def shrink_flushes_every_cpu(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """The same, then a shrink: every CPU is told, as each holds a slab. Empty slabs stay on a node's list up to 5. The
    first CPU of a node puts three there, its CPU slab to the head (its objects were private), the others to the tail;
    the second its CPU slab, and one of two; from then on all are discarded. Then the shrink discards the rest, which is
    not counted."""
    world = world_of(c, k)
    for cpu, objects in enumerate(fill(world, c, n)):
        world.free(cpu, objects)
    world.shrink(0)
    nodes = min(c, k)  # that have CPUs
    stay = min(3 * (c // nodes), 5) * nodes
    to_head = min(c // nodes, 2) * nodes
    return counted(world), filled(c, n) | nothing(
        free_fastpath=c, free_slowpath=2 * n * c, cpu_partial_free=2 * c, free_frozen=2 * (n - 1) * c,
        cpuslab_flush=c, deactivate_to_head=to_head, free_add_partial=stay - to_head,
        deactivate_empty=3 * c - stay, free_slab=3 * c - stay, slabs=0,
    )  # fmt: skip


def every_cpu_frees_a_slab_of_cpu_0(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """CPU 0 fills C slabs, the last of which stays its CPU slab; CPU i frees the objects of slab i. All but the last
    are full: case B, then A. The last is frozen: A for another CPU, the fast path if CPU 0 is the only one."""
    world = world_of(c, k)
    objects = world.alloc(0, 0, 0, c * n)
    for cpu in range(c):
        world.free(cpu, objects[cpu * n : cpu * n + n])
    alone = c == 1
    return counted(world), nothing(
        alloc_slowpath=c, alloc_fastpath=c * (n - 1), alloc_slab=c, deactivate_bypass=c - 1, cpu_partial_free=c - 1,
        free_frozen=0 if alone else (c - 1) * (n - 1) + n, free_slowpath=0 if alone else c * n,
        free_fastpath=n if alone else 0, slabs=c,
    )  # fmt: skip


def one_cpu_drains_its_partial_list(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """The last CPU fills 15 slabs and begins another, then frees one object of each full one. Each push adds one to
    pobjects; the 15th finds 14, more than 13, so 14 slabs go to the node's list, unfrozen, and it is alone."""
    world = world_of(c, k)
    objects = world.alloc(c - 1, 0, 0, 15 * n + 1)
    world.free(c - 1, objects[: 15 * n : n])
    return counted(world), nothing(
        alloc_slowpath=16, alloc_fastpath=15 * n + 1 - 16, alloc_slab=16, deactivate_bypass=15, free_slowpath=15,
        cpu_partial_free=15, cpu_partial_drain=1, free_add_partial=14, slabs=16,
    )  # fmt: skip


def dead(design: str, c: int, k: int, n: int) -> Counts:
    """CPU 0 takes two slabs' objects of a child; its cgroup goes; the last CPU frees them."""
    world = world_of(c, k, design)
    objects = world.child_with_objects(1, 0, 2 * n)
    child = world.child(0, 1)
    world.offline(1)
    world.free(c - 1, objects)
    world.work()
    assert world.check().violated == []
    left = world.tally("offlined") - world.tally("destroyed")
    return {"left": left, "slabs": slabs(world, child) if left else 0}


def a_dead_cache_of_3_16(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """Both slabs are empty on the last CPU's partial list, whoever it is, and nobody looks at the cache again."""
    return dead("linux-3.16", c, k, n), {"left": 1, "slabs": 2}


def a_dead_cache_of_v1(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """The offline tells only CPUs that hold something: CPU 0. Does it free, its list is closed, and each slab goes when
    it is empty (min_partial 0). Another CPU keeps both on its list (R12)."""
    return dead("v1", c, k, n), ({"left": 0, "slabs": 0} if c == 1 else {"left": 1, "slabs": 2})


def a_dead_cache_of_v3(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """Who frees looks at the dead mark, so no slab is put on a CPU's list, and the last one takes the cache with it."""
    return dead("v3", c, k, n), {"left": 0, "slabs": 0}


def slab_every_cpu_takes_twenty(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """An empty array finds no slab with room and grows the cache by one, of which it takes all: 8, 8 and 4 of 8. No
    slab has anything left for the next CPU, so a CPU misses three times, whatever the node."""
    world = world_of(c, k, allocator="slab")
    for cpu in range(c):
        world.alloc(cpu, 0, 0, 20)
    return counted(world), nothing(
        allocmiss=3 * c, allochit=17 * c, grown=3 * c, allocations=3 * SLAB_OBJECTS * c, slabs=3 * c
    )


def slab_the_last_cpu_frees_sixteen_of_cpu_0(c: int, k: int, n: int) -> tuple[Counts, Counts]:
    """On one node they fit into its array (limit 54). From another node 12 go to the alien array; the 13th finds it
    full: one overflow, which empties it into the home node's shared array."""
    world = world_of(c, k, allocator="slab")
    world.free(c - 1, world.alloc(0, 0, 0, 16))
    local = k == 1
    frees = {"freehit": 16} if local else {"node_frees": 16, "node_overflow": 1}
    shared = slab.slabinfo(world.kworker, world.roots[0]).sharedavail
    assert shared == (0 if local else 12)
    return counted(world), frees | nothing(allocmiss=2, allochit=14, grown=2, allocations=16, slabs=2)


STORIES: tuple[Story, ...] = (
    every_cpu_fills_two_slabs_and_begins_a_third, every_cpu_frees_its_own, shrink_flushes_every_cpu,
    every_cpu_frees_a_slab_of_cpu_0, one_cpu_drains_its_partial_list, a_dead_cache_of_3_16, a_dead_cache_of_v1,
    a_dead_cache_of_v3, slab_every_cpu_takes_twenty, slab_the_last_cpu_frees_sixteen_of_cpu_0,
)  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize(("cpus", "nodes"), SHAPES)
def test_counts_are_those_derived_by_hand(story, cpus, nodes):
    found, derived = story(cpus, nodes, OBJECTS[cpus])
    assert found == derived
