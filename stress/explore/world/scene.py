"""Scenes: a small world, set up, and the tasks that then run concurrently in it.

A scene is set up by the allocators' own code, one operation after another, before exploring begins; then
each execution starts from that state. Tasks call the same functions as everybody: `kmem_cache_alloc`,
`kmem_cache_free`, `offline_memcg`, `run_deferred_work`. Objects that are handed out are remembered, so
that one that is handed out twice is found.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from allocators.caches import memcg_caches, offline, slab_common
from allocators.caches.boot import Root
from allocators.caches.kinds import KINDS, build_world, lay_out
from allocators.caches.layout import Limits
from allocators.catalogue import DEFAULT
from allocators.core.kmem_cache import CACHE, NODE
from allocators.core.page_alloc import ZONE
from allocators.core.world import PAGE_BYTES, WORLD, WORLD_AT
from allocators.designs import parse_design
from allocators.memcg.memcontrol import MEMCG, css_put, css_tryget_online
from allocators.sheaf_settings import AS_THE_KERNEL, SheafSettings
from allocators.slub.sheaf_state import ASKED
from shm.machine import CPU, MACHINE, Machine
from shm.rcu import quiescent_point
from shm.ring import RING
from stress.explore.space.space import Body, Space
from stress.explore.space.task import Task
from stress.explore.space.violation import Violation
from stress.explore.world.guard import Guard
from stress.explore.world.names import Names
from stress.explore.world.oracles import at_rest
from stress.process.errors import UsageError

CACHES = 4


class Scene:
    """A world of one root cache with `objects` objects per slab (of one page), one cgroup and its child cache.

    preempt: tasks of one CPU preempt each other. cpu_partial: the caches have CPU partial lists.
    stats: with SLUB_STATS. sheaves: their sizes where the design sets none; the cache asks for some.
    min_partial, limit: of the caches (SLAB: of the array caches).
    Raises UsageError for an allocator of which there are no scenes.
    """

    def __init__(
        self,
        design: str,
        *,
        allocator: str = DEFAULT,
        cpus: int = 2,
        nodes: int = 1,
        objects: int = 1,
        stats: bool = False,
        preempt: bool = False,
        cpu_partial: bool = True,
        min_partial: int = 5,
        limit: int = 1,
        memory_model: str = "sc",
        sheaves: SheafSettings = AS_THE_KERNEL,
    ) -> None:
        self.design, self.allocator, self.memory_model, self.workers = design, allocator, memory_model, cpus
        parsed = parse_design(design)
        parsed.check_allocator(allocator)
        self.features = (
            parsed.features(allocator) | ({"STATS"} if stats else set()) | ({"PREEMPT"} if preempt else set())
        )
        limits = Limits(
            workers=cpus, nodes=nodes, memory=nodes << 22, caches=CACHES, memcgs=2, roots=1, cgroup_indices=3,
            cache_indices=1, sheaves=parsed.sheaves(sheaves),
        )  # fmt: skip
        size = PAGE_BYTES // objects // 8 * 8
        model = KINDS[allocator].model
        if model is None:
            modelled = " and ".join(name for name, deeds in KINDS.items() if deeds.model is not None)
            raise UsageError(f"--allocator {allocator}: there is no scene of it, scenes are of {modelled}")
        sizes = model(size, objects, min_partial, limit)
        self.layout = lay_out(allocator, limits, [sizes], self.features)
        words = np.zeros(self.layout.words, np.int64)
        root = Root(sizes, size, index=0, cpu_partial=cpu_partial, sheaf_capacity=ASKED)
        (self.root,) = build_world(allocator, words, self.layout, self.features, [root], serial=True)
        self._words = words
        self.mem = words.data
        self.held: list[int] = []  # handed out when exploring begins
        self.live: set[int] = set()
        self.bodies: list[Body] = []
        self.kworker = self.machine(cpus)
        memcg_caches.create_memcg(self.kworker, 1)
        self.memcg = self.mem[self.layout.plan["cgroup_table"] + 1]
        self.flag = self.layout.plan["cgroup_table"] + 2  # a word that nobody else uses
        self.ends: list[Callable[[Space], None]] = []

    def machine(self, cpu: int) -> Machine:
        """The world as one CPU sees it, for setting up."""
        return Machine(self.mem, cpu, self.features, self.allocator)

    # Setting up: serial.

    def create_child(self) -> int:
        """Let the child cache of the cgroup be created; returns it."""
        self.free(0, [self.alloc(0)])
        self.work()
        self.child = self.mem[
            self.mem[self.root + CACHE.slots] + (self.memcg - self.layout.plan["memcgs"]) // MEMCG.SIZE
        ]
        return self.child

    def alloc(self, cpu: int) -> int:
        """Allocate an object of the cgroup on a CPU."""
        obj = slab_common.kmem_cache_alloc(self.machine(cpu), self.root, self.memcg)
        self.held.append(obj)
        return obj

    def free(self, cpu: int, objects: list[int]) -> None:
        for obj in objects:
            slab_common.kmem_cache_free(self.machine(cpu), obj)
            self.held.remove(obj)

    def work(self) -> None:
        """The kworker's turns until it is idle."""
        while memcg_caches.run_deferred_work(self.kworker):
            pass

    # Tasks.

    def frees(self, name: str, cpu: int, objects: list[int], cpus: tuple[int, ...] = (), signal: bool = False) -> None:
        """A task that frees objects. signal: it says so in the word `flag` then."""

        def run(m: Machine) -> None:
            for obj in objects:
                self.live.discard(obj)
                slab_common.kmem_cache_free(m, obj)
                quiescent_point(m)
            if signal:
                m.fetch_add(self.flag, 1)

        self.task(name, cpu, run, cpus=cpus)

    def allocates(self, name: str, cpu: int, count: int = 1, *, free: bool = False) -> None:
        """A task that allocates objects of the cgroup, and frees each if asked to.

        It holds a reference to the memcg, as a task holds one to its cgroup; a cgroup that is offline has no tasks.
        """

        def run(m: Task) -> None:
            if not css_tryget_online(m, self.memcg):
                return
            for _ in range(count):
                obj = slab_common.kmem_cache_alloc(m, self.root, self.memcg)
                self.hand_out(m, obj)
                quiescent_point(m)
                if free and obj:
                    self.live.discard(obj)
                    slab_common.kmem_cache_free(m, obj)
                    quiescent_point(m)
            css_put(m, self.memcg)

        self.task(name, cpu, run)

    def hand_out(self, m: Task, obj: int) -> None:
        """A task was given an object, or 0; Violation when somebody has it."""
        if obj in self.live:
            raise Violation("double hand-out", f"{m.name} was given {self.names.pointer(obj)}, which is in use")
        if obj:
            self.live.add(obj)

    def task(self, name: str, cpu: int, run: Callable, *, daemon: bool = False, cpus: tuple[int, ...] = ()) -> None:
        """Any task."""
        self.bodies.append(Body(name, cpu, run, daemon, cpus))

    def works(self, *events: Callable) -> None:
        """The kworker: events of the kernel one after another, each a function of the machine, then deferred work for
        ever.
        """

        def run(m: Machine) -> None:
            for event in events:
                event(m)
            while True:
                quiescent_point(m)
                if not memcg_caches.run_deferred_work(m):
                    m.relax()

        self.task("kworker", self.workers, run, daemon=True)

    def offline(self, m) -> None:
        """The cgroup goes offline."""
        offline.offline_memcg(m, self.memcg)

    # Exploring.

    def _locks(self) -> frozenset[int]:
        plan_, limits = self.layout.plan, self.layout.limits
        locks = {WORLD_AT + WORLD.slab_mutex, WORLD_AT + WORLD.memcg_slab_mutex}
        locks |= {plan_["zones"] + i * ZONE.SIZE + ZONE.lock for i in range(limits.nodes)}
        locks |= {plan_[ring] + RING.lock for ring in ("workqueue", "rcu_queue")}
        locks |= {plan_["nodes"] + i * NODE.SIZE + NODE.list_lock for i in range(limits.caches * limits.nodes)}
        locks |= {self.layout.area(cpu) + CPU.ipi_lock for cpu in range(self.layout.nr_cpus)}
        return frozenset(locks) | KINDS[self.allocator].locks(self.layout)

    def world(self, space: Space) -> Machine:
        """The world now, its words as an array: those that no execution wrote are as they were at the start."""
        written = space.written()
        self._now[written] = [space.mem[a] for a in written]
        return Machine(self._now, self.workers, self.features, self.allocator)

    def space(self, *, races: bool = False) -> Space:
        """The space of this scene's interleavings. races: look for data races too.

        Each space has words of its own: what another one's last execution left is not where this one starts.
        """
        self.mem[MACHINE.serial] = 0
        mem, self._now = self._words.tolist(), self._words.copy()
        self.names = Names(self.layout)
        guard = Guard(mem, self.layout, self.names)
        bookkeeping = {
            self.layout.plan["caches"] + number * CACHE.SIZE + field
            for number in range(CACHES)
            for field in (CACHE.live, CACHE.last_free, CACHE.offline_at)
        }
        bookkeeping |= {WORLD_AT + field for field in (WORLD.shrink_discarded,)}

        def begin() -> None:
            self.live.clear()
            self.live.update(self.held)

        def end(space: Space) -> None:
            at_rest(
                self.world(space), self.layout, np.array(sorted(self.live), np.int64), stats="STATS" in self.features
            )
            for check in self.ends:
                check(space)

        space = Space(
            mem,
            self.bodies,
            features=self.features,
            kernel=self.allocator,
            tso=self.memory_model == "tso",
            guard=guard,
            exempt=frozenset(bookkeeping),
            locks=self._locks(),
            begin=begin,
            end=end,
            races=races,
        )
        guard.space = space
        return space
