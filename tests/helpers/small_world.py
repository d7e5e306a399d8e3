"""A small world for tests, driven operation by operation: interpreted, serial, all CPUs in one process."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from allocators.caches import memcg_caches, offline, slab_common
from allocators.caches.boot import Root
from allocators.caches.kinds import KINDS, build_world, lay_out
from allocators.caches.layout import Limits
from allocators.core.kmem_cache import CACHE
from allocators.core.world import MEM_MAP, WORLD, WORLD_AT
from allocators.designs import parse_design
from allocators.invariants import Report, check
from allocators.memcg.memcontrol import MEMCG, SLOT_PENDING
from allocators.sheaf_settings import AS_THE_KERNEL, SheafSettings
from scenarios.tape import CacheSpec
from shm.machine import Machine
from shm.segment import Segment

CGROUPS = 6
CACHES = 64


class SmallWorld:
    """A booted world with a root cache of each of `sizes` (bytes) and no cgroup yet.

    by_rcu: indices of caches whose slabs are freed after a grace period; extra: regions of the caller.
    live: the objects handed out (SLOB: references to them), as object -> times (1, unless an allocator is broken).
    """

    def __init__(
        self,
        design: str = "linux-3.16",
        *,
        allocator: str = "slub",
        sizes: tuple[int, ...] = (64, 512, 4096),
        cpus: int = 2,
        nodes: int = 1,
        memoryless: int = 0,
        memory: int = 4 << 20,
        stats: bool = True,
        cpu_partial: bool = True,
        by_rcu: tuple[int, ...] = (),
        extra: dict[str, int] | None = None,
        sheaf_capacity: int = 0,
        sheaves: SheafSettings = AS_THE_KERNEL,
    ) -> None:
        self.allocator = allocator
        parsed = parse_design(design)
        self.features = parsed.features(allocator) | ({"STATS"} if stats else set())
        limits = Limits(
            workers=cpus,
            nodes=nodes,
            memory=memory,
            caches=CACHES,
            memcgs=CGROUPS + 2,
            roots=len(sizes),
            cgroup_indices=CGROUPS + 1,
            cache_indices=len(sizes),
            sheaves=parsed.sheaves(sheaves),
            memoryless=memoryless,
            asked=sheaf_capacity,
        )
        specs = [CacheSpec(f"cache-{i}", size, destroy_by_rcu=i in by_rcu) for i, size in enumerate(sizes)]
        all_sizes = [KINDS[allocator].size(spec, cpus) for spec in specs]
        self.layout = lay_out(allocator, limits, all_sizes, self.features, extra)
        self.segment = Segment(self.layout.words)
        self.cpus = cpus
        self.words = self.segment.array
        self.mem = self.segment.words_view
        roots = [
            Root(
                all_sizes[i],
                spec.object_size,
                i,
                destroy_by_rcu=spec.destroy_by_rcu,
                cpu_partial=cpu_partial,
                sheaf_capacity=sheaf_capacity,
            )
            for i, spec in enumerate(specs)
        ]
        self.roots = build_world(allocator, self.words, self.layout, self.features, roots, serial=True)
        self.kworker = self.machine(cpus)
        self.live: Counter[int] = Counter()

    def machine(self, cpu: int) -> Machine:
        """The world as one CPU sees it; the last one is the kworker's."""
        return Machine(self.mem, cpu, self.features, self.allocator, self.segment.address)

    def memcg(self, cgroup: int) -> int:
        """The memcg of a cgroup index, 0 for the root cgroup or one that is gone."""
        return self.mem[self.layout.plan["cgroup_table"] + cgroup] if cgroup else 0

    def child(self, cache: int, cgroup: int) -> int:
        """The child cache that serves a cgroup, 0 when there is none (any more: nor a memcg)."""
        if self.memcg(cgroup) == 0:
            return 0
        child = self.mem[self.slot(cache, cgroup)]
        return child if child > SLOT_PENDING else 0

    def slot(self, cache: int, cgroup: int) -> int:
        """Where the root cache keeps the child of a cgroup."""
        number = (self.memcg(cgroup) - self.layout.plan["memcgs"]) // MEMCG.SIZE
        return self.mem[self.roots[cache] + CACHE.slots] + number

    def online(self) -> list[int]:
        """Cgroup indices that are online."""
        return [c for c in range(1, CGROUPS + 1) if self.memcg(c) and self.mem[self.memcg(c) + MEMCG.online]]

    def alloc(self, cpu: int, cache: int, cgroup: int = 0, count: int = 1) -> list[int]:
        """Allocate objects; fewer when memory is out."""
        m = self.machine(cpu)
        objects = [slab_common.kmem_cache_alloc(m, self.roots[cache], self.memcg(cgroup)) for _ in range(count)]
        self.live.update(o for o in objects if o)
        return [o for o in objects if o]

    def free(self, cpu: int, objects: list[int]) -> None:
        """Free objects, the first one first."""
        m = self.machine(cpu)
        for obj in objects:
            slab_common.kmem_cache_free(m, obj)
            self.live[obj] -= 1

    def create(self, cgroup: int) -> int:
        return memcg_caches.create_memcg(self.kworker, cgroup)

    def offline(self, cgroup: int) -> None:
        offline.offline_memcg(self.kworker, self.memcg(cgroup))

    def shrink(self, cache: int) -> None:
        slab_common.kmem_cache_shrink(self.kworker, self.roots[cache])

    def work(self) -> None:
        """The kworker's turns until it is idle."""
        while memcg_caches.run_deferred_work(self.kworker):
            pass

    def child_with_objects(self, cgroup: int = 1, cache: int = 0, count: int = 1, cpu: int = 0) -> list[int]:
        """Create a cgroup whose child cache exists and has handed out `count` objects."""
        self.create(cgroup)
        self.free(cpu, self.alloc(cpu, cache, cgroup))
        self.work()
        return self.alloc(cpu, cache, cgroup, count)

    def churn(self, seed: int, operations: int) -> Iterator[str]:
        """Random operations of all CPUs, with a bias to allocate first and to free later; yields each one's name."""
        rng = random.Random(seed)
        held: list[int] = []
        for i in range(operations):
            cpu, what = rng.randrange(self.cpus), rng.random()
            online = self.online()
            if what < 0.75 - 0.35 * i / operations:
                cache, cgroup = rng.randrange(len(self.roots)), rng.choice([0, *online, *online])
                held += self.alloc(cpu, cache, cgroup, rng.randrange(1, 5))
                name = "alloc"
            elif what < 0.93 and held:
                some = [held.pop(rng.randrange(len(held))) for _ in range(min(len(held), rng.randrange(1, 5)))]
                self.free(cpu, some)
                name = "free"
            elif what < 0.96:
                self.work()
                name = "work"
            elif what < 0.97:
                self.shrink(rng.randrange(len(self.roots)))
                name = "shrink"
            elif rng.random() < 0.3 and len(online) > 1:
                self.work()
                self.offline(rng.choice(online))
                name = "offline"
            else:
                gone = [c for c in range(1, CGROUPS + 1) if not self.memcg(c)]
                if gone:
                    self.create(gone[0])
                name = "create"
            yield name

    def tally(self, field: str) -> int:
        return self.mem[WORLD_AT + getattr(WORLD, field)]

    def objects(self) -> np.ndarray:
        """The objects handed out, once for each time."""
        return np.array(sorted(self.live.elements()), np.int64)

    def check(self) -> Report:
        return check(self.kworker, self.layout, self.objects(), stats="STATS" in self.features)

    def close(self) -> None:
        self.segment.close()


