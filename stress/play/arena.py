"""An arena: one segment with a world, the tapes of a workload and everything a play needs.

One arena serves all designs in turn: `reset` boots it anew, so every block starts from the same
state at the same addresses.
"""

from __future__ import annotations

import numpy as np

import shm.native  # noqa: F401  the native engine must know the machine before anything compiles
from allocators.caches.boot import boot, create_root
from allocators.caches.layout import Limits, plan
from allocators.core.injection import CERTAIN
from allocators.core.world import WORLD, WORLD_AT
from allocators.designs import ALLOCATOR_FEATURE
from allocators.slab.sizing import SlabSizing, array_room, slab_sizing
from allocators.slob.sizing import SlobSizing, slob_sizing
from allocators.slub.sizing import Sizing, sizing
from scenarios.tape import EV_CREATE_CACHE, OP_ALLOC, CacheSpec, Workload, decode, op
from shm.layout import view
from shm.machine import Machine
from shm.segment import Segment
from shm.xorshift import seed_of
from stress.engine import EVENT, LATENCY, PER_CGROUP, PLAY, RUN, SAMPLE, SAMPLE_EVERY, SAMPLES, SECTION
from stress.process.errors import UsageError

DEFAULT_MEMORY = 512 << 20
NEVER = 1 << 62  # a `spin_every` that lets no free spin
STEP_NS = 100  # kernel time of one operation in serial play, at a time scale of 1


def limits_for(load: Workload, nodes: int, memory: int) -> Limits:
    """Room for every cache and cgroup the workload can bring about, were none ever destroyed."""
    roots = sum(1 for c in load.caches if c.parent < 0)
    children = sum(1 for c in load.caches if c.parent >= 0)
    return Limits(
        workers=load.cpus,
        nodes=nodes,
        memory=memory,
        caches=roots + children + roots * load.cgroups + 1,
        memcgs=load.cgroups + 1,
        roots=roots,
        cgroup_indices=load.cgroups + 1,
        cache_indices=len(load.caches),
    )


def size_of(spec: CacheSpec, allocator: str, cpus: int) -> Sizing | SlabSizing | SlobSizing:
    """What the allocator makes of a cache's specification."""
    if allocator == "slab":
        return slab_sizing(spec.object_size, spec.align, cpus, size=spec.size)
    if allocator == "slob":
        return slob_sizing(spec.object_size, spec.align, destroy_by_rcu=spec.destroy_by_rcu)
    return sizing(
        spec.object_size, spec.align, cpus, size=spec.size, pointer_outside=spec.has_ctor or spec.destroy_by_rcu
    )


def without_children(tape: np.ndarray, caches: tuple[CacheSpec, ...]) -> np.ndarray:
    """A tape for a design whose cgroups have no caches: a child's root allocates on behalf of the child's cgroup."""
    code, cache, cgroup, slot = decode(tape)
    children = [i for i, spec in enumerate(caches) if spec.parent >= 0]
    theirs = (code == OP_ALLOC) & np.isin(cache, children)
    if not theirs.any():
        return tape
    specs = [caches[i] for i in cache[theirs].tolist()]
    tape = tape.copy()
    tape[theirs] = op(OP_ALLOC, [spec.parent for spec in specs], [spec.cgroup for spec in specs], slot[theirs])
    return tape


