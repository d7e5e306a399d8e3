"""An arena: one segment with a world, the tapes of a workload and everything a play needs.

One arena serves all designs in turn: `reset` boots it anew, so every block starts from the same
state at the same addresses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

import shm.native  # noqa: F401  the native engine must know the machine before anything compiles
from allocators.caches.boot import Root
from allocators.caches.kinds import KINDS, build_world, lay_out
from allocators.caches.layout import Limits
from allocators.catalogue import ALLOCATORS, DEFAULT
from allocators.core.injection import CERTAIN
from allocators.core.world import WORLD, WORLD_AT
from allocators.sheaf_settings import AS_THE_KERNEL, SheafSettings
from scenarios.tape import EV_CREATE_CACHE, FLAG, OP_ALLOC, CacheSpec, Workload, decode, op
from shm.layout import view
from shm.machine import Machine
from shm.segment import Segment
from shm.xorshift import seed_of
from stress.engine import (
    BOOK,
    EVENT,
    LATENCY,
    NOTE,
    PER_CGROUP,
    PLAY,
    RUN,
    SAMPLE,
    SAMPLE_EVERY,
    SAMPLES,
    SECTION,
    TURN,
)
from stress.play.options import DEFAULT_MEMORY
from stress.play.turns import Sections, turns_of
from stress.process.errors import UsageError

NEVER = 1 << 62  # a `spin_every` that lets no free spin
STEP_NS = 100  # kernel time of one operation in serial play, at a time scale of 1


def limits_for(
    load: Workload, nodes: int, memory: int, *, memoryless: int = 0, sheaves: SheafSettings = AS_THE_KERNEL
) -> Limits:
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
        sheaves=sheaves,
        memoryless=memoryless,
        asked=max((c.sheaf_capacity for c in load.caches), default=0),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class BlockSettings:
    """How a block is played, beside its tapes and its design.

    seed: of everything random in it.
    step_ns: kernel time that one operation takes in serial play.
    cycles_per_kernel_ns: the pace of kernel time in parallel play.
    settle_ns: kernel time after the tapes' end in which timers may let dead caches die.
    curve: have the kworker sample dead caches and what they pin (see `engine.curve`).
    notes: have all that is done noted, for which the arena must have room (see `engine.notes`).
    fail_shrink_alloc, fail_page_alloc: failures on purpose (allocators.core.injection), the latter a probability.
    nap_us: let the kworker sleep until it is called, or for so many microseconds; 0: it looks for work by itself.
    spin_every, spin_cycles, spin_kinds: which frees of a program with SPIN spin and how long, and in sections of which
    kinds (SECTION_*).
    sheaves: their sizes, no larger than the arena has room for; None: those that it was made for.
    """

    seed: int = 1
    step_ns: int = STEP_NS
    cycles_per_kernel_ns: float = 1.0
    settle_ns: int = 0
    curve: bool = False
    notes: bool = False
    fail_shrink_alloc: bool = False
    fail_page_alloc: float = 0.0
    spin_every: int = NEVER
    spin_cycles: int = 0
    nap_us: int = 0
    spin_kinds: tuple[int, ...] = ()
    sheaves: SheafSettings | None = None


PLAIN = BlockSettings()


def without_children(tape: np.ndarray, caches: tuple[CacheSpec, ...]) -> np.ndarray:
    """A tape for a design whose cgroups have no caches: a child's root allocates on behalf of the child's cgroup."""
    code, cache, cgroup, slot = decode(tape)
    children = [i for i, spec in enumerate(caches) if spec.parent >= 0]
    theirs = (code == OP_ALLOC) & np.isin(cache, children)
    if not theirs.any():
        return tape
    specs = [caches[i] for i in cache[theirs].tolist()]
    tape = tape.copy()
    parents, cgroups = [spec.parent for spec in specs], [spec.cgroup for spec in specs]
    tape[theirs] = op(OP_ALLOC, parents, cgroups, slot[theirs], flag=tape[theirs] & FLAG != 0)
    return tape


class Arena:
    """See the module's text.

    load: what will be played. features: of all designs that will be, together; they say what there must be room
    for. nodes: simulated NUMA nodes; memoryless: see `options.World`. sheaves: the largest that there is room for.
    memory: bytes of page frames. outcomes: keep one word per operation of the
    exact global order (serial replay). sections: of each CPU's tape, to keep how long each of them took, and each
    turn (see `section_cycles`, `turns`). notes: room for so many in each book (see `notes_of`), of blocks that want
    them. Raises UsageError when the sizes cannot be had.
    """

    def __init__(
        self,
        load: Workload,
        allocator: str = DEFAULT,
        *,
        features: frozenset[str] = frozenset(),
        nodes: int = 1,
        memoryless: int = 0,
        sheaves: SheafSettings = AS_THE_KERNEL,
        memory: int = DEFAULT_MEMORY,
        serial: bool = False,
        outcomes: bool = False,
        sections: Sequence[Sections] = (),
        notes: int = 0,
    ) -> None:
        self.load = load
        self.allocator = allocator
        self.serial = serial
        sizes = [KINDS[allocator].size(spec, load.cpus) for spec in load.caches]
        self._roots = [
            Root(
                sizes[index],
                spec.object_size,
                index,
                destroy_by_rcu=spec.destroy_by_rcu,
                cpu_partial=spec.cpu_partial,
                sheaf_capacity=spec.sheaf_capacity,
            )
            for index, spec in enumerate(load.caches)
            if spec.parent < 0
        ]
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
        if notes:
            extra["books"] = BOOK.SIZE * (2 * load.cpus + 1)
            extra["notes"] = NOTE.SIZE * notes * (2 * load.cpus + 1)
        self.turns_in_tape = turns_of(load)
        for cpu, tape in enumerate(load.tapes):
            extra[f"tape{cpu}"] = len(tape)
        for cpu, of in enumerate(sections):
            extra[f"log{cpu}"] = max(1, len(of.kind))
            extra[f"times{cpu}"] = TURN.SIZE * self.turns_in_tape
        if load.order is not None:
            extra["order"] = max(1, len(load.order))
            if outcomes:
                extra["outcomes"] = max(1, len(load.order))
        try:
            limits = limits_for(load, nodes, memory, memoryless=memoryless, sheaves=sheaves)
            self.layout = self._planned = lay_out(allocator, limits, sizes, features, extra)
            self.segment = Segment(self.layout.words, huge=True)
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
            features | ALLOCATORS[self.allocator].feature,
            self.allocator,
            self.segment.address,
        )

    @property
    def kworker_cpu(self) -> int:
        return self.layout.nr_cpus - 1

    def reset(self, features: frozenset[str], settings: BlockSettings = PLAIN) -> None:
        """Boot the world, create the root caches, lay tapes and schedule out."""
        words, regions, load = self.words, self.plan, self.load
        self.layout = self._planned if settings.sheaves is None else self._planned.with_sheaves(settings.sheaves)
        build_world(self.allocator, words, self.layout, features, self._roots, serial=self.serial, seed=settings.seed)
        words[WORLD_AT + WORLD.clock_rate] = max(1, round(settings.cycles_per_kernel_ns * 1_000_000))
        words[WORLD_AT + WORLD.fail_shrink_alloc] = settings.fail_shrink_alloc
        words[WORLD_AT + WORLD.fail_page_alloc] = round(settings.fail_page_alloc * CERTAIN)
        first_spin = (settings.spin_every + 1) // 2  # so that the spins of a tape are spin_every apart on average
        for cpu, tape in enumerate(load.tapes):
            if "F_OBJCG" in features:
                tape = without_children(tape, load.caches)
            base = regions[f"tape{cpu}"]
            play = regions["plays"] + cpu * PLAY.SIZE
            words[base : base + len(tape)] = tape
            words[play + PLAY.tape] = base
            words[play + PLAY.log] = regions.regions.get(f"log{cpu}", (0, 0))[0]
            words[play + PLAY.times] = regions.regions.get(f"times{cpu}", (0, 0))[0]
            words[play + PLAY.spin_due] = first_spin
        self._lay_schedule()
        if settings.notes:
            self._lay_books()
        if load.order is not None:
            words[regions["order"] : regions["order"] + len(load.order)] = load.order
        for field, value in {
            "expected": load.cpus + 1,
            "events": len(load.events),
            "plays": regions["plays"],
            "schedule": regions["schedule"],
            "slots": regions["slot_table"],
            "marks": regions["marks"],
            "cache_indices": len(load.caches),
            "outcomes": regions.regions.get("outcomes", (0, 0))[0],
            "step_ns": settings.step_ns,
            "settle_ns": settings.settle_ns,
            "seed": seed_of(settings.seed),
            "latencies": regions["latencies"],
            "makers": regions["makers"],
            "samples": regions["samples"] if settings.curve else 0,
            "books": regions.regions.get("books", (0, 0))[0] if settings.notes else 0,
            "sample_every": max(SAMPLE_EVERY, PER_CGROUP * load.cgroups),
            "spin_every": settings.spin_every,
            "spin_cycles": settings.spin_cycles,
            "spin_kinds": sum(1 << kind for kind in settings.spin_kinds),
            "cuts": self.turns_in_tape - 1,
            "nap": settings.nap_us,
        }.items():
            words[self.run + getattr(RUN, field)] = value

    def _lay_books(self) -> None:
        """Empty books, an equal part of the room each."""
        base, size = self.plan.regions["notes"]
        books = 2 * self.load.cpus + 1
        for number in range(books):
            book = self.plan["books"] + number * BOOK.SIZE
            self.words[book + BOOK.next] = base + number * size // books
            self.words[book + BOOK.end] = base + (number + 1) * size // books

    def _lay_schedule(self) -> None:
        load = self.load
        events = view(self.words, EVENT, self.plan["schedule"], len(load.events))
        for field in ("kind", "arg", "round", "cpu"):
            events[field] = [getattr(e, field) for e in load.events]
        made = [load.caches[e.arg] if e.kind == EV_CREATE_CACHE else None for e in load.events]
        events["parent"] = [0 if spec is None else max(spec.parent, 0) for spec in made]
        events["cgroup"] = [0 if spec is None else spec.cgroup for spec in made]

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

    def section_cycles(self) -> list[np.ndarray]:
        """Cycles of each timed section of each CPU's tape, in the tape's order; a copy."""
        plays = self.plays()
        return [self.words[log : log + n].copy() for log, n in zip(plays["log"].tolist(), plays["logged"].tolist())]

    def turns(self) -> np.ndarray:
        """TURN structs as [cpu, turn]; a copy."""
        raw = [self.words[at:][: TURN.SIZE * self.turns_in_tape] for at in self.plays()["times"].tolist()]
        n = self.turns_in_tape
        return view(np.concatenate(raw), TURN, 0, len(raw) * n).reshape(len(raw), n)

    def latencies(self) -> np.ndarray:
        """LATENCY structs, one per worker CPU."""
        return view(self.words, LATENCY, self.plan["latencies"], self.load.cpus)

    def samples(self) -> np.ndarray:
        """The SAMPLE structs that the kworker has taken."""
        return view(self.words, SAMPLE, self.plan["samples"], int(self.words[self.run + RUN.sampled]))

    def notes_of(self, cpu: int, *, sections: bool = False) -> tuple[np.ndarray, bool]:
        """The NOTEs of a CPU's operations or sections, or of the kworker, and whether there was no room for more."""
        number = cpu + (self.load.cpus + 1) * sections
        base, size = self.plan.regions["notes"]
        each = size // (2 * self.load.cpus + 1)
        first = base + number * each
        after = int(self.words[self.plan["books"] + number * BOOK.SIZE + BOOK.next])
        return view(self.words, NOTE, first, (after - first) // NOTE.SIZE), after == first + each

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