def damage(*steps: tuple[Callable[[Any], int], int]) -> Callable[[Any], None]:
    """A fault: add a number to each word that a test's busy world (with `mem`) names."""

    def apply(busy: Any) -> None:
        for where, delta in steps:
            busy.mem[where(busy)] += delta

    return apply


@contextlib.contextmanager
def undone(world: SmallWorld) -> Iterator[None]:
    """What is done inside to memory and to what is handed out is undone, so that one world serves many faults."""
    words, live = world.words.copy(), world.live.copy()
    try:
        yield
    finally:
        world.words[:], world.live = words, live


def wild_memory(world: SmallWorld, rng: random.Random) -> Iterator[bool]:
    """150 times: wild words anywhere but in the boot constants of the header; whether something was found.

    The memory is restored.
    """
    good = world.words.copy()
    used = np.flatnonzero(good).tolist()
    for _ in range(150):
        world.words[:] = good
        for _ in range(rng.choice((1, 1, 5, 50))):
            at = rng.choice(used) if rng.random() < 0.7 else rng.randrange(MEM_MAP, world.layout.plan.end)
            world.words[at] = rng.choice(
                (
                    0,
                    1,
                    -1,
                    rng.randrange(-(1 << 63), 1 << 63),
                    rng.randrange(world.layout.words),
                    good[rng.choice(used)],
                    good[at] + 1,
                )
            )
        world.words[:64] = good[:64]
        yield bool(world.check().violated)
    world.words[:] = good