class Arena:
    """See the module's text.

    load: what will be played. nodes: simulated NUMA nodes. memory: bytes of page frames.
    outcomes: keep one word per operation of the exact global order (serial replay).
    step_ns: kernel time that one operation takes in serial play. settle_ns: kernel time that SLAB's
    reaper has after the tapes' end to let dead caches die, unless `reset` says otherwise.
    owners: room for a design with F_OBJCG, at twice the virtual size. sheaves: room for one with F_SHEAF.
    fail_shrink_alloc, fail_page_alloc: failures on purpose (allocators.core.injection), the latter a
    probability; set them before `reset`.
    spin_every, spin_cycles: which frees of a program with SPIN spin and how long; set them before `reset`.
    cycles_per_kernel_ns: the pace of kernel time in parallel play; set it before `reset`.
    Raises UsageError when the sizes cannot be had.
    """

    def __init__(
        self,
        load: Workload,
        allocator: str = "slub",
        *,
        nodes: int = 1,
        memory: int = DEFAULT_MEMORY,
        serial: bool = False,
        outcomes: bool = False,
        step_ns: int = STEP_NS,
        settle_ns: int = 0,
        owners: bool = False,
        sheaves: bool = False,
    ) -> None:
        self.load = load
        self.allocator = allocator
        self.serial = serial
        self.step_ns = step_ns
        self.settle_ns = settle_ns
        self.cycles_per_kernel_ns = 1.0
        self.fail_shrink_alloc = False
        self.fail_page_alloc = 0.0
        self.spin_every, self.spin_cycles = NEVER, 0
        self.sizes = [size_of(c, allocator, load.cpus) for c in load.caches]
        extra = {
            "run": RUN.SIZE,
            "plays": PLAY.SIZE * load.cpus,
            "schedule": EVENT.SIZE * max(1, len(load.events)),
            "slot_table": max(1, load.slots),
            "marks": max(1, len(load.marks) * len(load.caches)),
            "latencies": LATENCY.SIZE * load.cpus,
            "makers": max(1, load.slots),
            "samples": SAMPLE.SIZE * SAMPLES,
        }
        for cpu, tape in enumerate(load.tapes):
            extra[f"tape{cpu}"] = len(tape)
        if load.order is not None:
            extra["order"] = max(1, len(load.order))
            if outcomes:
                extra["outcomes"] = max(1, len(load.order))
        try:
            slab = [s for s in self.sizes if isinstance(s, SlabSizing)]
            arrays = array_room(slab, load.cpus, nodes) if allocator == "slab" else None
            self.layout = plan(
                limits_for(load, nodes, memory), extra, arrays, owners=owners, sheaves=sheaves, slob=allocator == "slob"
            )
            self.segment = Segment(self.layout.words)
        except (ValueError, MemoryError) as error:
            raise UsageError(f"the arena cannot be made: {error}; change --memory, --cpus or --nodes") from None
        self.words = self.segment.array
        self.plan = self.layout.plan
        self.run = self.plan["run"]
        self.reset(frozenset())  # machines find their per-CPU area through the header

    def machine(self, features: frozenset[str], cpu: int) -> Machine:
        """This arena as one CPU sees it under a design; `cpu` may be the kworker's (`layout.nr_cpus - 1`)."""
        return Machine(
            self.segment.words_view,
            cpu,
            features | ALLOCATOR_FEATURE[self.allocator],
            self.allocator,
            self.segment.address,
        )

    @property
    def kworker_cpu(self) -> int:
        return self.layout.nr_cpus - 1

    def reset(
        self, features: frozenset[str], *, seed: int = 1, settle_ns: int | None = None, curve: bool = False
    ) -> None:
        """Boot the world, create the root caches, lay tapes and schedule out.

        curve: have the kworker sample dead caches and what they pin (see `engine.curve`).
        """
        words, plan_, load = self.words, self.plan, self.load
        boot(words, self.layout, serial=self.serial, seed=seed)
        words[WORLD_AT + WORLD.clock_rate] = max(1, round(self.cycles_per_kernel_ns * 1_000_000))
        words[WORLD_AT + WORLD.fail_shrink_alloc] = self.fail_shrink_alloc
        words[WORLD_AT + WORLD.fail_page_alloc] = round(self.fail_page_alloc * CERTAIN)
        m = self.machine(features, 0)
        for index, spec in enumerate(load.caches):
            if spec.parent < 0:
                create_root(
                    m,
                    self.layout,
                    self.sizes[index],
                    object_size=spec.object_size,
                    index=index,
                    destroy_by_rcu=spec.destroy_by_rcu,
                )
        for cpu, tape in enumerate(load.tapes):
            if "F_OBJCG" in features:
                tape = without_children(tape, load.caches)
            base = plan_[f"tape{cpu}"]
            words[base : base + len(tape)] = tape
            words[plan_["plays"] + cpu * PLAY.SIZE + PLAY.tape] = base
            words[plan_["plays"] + cpu * PLAY.SIZE + PLAY.spin_due] = (
                self.spin_every + 1
            ) // 2  # so that the spins of a tape are spin_every apart on average
        events = view(words, EVENT, plan_["schedule"], len(load.events))
        for field in ("kind", "arg", "round", "cpu"):
            events[field] = [getattr(e, field) for e in load.events]
        events["extra"] = [self._extra(load.caches[e.arg]) if e.kind == EV_CREATE_CACHE else 0 for e in load.events]
        if load.order is not None:
            words[plan_["order"] : plan_["order"] + len(load.order)] = load.order
        for field, value in {
            "expected": load.cpus + 1,
            "events": len(load.events),
            "plays": plan_["plays"],
            "schedule": plan_["schedule"],
            "slots": plan_["slot_table"],
            "marks": plan_["marks"],
            "cache_indices": len(load.caches),
            "outcomes": plan_.regions.get("outcomes", (0, 0))[0],
            "step_ns": self.step_ns,
            "settle_ns": self.settle_ns if settle_ns is None else settle_ns,
            "seed": seed_of(seed),
            "latencies": plan_["latencies"],
            "makers": plan_["makers"],
            "samples": plan_["samples"] if curve else 0,
            "sample_every": max(SAMPLE_EVERY, PER_CGROUP * load.cgroups),
            "spin_every": self.spin_every,
            "spin_cycles": self.spin_cycles,
        }.items():
            words[self.run + getattr(RUN, field)] = value

    @staticmethod
    def _extra(spec: CacheSpec) -> int:
        return max(spec.parent, 0) << 20 | spec.cgroup

    def plays(self) -> np.ndarray:
        """The PLAY structs, one per worker CPU."""
        return view(self.words, PLAY, self.plan["plays"], self.load.cpus)

    def sections(self) -> np.ndarray:
        """SECTION structs as [cpu, kind]."""
        n = self.load.cpus
        kinds = (PLAY.SIZE - PLAY.section) // SECTION.SIZE
        raw = np.stack(
            [self.words[self.plan["plays"] + c * PLAY.SIZE + PLAY.section :][: kinds * SECTION.SIZE] for c in range(n)]
        )
        return view(raw.reshape(-1), SECTION, 0, n * kinds).reshape(n, kinds)

    def latencies(self) -> np.ndarray:
        """LATENCY structs, one per worker CPU."""
        return view(self.words, LATENCY, self.plan["latencies"], self.load.cpus)

    def samples(self) -> np.ndarray:
        """The SAMPLE structs that the kworker has taken."""
        return view(self.words, SAMPLE, self.plan["samples"], int(self.words[self.run + RUN.sampled]))

    def marks(self) -> np.ndarray:
        """Slabs per [mark, cache index] as the censuses took them."""
        marks, caches = len(self.load.marks), len(self.load.caches)
        base = self.plan["marks"]
        return self.words[base : base + marks * caches].reshape(marks, caches)

    def outcomes(self) -> np.ndarray:
        """One word per operation of the global order (see `engine.serial_ordered`)."""
        base, size = self.plan.regions["outcomes"]
        return self.words[base : base + size]

    def close(self) -> None:
        self.segment.close()
