"""The dead-cache question today: what pins a dying memcg and its obj_cgroups, for how long, and what it costs.

The storm of `simulate` in virtual time; every tenth free is a kfree_rcu. The world is looked at every LOOK operations,
so a lifetime is known to that. From 5.9 on there are no dead caches: a memcg that goes offline is pinned by charges in
flight and by the CPUs' page stocks, its obj_cgroups by objects, stocks and rcu_free sheaves; they pin a descriptor each
and no memcg, but keep the bytes charged (to the parent).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from allocators.core.world import (
    OBJCG,
    PAGE_SHIFT,
    PAGE_STOCK,
    PAGE_STOCK_AT,
    PAGE_STOCK_SLOTS,
    PAGE_WORDS,
    STOCK,
    STOCK_AT,
    STOCK_SLOTS,
)
from allocators.invariants.sheaves import RCU_PLACE, sheaves_of
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import MEMCG
from scenarios import tape, writer
from scenarios.tape import Workload
from shm.layout import view
from stress.claims.reports.bench import ALLOCATOR, mechanism
from stress.claims.reports.report import DEFAULT_MACHINE
from stress.engine import virtual_main
from stress.play.arena import Arena
from stress.play.compiled import ready
from stress.play.virtual import features_of, nodes_for
from stress.play.workload import build_workload
from stress.profiles.load import load
from stress.result.data import Violation
from stress.show.markdown import escape, grid
from stress.simulate.point import Job, play_point
from stress.simulate.sizes import sized

if TYPE_CHECKING:
    from stress.claims.reports.bench import Bench

DESIGNS = (
    "linux-5.9",
    "linux-6.18",
    "linux-7.0-rc1",
    "linux-7.0",
    "linux-7.1",
    "linux-7.2",
    "linux-7.3",
)
CPUS = (64, 256)
OPERATIONS = 1_000_000
QUICK = 60_000  # for tests of the plumbing
MEMORY = 2 << 30
KFREE_RCU = 0.1  # of the frees
LOOK = 2_000  # operations between two looks
WORD = 8
PLACES = ("main, spare", "barn", "rcu_free")


class Lifetimes(msgspec.Struct, frozen=True, kw_only=True):
    """Virtual ms from the offline until it was gone, known to one look; of those that went. left: at the tapes' end."""

    gone: int
    left: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A design on a number of CPUs.

    memcgs, objcgs: that went offline. pinned_by_stock: obj_cgroups left that nothing but CPUs' stocks refers to;
    by_rcu: nothing but objects of rcu_free sheaves and stocks; by_objects: objects that somebody uses, too.
    page_stock_slots: most slots of page stocks that were seen for dying memcgs at a time. ns: of a CPU an operation
    takes, by kind of section. drains: of object stocks, a thousand operations. charges: atomics on memcgs, a thousand
    operations. sheaf_bytes: free memory in sheaves by place, at the end. per_cpu_cache: bytes of it that a CPU and
    cache have in main and spare.
    """

    design: str
    cpus: int
    memcgs: Lifetimes
    objcgs: Lifetimes
    look_ms: float
    page_stock_slots: int
    pinned_by_stock: int
    pinned_by_rcu: int
    pinned_by_objects: int
    ns: dict[str, float]
    drains: float
    charges: float
    sheaf_bytes: dict[str, int]
    per_cpu_cache: float
    mechanism: str
    violated: list[Violation]


class Lives:
    """What is dying, look by look. A number that is seen dying again after it was gone is another one."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self.lived: list[float] = []

    def look(self, now: float, dying: Iterable[int]) -> None:
        there = {int(one) for one in dying}
        for one in [one for one in self._since if one not in there]:
            self.lived.append(now - self._since.pop(one))
        for one in there:
            self._since.setdefault(one, now)

    def summary(self) -> Lifetimes:
        lived = sorted(self.lived)

        def upto(share: float) -> float | None:
            return round(lived[min(len(lived) - 1, int(share * len(lived)))], 3) if lived else None

        return Lifetimes(
            gone=len(lived), left=len(self._since), p50_ms=upto(0.5), p99_ms=upto(0.99), max_ms=upto(1.0)
        )  # fmt: skip


