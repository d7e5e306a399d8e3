"""An arena played in virtual time: its tables beside it, and what they hold afterwards (see `shm.virtual`)."""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Callable

import numpy as np

from allocators.catalogue import ALLOCATORS
from allocators.core.world import PAGE_SHIFT
from shm.layout import Plan, view
from shm.machine import MACHINE
from shm.segment import Segment
from shm.stacks import PROCESSOR, Stacks, assembled
from shm.virtual.heap import heap_words
from shm.virtual.turns import FLOW, NEVER
from shm.virtual.words import (
    CALENDAR,
    DEEPEST,
    LINE,
    PCP,
    PCP_ORDERS,
    PRICE,
    PRICES,
    SPENT,
    STREAMS,
    TAGS,
    TURNS,
    VCPU,
    VTIME,
    WAYS,
    WHERES,
)
from shm.waiting import PATIENCE
from stress.engine import FINISHED, LOOP, PLAYING, virtual_main
from stress.play.arena import Arena
from stress.play.compiled import STATS
from stress.process.errors import UsageError
from stress.profiles.profile import Profile

VTIME_FEATURE = frozenset({"VTIME"})
_BEGIN, _PLAY, _END, _BEGIN_FLOWS, _PLAY_FLOWS = range(5)  # parts of `virtual_main`
STEPS = 100_000  # between two looks at the world (and at Ctrl-C)
LOCKS_EACH = 2  # locks of a cache on a node at most: list_lock, and SLAB's alien ones share what is left
SPARE_LOCKS = 1 << 12
PAUSE = 45_000  # ps: 140 cycles of a core since Skylake (Intel's optimization manual), at 3.1 GHz


def slack_of(step: str, profile: Profile) -> int | None:
    """What `VirtualTime` is told of a step: "operation", "access" or "exact".

    access: a CPU may be ahead of another by a quarter of what it takes a line to come from a core of the same complex,
    so by less than it takes to know of each other; exact: not at all.
    """
    return {"access": profile.ps.complex // 4, "operation": None, "exact": 0}[step]


def nodes_for(profile: Profile, cpus: int) -> int:
    """Nodes that so many CPUs take, one filled after the other."""
    cores = profile.topology.complexes_per_node * profile.topology.cores_per_complex
    return max(1, min(profile.topology.nodes, -(-cpus // cores)))


def prices_of(profile: Profile) -> dict[str, int]:
    """PRICE's fields, ps.

    What no profile says: a copy for a reader keeps a line busy for a quarter of the way in a complex; to send one
    interrupt takes a tenth of its way.
    """
    known = dataclasses.asdict(profile.ps)
    derived = {
        "grace_period": profile.kernel.grace_period,
        "shared_gap": profile.ps.complex // 4,
        "ipi_send": profile.ps.ipi // 10,
        "overlap": round(100 * profile.cache.overlap),
    }
    return {name: derived[name] if name in derived else known[name] for name in PRICES}


NO_PAGE_LISTS = {"pcp_order": -1, "pcp_batch": 0, "pcp_high": 0}  # every page comes from its zone, under its lock


def kernel_pages(features: frozenset[str]) -> dict[str, int]:
    """Per-CPU page lists of a design's kernel, in pages.

    Single pages, 31 at a time and 186 at most (v3.16 zone_batchsize, pageset_set_batch); since 5.13 blocks up to
    order 3, 63 pages at a time; how many at most depends on the machine's memory there, four batches are assumed.
    """
    if "F_SHEAF" in features:
        return {"pcp_order": 3, "pcp_batch": 63, "pcp_high": 252}
    return {"pcp_order": 0, "pcp_batch": 31, "pcp_high": 186}


class VirtualTime:
    """The tables of one play of an arena, which must have been reset just before.

    features: of the design. page_lists: there are per-CPU lists of pages, as kernels have them. slack: None plays an
    operation at a time, else an access at a time, and CPUs may be so many ps before each other. crowded: the kworker
    has no CPU of its own, and runs where a worker waits for it. Raises UsageError when the tables cannot be had.
    """

    def __init__(
        self,
        arena: Arena,
        features: frozenset[str],
        profile: Profile,
        page_lists: bool = True,
        slack: int | None = None,
        crowded: bool = False,
    ) -> None:
        if slack is not None and PROCESSOR is None:
            raise UsageError("compiled code cannot be left in its middle on this processor: play with --step operation")
        if slack is None and profile.kernel.locks == "unfair":
            raise UsageError("unfair locks (kernel.locks of the profile) are played an access at a time: --step access")
        self.arena = arena
        self.slack, self.crowded = slack, crowded
        self.stacks: Stacks | None = None
        self.profile = profile
        layout = arena.layout
        cpus = layout.nr_cpus
        self.complex_of = _complexes(layout.limits.workers, layout.limits.nodes, profile)
        self.l1_pages = _pages(profile.cache.l1_lines)
        self.private_pages = _pages(profile.cache.private_lines)
        self.llc_pages = _pages(profile.cache.llc_lines)
        self.tlb_sets = profile.cache.tlb_entries // WAYS
        self.locks = LOCKS_EACH * layout.limits.caches * layout.limits.nodes + SPARE_LOCKS
        mask = (1 << (2 * self.locks - 1).bit_length()) - 1
        plan = self.plan = Plan()
        plan.reserve("vtime", VTIME.SIZE)
        plan.reserve("vcpus", VCPU.SIZE * cpus)
        assert plan["vcpus"] == VTIME.SIZE
        plan.reserve("loop", LOOP.SIZE)
        plan.reserve("heap", heap_words(cpus))
        plan.reserve("flows", FLOW.SIZE * cpus)
        plan.reserve("began", cpus * cpus)
        plan.reserve("waits", cpus)
        plan.reserve("waiters", max(1, arena.load.slots))
        plan.reserve("since", max(1, arena.load.slots))
        plan.reserve("pcp", PCP.SIZE * PCP_ORDERS * layout.limits.nodes * cpus)
        plan.reserve("lock_table", 2 * (mask + 1))
        plan.reserve("calendars", CALENDAR.SIZE * self.locks)
        plan.reserve("l1", self.l1_pages * TAGS * cpus)
        plan.reserve("tags", self.private_pages * TAGS * cpus)
        plan.reserve("llc", self.llc_pages * TAGS * (max(self.complex_of) + 1))
        plan.reserve("tlb", self.tlb_sets * WAYS * cpus)
        plan.reserve("states", layout.words // 8 + 1)
        plan.reserve("lines", LINE.SIZE * (layout.words // 8 + 1))
        try:
            self.segment = Segment(plan.end)
        except (ValueError, MemoryError) as error:
            raise UsageError(f"the tables of virtual time cannot be made: {error}; change --memory or --cpus") from None
        self.words = self.segment.array
        self.offset = (self.segment.address - arena.segment.address) // 8
        self._pages = kernel_pages(features) if page_lists else NO_PAGE_LISTS
        self._fill(self._pages)
        self.machine = arena.machine(features | STATS | VTIME_FEATURE, arena.kworker_cpu)
        self._begin()

    def _begin(self) -> None:
        if self.slack is None:
            self._main(_BEGIN, 0)
            return
        if self.stacks is None:
            try:
                self.stacks = Stacks(self.arena.layout.nr_cpus)
            except MemoryError as error:
                raise UsageError(f"{error}: play with --step operation") from None
        flows = view(self.words, FLOW, self.plan["flows"], self.arena.layout.nr_cpus)
        entry = self._main(_BEGIN_FLOWS, 0)
        layout, loop = self.arena.layout, self.offset + self.plan["loop"]
        for cpu in range(layout.nr_cpus):
            area = layout.percpu_base + cpu * layout.percpu_stride
            words = (self.arena.segment.address, cpu, area, self.arena.run, loop)
            flows["stack"][cpu] = self.stacks.prepare(cpu, entry, words)

    def _main(self, part: int, steps: int) -> int:
        return virtual_main(self.machine, part, self.arena.run, self.offset + self.plan["loop"], steps)

    def _fill(self, pages: dict[str, int]) -> None:
        arena, layout, plan, profile = self.arena, self.arena.layout, self.plan, self.profile
        words, at = self.words, self.offset
        for name, ps in prices_of(profile).items():
            words[VTIME.price + getattr(PRICE, name)] = ps
        tapes = [arena.plan.regions[f"tape{cpu}"] for cpu in range(arena.load.cpus)]
        frames = layout.last_frame - layout.first_frame
        nodes, node_words = arena.plan.regions["nodes"]
        for field, value in {
            "ticket": int(profile.kernel.locks == "ticket"),
            "unfair": PAUSE if profile.kernel.locks == "unfair" else 0,
            "depth": min(DEEPEST, profile.cache.store_buffer),
            "l1_pages": self.l1_pages,
            "private_pages": self.private_pages,
            "llc_pages": self.llc_pages,
            "states": at + plan["states"],
            "lines": at + plan["lines"],
            "lock_table": at + plan["lock_table"],
            "lock_mask": plan.regions["lock_table"][1] // 2 - 1,
            "calendars": at + plan["calendars"],
            "calendars_end": at + plan["calendars"] + CALENDAR.SIZE * self.locks,
            "quiet": min(base for base, _ in tapes),
            "quiet_end": max(base + size for base, size in tapes),
            "frames": layout.first_frame << PAGE_SHIFT,
            "links": layout.first_frame << PAGE_SHIFT if ALLOCATORS[arena.allocator].chained else layout.words,
            "node_words": frames // (layout.limits.nodes - layout.limits.memoryless) << PAGE_SHIFT,
            "nodes": nodes,
            "nodes_end": nodes + node_words,
            "nr_nodes": layout.limits.nodes,
            **pages,
            "percpu": layout.percpu_base,
            "percpu_end": layout.percpu_base + layout.percpu_stride * layout.nr_cpus,
            "percpu_stride": layout.percpu_stride,
            "tlb_sets": self.tlb_sets,
            "asks": min(profile.cache.store_misses, profile.cache.store_buffer, DEEPEST),
            "streams": min(STREAMS, profile.cache.streams),
            "crowded": PATIENCE * PAUSE if self.crowded else 0,
            "by_access": int(self.slack is not None),
            "until": NEVER,
            "slack": self.slack or 0,
        }.items():
            words[getattr(VTIME, field)] = value
        for name in ("heap", "flows", "began"):
            words[VTIME.turns + getattr(TURNS, name)] = at + plan[name]
        words[VTIME.turns + TURNS.code] = 0 if self.slack is None else assembled().switch
        cpus = self.vcpus()
        workers = layout.limits.workers
        number = np.arange(layout.nr_cpus)
        cpus["node"] = np.where(number < workers, number * layout.limits.nodes // workers, layout.limits.nodes - 1)
        cpus["complex"] = self.complex_of
        cpus["pcp"] = at + plan["pcp"] + number * PCP.SIZE * PCP_ORDERS * layout.limits.nodes
        cpus["l1"] = at + plan["l1"] + number * self.l1_pages * TAGS
        cpus["tags"] = at + plan["tags"] + number * self.private_pages * TAGS
        cpus["tlb"] = at + plan["tlb"] + number * self.tlb_sets * WAYS
        cpus["llc"] = at + plan["llc"] + np.array(self.complex_of) * self.llc_pages * TAGS
        for name in ("heap", "waits", "waiters", "since"):
            words[plan["loop"] + getattr(LOOP, name)] = at + plan[name]
        arena.words[MACHINE.vtime] = at

    def play(self, tick: Callable[[], None], steps: int = STEPS) -> bool:
        """Play to the end; False when a tape got stuck. tick: called every `steps` operations.

        Raises UsageError when there were more locks than the tables have room for.
        """
        part = _PLAY if self.slack is None else _PLAY_FLOWS
        while (state := self._main(part, steps)) == PLAYING:
            tick()
            if self.words[VTIME.full]:
                raise UsageError(f"more than {self.locks} locks are in use; play fewer caches, cgroups or nodes")
        return state == FINISHED

    def next_cpu(self) -> int:
        """An operation at a time: the CPU that moves next, the kworker's is the last one; -1: all wait."""
        heap = self.plan["heap"]
        return int(self.words[heap + 2]) if self.words[heap] else -1

    def step(self) -> bool:
        """Let it move, once; False when everything has ended, or nothing can move."""
        assert self.slack is None
        return self._main(_PLAY, 1) == PLAYING

    def rewind(self) -> None:
        """The arena was reset to be played once more: all clocks are 0 again, and last level caches stay warm.

        What is a core's own it has no more: natively another CPU has booted the world meanwhile.
        """
        parts = [self.plan.regions[name] for name in ("llc", "states")]
        kept = [(base, self.words[base : base + size].copy()) for base, size in parts]
        each = mmap.PAGESIZE // 8
        self.words.reshape(-1, each)[self.segment.touched()] = 0  # all of them would give memory to every page
        self._fill(self._pages)
        for base, was in kept:
            self.words[base : base + len(was)] = was
        self._begin()

    def end(self) -> None:
        """Give the pages of per-CPU lists back, so that the world can be looked at. What time it takes is lost: read
        the tables before."""
        self.words[VTIME.by_access], self.words[VTIME.until] = 0, NEVER
        self._main(_END, 0)

    def vcpus(self) -> np.ndarray:
        """The VCPU structs: of the workers, then the kworker's."""
        return view(self.words, VCPU, self.plan["vcpus"], self.arena.layout.nr_cpus)

    def horizon(self) -> int:
        """The least of all clocks, ps."""
        return int(self.words[VTIME.horizon])

    def spent(self) -> np.ndarray:
        """Picoseconds that each CPU spent, as [cpu, where, what]; the kworker is the last one."""
        return self.vcpus()["spent"].reshape(-1, len(WHERES), SPENT)

    def calendars(self) -> np.ndarray:
        """The CALENDAR structs of all locks that were ever taken."""
        used = (int(self.words[VTIME.calendars]) - self.offset - self.plan["calendars"]) // CALENDAR.SIZE
        return view(self.words, CALENDAR, self.plan["calendars"], used)

    def states(self) -> np.ndarray:
        """Who has a line, by its number (eight words of the arena)."""
        base, size = self.plan.regions["states"]
        return self.words[base : base + size]

    def lines(self) -> np.ndarray:
        """The LINE structs, by the number of a line."""
        return view(self.words, LINE, self.plan["lines"], self.arena.layout.words // 8 + 1)

    def touched_lines(self) -> np.ndarray:
        """Numbers of the lines whose structs have memory: another one was never on its way to anybody.

        A look at all structs would give memory to every one of them, some hundred MiB.
        """
        each = mmap.PAGESIZE // 8
        first = (self.segment.touched() * each - self.plan["lines"]) // LINE.SIZE
        numbers = (first[:, None] + np.arange(each // LINE.SIZE)).ravel()
        return numbers[(numbers >= 0) & (numbers <= self.arena.layout.words // 8)]

    def close(self) -> None:
        self.arena.words[MACHINE.vtime] = 0
        if self.stacks is not None:
            self.stacks.close()
        self.segment.close()


def _pages(lines: int) -> int:
    """Of how many pages' lines a cache has each a set."""
    return max(1, round(lines / TAGS))


def _complexes(workers: int, nodes: int, profile: Profile) -> list[int]:
    """The complex of each CPU, the kworker's last: nodes are cut into complexes of the machine's size."""
    size = profile.topology.cores_per_complex
    found: list[int] = []
    base = 0
    for node in range(nodes):
        cpus = [cpu for cpu in range(workers) if cpu * nodes // workers == node]
        found += [base + i // size for i in range(len(cpus))]
        base += -(-len(cpus) // size)
    return [*found, found[-1]]


def features_of(design: str, allocator: str) -> frozenset[str]:
    """What programs in virtual time are compiled for."""
    from allocators.designs import parse_design

    return parse_design(design).features(allocator) | STATS | VTIME_FEATURE | ALLOCATORS[allocator].feature