class Watch:
    """Looks at an arena while it is played, and once at its end."""

    steps = LOOK

    def __init__(self, features: frozenset[str]) -> None:
        self.features = features
        self.memcgs, self.objcgs = Lives(), Lives()
        self.page_stock_slots = self.looks = 0
        self.span_ms = 0.0
        self.pinned = {"stock": 0, "rcu": 0, "objects": 0}
        self.sheaf_bytes = dict.fromkeys(PLACES, 0)
        self.caches = 0

    def look(self, arena: Arena, ms: float) -> None:
        """Between two operations."""
        self.looks, self.span_ms = self.looks + 1, ms
        dying = self._dying(arena)
        self.memcgs.look(ms, dying)
        self.objcgs.look(ms, np.flatnonzero(self._orphans(arena)))
        if "F_PAGESTOCK" in self.features:
            slots = self._slots(arena, PAGE_STOCK_AT, PAGE_STOCK.SIZE, PAGE_STOCK_SLOTS)
            base = arena.plan["memcgs"]
            self.page_stock_slots = max(
                self.page_stock_slots, int(np.isin(slots, base + np.array(dying) * MEMCG.SIZE).sum())
            )

    def end(self, arena: Arena) -> None:
        """All tapes have ended; pages of per-CPU lists have been given back."""
        m = arena.machine(self.features - {"VTIME"}, 0)
        w = Snapshot(m, arena.layout)
        orphans = np.flatnonzero(self._orphans(arena))
        self.objcgs.look(self.span_ms, orphans)
        self.memcgs.look(self.span_ms, self._dying(arena))
        addresses = arena.plan["objcgs"] + orphans * OBJCG.SIZE
        stocks = self._slots(arena, STOCK_AT, STOCK.SIZE, STOCK_SLOTS if "F_STOCK5" in self.features else 1)
        by_stock = {int(a): int((stocks == a).sum()) for a in addresses}
        by_rcu = dict.fromkeys(by_stock, 0)
        used = {int(cache) for cache in w.cache if cache >= 0}
        self.caches = len(used)
        for sheaf in sheaves_of(w):
            place = {"sheaf": PLACES[0], "barn": PLACES[1], RCU_PLACE: PLACES[2]}[sheaf.place]
            size = int(w.caches["size"][sheaf.cache]) * WORD
            self.sheaf_bytes[place] += len(sheaf.objects) * size
            if sheaf.place == RCU_PLACE:
                for owner in self._owners(w, sheaf.objects, int(w.caches["size"][sheaf.cache])):
                    if owner in by_rcu:
                        by_rcu[owner] += 1
        objcgs = view(arena.words, OBJCG, arena.plan["objcgs"], arena.layout.objcgs)
        for number, address in zip(orphans.tolist(), addresses.tolist()):
            rest = int(objcgs["refcnt"][number]) - by_stock[address]
            if rest == 0:
                self.pinned["stock"] += 1
            elif rest == by_rcu[address]:
                self.pinned["rcu"] += 1
            else:
                self.pinned["objects"] += 1

    def _dying(self, arena: Arena) -> list[int]:
        memcgs = view(arena.words, MEMCG, arena.plan["memcgs"], arena.layout.limits.memcgs)
        return np.flatnonzero((memcgs["used"] == 1) & (memcgs["online"] == 0)).tolist()

    def _orphans(self, arena: Arena) -> np.ndarray:
        objcgs = view(arena.words, OBJCG, arena.plan["objcgs"], arena.layout.objcgs)
        return (objcgs["used"] != 0) & (objcgs["offline"] != 0)

    def _slots(self, arena: Arena, at: int, size: int, number: int) -> np.ndarray:
        """The first word of each CPU's slots."""
        bases = [arena.layout.area(cpu) + at for cpu in range(arena.layout.nr_cpus)]
        return np.array([arena.words[base + slot * size] for base in bases for slot in range(number)])

    def _owners(self, w: Snapshot, objects: np.ndarray, stride: int) -> list[int]:
        """The obj_cgroups of objects of one cache; 0 for one without."""
        starts = w.frames_of(w.pages["head"][objects >> PAGE_SHIFT]) * PAGE_WORDS
        first = w.layout.plan["owners"] + starts - w.layout.first_frame * PAGE_WORDS
        return w.words[first + (objects - starts) // stride].tolist()


def with_kfree_rcu(load: Workload, share: float, seed: int) -> Workload:
    """The same tapes; so many of the frees are kfree_rcu."""
    tapes = []
    for cpu, words in enumerate(load.tapes):
        changed = words.copy()
        frees = np.flatnonzero(words & tape.OP_MASK == tape.OP_FREE)
        changed[frees[writer.some(share, len(frees), seed, cpu)]] += tape.OP_KFREE_RCU - tape.OP_FREE
        tapes.append(changed)
    return dataclasses.replace(load, tapes=tuple(tapes))


def play(bench: Bench, add: Callable[[Cell], object]) -> None:
    """Every design on every number of CPUs; each cell is handed on."""
    ready([(virtual_main, ALLOCATOR, features_of(design, ALLOCATOR)) for design in DESIGNS], bench.progress.phase)
    seed, every = bench.seeds[0], CPUS[:1] if bench.quick else CPUS
    for at, cpus in enumerate(every):
        settings = sized("offline-storm", cpus, {}, QUICK if bench.quick else OPERATIONS)
        plain, _ = build_workload("offline-storm", settings, cpus, seed)
        for number, design in enumerate(DESIGNS):
            done = (at * len(DESIGNS) + number) / (len(DESIGNS) * len(every))
            bench.progress.advance(done, f"storm: {design} on {cpus} CPUs")
            # 5.9 has no sheaves for kfree_rcu; its own batches are the engine's.
            add(cell(design, cpus, with_kfree_rcu(plain, KFREE_RCU, seed), seed))


def cell(design: str, cpus: int, load_: Workload, seed: int, profile: str = DEFAULT_MACHINE) -> Cell:
    """Play one."""
    machine = load(profile)
    watch = Watch(features_of(design, ALLOCATOR))
    job = Job(design, ALLOCATOR, cpus, nodes_for(machine, cpus), machine, MEMORY, seed, 0.0, load_)
    point = play_point(job, lambda share: None, watch)
    thousand = point.operations / 1000
    return Cell(
        design=design, cpus=cpus, memcgs=watch.memcgs.summary(), objcgs=watch.objcgs.summary(),
        look_ms=round(watch.span_ms / max(1, watch.looks), 4), page_stock_slots=watch.page_stock_slots,
        pinned_by_stock=watch.pinned["stock"], pinned_by_rcu=watch.pinned["rcu"],
        pinned_by_objects=watch.pinned["objects"], ns=point.ns,
        drains=round(point.counts["drain_obj_stock"] / thousand, 2),
        charges=round(point.counts["objcg_charge"] / thousand, 2), sheaf_bytes=watch.sheaf_bytes,
        per_cpu_cache=round(watch.sheaf_bytes[PLACES[0]] / cpus / max(1, watch.caches), 1), mechanism=mechanism(point),
        violated=point.violations,
    )  # fmt: skip


def judged(cells: Sequence[Cell], design: str) -> str:
    """One sentence on a design, from its own figures."""
    mine = [one for one in cells if one.design == design]
    last = mine[-1]
    memcg, objcg = last.memcgs, last.objcgs
    said = "no memcg was seen dying"
    if memcg.gone or memcg.left:
        lived = f", none of the others longer than {memcg.max_ms:.0f} ms" if memcg.max_ms is not None else ""
        said = f"of {memcg.gone + memcg.left} memcgs that were seen dying {memcg.left} are left at the end{lived}"
    pins = (
        (last.pinned_by_rcu, "rcu_free sheaves that are not full, which wait until their CPU frees more by kfree_rcu "
         "or somebody shrinks the cache"),
        (last.pinned_by_stock, "stocks alone, one a CPU, until another cgroup charges there"),
        (last.pinned_by_objects, "objects in use"),
    )  # fmt: skip
    by = "; ".join(f"{number} of them by {what}" for number, what in sorted(pins, key=lambda pin: -pin[0]) if number)
    held = sum(last.sheaf_bytes.values())
    kept = f" Its sheaves keep {held / 1024 / last.cpus:.0f} KiB of free memory a CPU." if held else ""
    return f"on {last.cpus} CPUs {said}; {objcg.left} obj_cgroups are left{f', {by}' if by else ''}.{kept}"


def _ms(lives: Lifetimes) -> str:
    if lives.p50_ms is None or lives.p99_ms is None or lives.max_ms is None:
        return "–"
    return f"{lives.p50_ms:.2f} / {lives.p99_ms:.2f} / {lives.max_ms:.2f}"


def storm_lines(cells: Sequence[Cell]) -> list[str]:
    """The section as Markdown; nothing without cells."""
    if not cells:
        return []
    lines = ["", "## The storm: what still pins a dying memcg", "", PREFACE, ""]
    lines += grid(
        ("design, CPUs", "memcgs gone, left", "lived, ms", "page-stock slots", "obj_cgroups gone, left", "lived, ms",
         "left by: objects / rcu_free / stock"),
        [
            (f"{c.design}, {c.cpus}", f"{c.memcgs.gone}, {c.memcgs.left}", _ms(c.memcgs), f"{c.page_stock_slots}",
             f"{c.objcgs.gone}, {c.objcgs.left}", _ms(c.objcgs),
             f"{c.pinned_by_objects} / {c.pinned_by_rcu} / {c.pinned_by_stock}")
            for c in cells
        ],
    )  # fmt: skip
    lines += [
        "",
        "What it costs (ns of a CPU; drains and atomics a thousand operations), and free memory in sheaves:",
        "",
    ]
    lines += grid(
        ("design, CPUs", "alloc", "live free", "dead free", "drains", "atomics", *(f"{p}, KiB" for p in PLACES),
         "B a CPU and cache", "most time"),
        [
            (f"{c.design}, {c.cpus}", *(f"{c.ns[k]:.1f}" if k in c.ns else "–" for k in ("alloc", "live", "dead")),
             f"{c.drains:.1f}", f"{c.charges:.1f}", *(f"{c.sheaf_bytes[p] / 1024:,.0f}" for p in PLACES),
             f"{c.per_cpu_cache:,.0f}", escape(c.mechanism))
            for c in cells
        ],
    )  # fmt: skip
    lines.append("")
    lines += [f"- **{design}**: {judged(cells, design)}" for design in dict.fromkeys(c.design for c in cells)]
    return lines


PREFACE = (
    "`offline-storm`, a million operations on `epyc-2022` (one node at 64 CPUs, two at 256), every tenth free a "
    "`kfree_rcu`, seed 1; 3.16 to 4.0 are in [scale.md](scale.md). From 5.9 on no cache dies. A memcg dies while its "
    "offline goes on, grace periods and all. A kernel's page stocks (6.16 on) pin it after that, as an offline does "
    "not wait for their drain; here it waits, so no slot of one is seen. obj_cgroups live until the last object, "
    "stock and rcu_free sheaf let go; they keep their bytes charged to the parent, and pin no memcg. Lifetimes are "
    "p50 / p99 / longest of those that went before the tapes ended, known to one look (2,000 operations)."
)
