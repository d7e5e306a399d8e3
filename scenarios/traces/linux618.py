"""Reads a Linux 6.18 kernel under a mixed load (linux-6.18-mixed.csv) as a workload.

Columns ``ts_ns,cpu,pid,ev,addr_hex,cache,bytes_req,bytes_alloc,accounted,memcg,site`` (M and C rows:
a text in the place of all from addr_hex on); row order is the global order.

=====  ==============================  =========================================================
A, a   kmem_cache_alloc, kmalloc       ALLOC, on behalf of the memcg if accounted is 1
F, f   kmem_cache_free, kfree          FREE; unplaced if the object predates the trace
x      inferred free                   FREE (its true time is somewhat earlier)
C      mkdir                           EV_CREATE_CGROUP
C      rmdir                           EV_OFFLINE_CGROUP
C      attach, release                 nothing to do; an outcome
M      PHASE..., SNAP_END name         EV_MARK (SNAP_BEGIN is skipped: a snapshot counts at its end)
S, D   slab page allocated, freed      counted in the Recording
L, l   kmalloc from the page allocator unplaced
=====  ==============================  =========================================================

The trace begins in a running system, whose caches exist from the start. Where the metadata have a snapshot of sysfs
named "start", the replay begins in that state (see `beginning`); where not, it begins empty, and frees of older objects
are left out. Slab counts in the Recording are relative to the first row and may be negative. 6.18 shares each cache
among all cgroups; on a design with child caches those come to be as the model makes them. Fast and slow paths were not
recorded. Frees that left no event: see `untold`.

A cgroup that no mkdir row shows is created before its first use. Allocations accounted to a cgroup
after its rmdir are done for the root cgroup, since no cgroup can go offline before the last
allocation on its behalf; `Recording.notes` says how many.
"""

from __future__ import annotations

import numpy as np

from scenarios import tape
from scenarios.tape import CacheSpec, Workload
from scenarios.traces.beginning import Beginning, Prologue
from scenarios.traces.builder import MAX_CACHES, MAX_CGROUPS, MAX_CPUS, MAX_OBJECT, TraceBuilder
from scenarios.traces.errors import RowError, TraceError
from scenarios.traces.recording import ABSENT, NEVER, UNRECORDED, Outcome, Recording, counter_columns
from scenarios.traces.source import Metadata, Source, shown
from scenarios.traces.untold import Tasks

HEADER = "ts_ns,cpu,pid,ev,addr_hex,cache,bytes_req,bytes_alloc,accounted,memcg,site"
LAYOUT = "linux-6.18-mixed"
_BASES = dict.fromkeys(HEADER.split(","), 0)
_TEXT_COLUMNS = {"ts_ns": 10, "cpu": 10, "pid": 10, "ev": 0, "text": 0}
_SLAB_COLUMNS = _BASES | {"ts_ns": 10, "cpu": 10, "pid": 10, "addr_hex": 16, "cache": 10}
_FREE_COLUMNS = _SLAB_COLUMNS | {"site": 10}
_ALLOC_COLUMNS = _FREE_COLUMNS | {"bytes_req": 10, "bytes_alloc": 10, "memcg": 10}
_EVENTS = dict.fromkeys("Aa", _ALLOC_COLUMNS) | dict.fromkeys("Ffx", _FREE_COLUMNS)
_EVENTS |= dict.fromkeys("SDLl", _SLAB_COLUMNS) | dict.fromkeys("MC", _TEXT_COLUMNS)
_FLAGS = (b"0", b"1")
_UNKNOWN = -1  # cache of a kfree whose allocation was not seen
_UNTOLD = 10  # inferred frees for each that left an event, from which on a cache's frees are taken for untold
_START, _SNAPSHOT = "start", "SNAP_END "
_SYSFS = ("slabs", "objects", "total_objects", "partial", "objects_partial", "cpu_slabs", "slabs_cpu_partial")

_OLD = "free of an object that predates the trace"
_UNSEEN = "second free of an object that predates the trace: its allocation between left no event"
_LARGE = "kmalloc and kfree beyond the slab sizes go to the page allocator"
_ATTACH = "task attached to a cgroup: allocation rows carry their memcg"
_GONE = "rmdir or release of a cgroup that was never seen"


def read(source: Source, seed: int = 1) -> tuple[Workload, Recording]:
    """The trace behind `source`, whose header has been read. seed: of what is drawn of the state that it begins in.

    Raises TraceError.
    """
    return _Reader(source, seed).read()


class _Reader:
    def __init__(self, source: Source, seed: int):
        self.source, self.seed = source, seed
        self.meta = Metadata(source.path)
        cpus = self.meta.cpus(MAX_CPUS)
        self.build = TraceBuilder(cpus, self._specs())
        self.memcgs = self.meta.get("memcgs", list)
        self.cgroups = ["root"]
        self.serves = {0: 0}  # memcg of the trace -> cgroup that allocations on its behalf go to
        self.named: dict[str, int] = {}  # path -> its last cgroup
        self.offline: set[int] = set()
        self.late = 0  # accounted allocations after the rmdir
        self.outcomes: list[Outcome] = []
        self.counts = dict.fromkeys(_EVENTS, 0)
        self.states = self._states()
        self.old: dict[int, dict[int, list[int]]] = {}  # cache -> first page of a slab -> slots of old objects in it
        self.old_addresses: set[int] = set()
        self.used: set[int] = set()  # caches that the trace allocates from or frees to
        self.implied: set[int] = set()  # addresses freed by no row, but with their slab; an x may follow
        self.freed_with_slab = 0
        self.freed_with_task = 0
        self.tasks = Tasks()
        self.told = [0] * len(self.build.caches)  # per cache: frees that left an event
        self.inferred = [0] * len(self.build.caches)

    def read(self) -> tuple[Workload, Recording]:
        line, counts = 1, self.counts
        row: list[bytes] = []
        alloc, free, serves, used = self.build.alloc, self.build.free, self.serves, self.used
        tasks, told, inferred = self.tasks, self.told, self.inferred
        try:
            for line, row in self.source.rows():
                event = row[3].decode()
                counts[event] += 1
                if event == "M" or event == "C":
                    _, cpu, _, _, text = row
                    int(row[0]), int(row[2])
                    self._text_row(line, event, int(cpu), text.decode())
                    continue
                time, cpu, pid, _, address, cache, size, given, accounted, memcg, site = row
                int(time), int(pid)
                if event == "A" or event == "a":
                    int(size), int(given), int(site)
                    group = int(memcg)
                    cgroup = 0
                    if accounted == b"1" and group:
                        known = serves.get(group)
                        cgroup = self._first_use(int(cpu), group) if known is None else known
                        if known == 0:
                            self.late += 1
                    elif accounted not in _FLAGS:
                        raise RowError(f"column accounted is {shown(accounted)}, it must be 0 or 1")
                    used.add(int(cache))
                    tasks.allocated(pid, self.build.slots)
                    tasks.last[pid] = (self.build.place + 1, int(cpu))
                    alloc(line, int(cpu), int(cache), cgroup, int(address, 16), UNRECORDED)
                elif event in "Ffx":
                    int(site)
                    if size != b"1":
                        (inferred if event == "x" else told)[int(cache)] += 1
                        tasks.last[pid] = (self.build.place + 1, int(cpu))
                    if event != "x" and size not in _FLAGS:
                        raise RowError(
                            f"bytes_req of a free is {shown(size)}, it must be 0, or 1 for an object from before"
                        )
                    if event != "x" and size == b"1":
                        self._old_object(line, int(cpu), int(cache), int(address, 16))
                    elif event == "x" and int(address, 16) in self.implied:
                        self.implied.remove(int(address, 16))
                        self.build.check_cpu(int(cpu))
                    else:
                        free(int(cpu), int(cache), int(address, 16), UNRECORDED)
                elif event == "S" or event == "D":
                    frame = int(address, 16)
                    if event == "D":
                        self._discard(int(cpu), int(cache), frame)
                    self.build.slab(int(cpu), int(cache), created=event == "S")
                else:
                    int(cpu), int(address, 16), int(cache)
                    self.build.unplaced(_LARGE, line)
        except TraceError:
            raise
        except (ValueError, KeyError, IndexError) as error:
            raise self._explain(line, row, error) from None
        self.source.check_rows(line, sum(self._event_counts()))
        if self.states:
            untold = np.array(inferred) > _UNTOLD * np.array(told)
            self.freed_with_task = self.build.free_with_tasks(tasks, untold)
            self._begin()
        load = self.build.workload(self.source.path.name, len(self.cgroups) - 1)
        return load, self._recording(line - 1)

    def _text_row(self, line: int, event: str, cpu: int, text: str) -> None:
        self.build.check_cpu(cpu)
        if event == "M":
            if not text.startswith("SNAP_BEGIN"):
                self.build.mark(cpu, text)
            return
        verb, _, path = text.partition(" ")
        cgroup = self.named.get(path)
        if verb == "mkdir" and path:
            if cgroup is not None and cgroup not in self.offline:
                raise RowError(f"mkdir of {path}, which exists")
            self._make(cpu, path)
        elif verb == "attach":
            self.build.unplaced(_ATTACH, line)
        elif verb not in ("rmdir", "release"):
            raise RowError(f"unknown cgroup event {text!r}, known are mkdir, attach, rmdir and release")
        elif cgroup is None:
            self.build.unplaced(_GONE, line)
        elif verb == "release":
            self.outcomes.append(Outcome("release", cgroup, line - 2))
        elif cgroup in self.offline:
            raise RowError(f"rmdir of {path}, which is removed already")
        else:
            self.offline.add(cgroup)
            self.build.event(cpu, tape.EV_OFFLINE_CGROUP, cgroup)
            for memcg, served_by in self.serves.items():
                if served_by == cgroup:
                    self.serves[memcg] = 0

    def _make(self, cpu: int, path: str) -> int:
        """Create the next cgroup; allocations for the memcg of that path go to it from now on."""
        cgroup = len(self.cgroups)
        if cgroup == MAX_CGROUPS:
            raise RowError(f"more than {MAX_CGROUPS} cgroups do not fit a tape")
        self.cgroups.append(path)
        self.named[path] = cgroup
        if path in self.memcgs[1:]:
            self.serves[self.memcgs.index(path, 1)] = cgroup
        self.build.event(cpu, tape.EV_CREATE_CGROUP, cgroup)
        return cgroup

    def _first_use(self, cpu: int, memcg: int) -> int:
        if not 0 <= memcg < len(self.memcgs):
            raise RowError(f"memcg {memcg} is out of range, the metadata lists {len(self.memcgs)}")
        return self._make(cpu, str(self.memcgs[memcg]))

    def _old_object(self, line: int, cpu: int, cache: int, address: int) -> None:
        self.build.check_cpu(cpu)
        if cache != _UNKNOWN:
            self.build.check_cache(cache)
        if self.build.is_live(address):
            raise RowError(f"object {address:x} is said to predate the trace, but an earlier row allocates it")
        if address in self.old_addresses:
            self.build.unplaced(_UNSEEN, line)
        elif cache in self.states:
            self.used.add(cache)
            self.old_addresses.add(address)
            page = address >> 12 >> self.orders[cache]
            slot = self.build.free_old(line, cpu, cache)
            self.old.setdefault(cache, {}).setdefault(page, []).append(slot)
        else:
            self.build.unplaced(_OLD, line)

    def _discard(self, cpu: int, cache: int, frame: int) -> None:
        """A slab goes, so whatever was live in it has been freed, by bulk or from a sheaf, which leaves no row."""
        self.build.check_cache(cache)
        size = self.build.caches[cache].size
        for address in range(frame << 12, (frame << 12) + size * self.objects[cache], size):
            if self.build.is_live(address):
                self.build.free(cpu, cache, address, UNRECORDED)
                self.implied.add(address)
                self.freed_with_slab += 1

    def _begin(self) -> None:
        """Put the state that the trace begins in before it, of the caches that it uses."""
        prologue = Prologue(self.build.cpus, self.build.slots, self.seed)
        for cache in sorted(self.used & self.states.keys()):
            prologue.cache(cache, self.build.caches[cache], self.states[cache], self.old.get(cache, {}).values())
        self.build.begin_with(prologue)

    def _states(self) -> dict[int, Beginning]:
        """What the snapshot at the start says of each cache; empty if there is none, or one with slabs alone."""
        states: dict[int, Beginning] = {}
        for entry in self.meta.get("snapshots", list, []):
            if self.meta.entry(entry, "name", str, "snapshots: ") != _START:
                continue
            sysfs = self.meta.entry(entry, "sysfs", dict, "snapshots: ")
            for number, spec in enumerate(self.build.caches):
                columns = sysfs.get(spec.name)
                if not isinstance(columns, list) or len(columns) != len(_SYSFS) or not self.objects[number]:
                    return {}
                states[number] = self._state(spec.name, columns, self.objects[number])
        return states

    def _state(self, name: str, columns: list, objects: int) -> Beginning:
        where = f"snapshots: sysfs of {name}: "
        shown = dict(zip(_SYSFS, columns))
        slabs, partial, in_use, held = (
            self.meta.entry(shown, key, int, where) for key in ("slabs", "partial", "objects_partial", "cpu_slabs")
        )
        try:
            parts = counter_columns("held", self.meta.entry(shown, "slabs_cpu_partial", str, where))
        except ValueError as error:
            raise TraceError(self.meta.path, 0, f"{where}{error}") from None
        lists = tuple(parts.get(f"held_slabs_C{cpu}", 0) for cpu in range(self.build.cpus))
        if not 0 <= partial <= slabs or not 0 <= in_use <= partial * objects or not sum(lists) <= held <= slabs:
            raise TraceError(self.meta.path, 0, f"{where}{columns} contradict each other")
        return Beginning(slabs, objects, partial, in_use, lists, held - sum(lists))

    def _specs(self) -> list[CacheSpec]:
        """Caches from the metadata; also keeps their objects per slab (`objects`)."""
        meta = self.meta
        names, static = meta.get("caches", list), meta.get("cache_static", dict)
        if len(names) > MAX_CACHES:
            raise TraceError(meta.path, 0, f"{len(names)} caches, a tape can name {MAX_CACHES}")
        specs, self.objects, self.orders = [], [], []
        for number, name in enumerate(names):
            if not isinstance(name, str):
                raise TraceError(meta.path, 0, f"caches[{number}] is no name")
            where = f"cache_static[{name!r}]."
            entry = meta.entry(static, name, dict, "cache_static: ")
            size = meta.entry(entry, "slab_size", int, where)
            object_size = meta.entry(entry, "object_size", int, where)
            if not 0 < object_size <= size <= MAX_OBJECT:
                raise TraceError(meta.path, 0, f"{where}object_size is {object_size}, slab_size {size}")
            self.orders.append(meta.entry(entry, "order", int, where, 0))
            self.objects.append(meta.entry(entry, "objs_per_slab", int, where, 0))
            specs.append(
                CacheSpec(
                    name, object_size, size, max(1, meta.entry(entry, "align", int, where, 8)),
                    destroy_by_rcu=bool(entry.get("destroy_by_rcu")), has_ctor=bool(entry.get("ctor")),
                    sheaf_capacity=meta.entry(entry, "sheaf_capacity", int, where, 0),
                )
            )  # fmt: skip
        return specs

    def _event_counts(self) -> list[int]:
        counts = self.meta.get("event_counts", dict)
        return [self.meta.entry(counts, event, int, "event_counts.") for event in counts]

    def _recording(self, rows: int) -> Recording:
        counted = self.build.recorded()
        at_mark = counted["slabs_at_mark"]
        caches, marks = len(self.build.caches), self.build.marks
        snapshots = {
            self.meta.entry(entry, "name", str, "snapshots: "): self._slabs(entry)
            for entry in self.meta.get("snapshots", list, [])
        }
        before, kernel_at_mark = np.zeros(caches, dtype=np.int64), np.full_like(at_mark, ABSENT)
        if _START in snapshots and _SNAPSHOT + _START in marks:
            before = snapshots[_START] - at_mark[marks.index(_SNAPSHOT + _START)]
            for index, mark in enumerate(marks):
                name = mark.removeprefix(_SNAPSHOT)
                if name != mark and name in snapshots:
                    kernel_at_mark[index] = snapshots[name] - before
        at_end = kernel_at_mark[-1].copy() if len(marks) else np.full(caches, ABSENT)
        never = np.full(caches, NEVER)
        notes = []
        if self.freed_with_slab:
            notes.append(f"{self.freed_with_slab} frees that left no event are done when their slab is discarded")
        if self.freed_with_task:
            notes.append(f"{self.freed_with_task} frees that left no event are done behind their task's last event")
        if self.late:
            notes.append(f"{self.late} allocations accounted to a removed cgroup are done for the root cgroup")
        return Recording(
            path=str(self.source.path),
            kernel=self.meta.get("kernel", str, "Linux 6.18"),
            layout=LAYOUT,
            rows=rows,
            row_counts=self.counts,
            objects_per_slab=np.array(self.objects, dtype=np.int64),
            slabs_before=before,
            kernel_slabs_at_mark=kernel_at_mark,
            kernel_slabs_at_end=at_end,
            kernel_counters={},
            created_row=never,
            offline_row=never.copy(),
            destroyed_row=never.copy(),
            cgroups=tuple(self.cgroups),
            outcomes=tuple(self.outcomes),
            begins=bool(self.states),
            notes=tuple(notes),
            **counted,
        )

    def _slabs(self, snapshot: dict) -> np.ndarray:
        """Slabs per cache of the trace in a snapshot of sysfs, whose first column they are."""
        sysfs = self.meta.entry(snapshot, "sysfs", dict, "snapshots: ")
        slabs = []
        for spec in self.build.caches:
            columns = self.meta.entry(sysfs, spec.name, list, "snapshots: sysfs: ")
            slabs.append(
                self.meta.entry(
                    {"0": columns[0]} if columns else {}, "0", int, f"snapshots: sysfs of {spec.name}: column "
                )
            )
        return np.array(slabs, dtype=np.int64)

    def _explain(self, line: int, row: list[bytes], error: Exception) -> TraceError:
        event = row[3].decode("utf-8", "replace") if len(row) > 3 else ""
        if len(row) > 3 and event not in _EVENTS:
            return self.source.fail(line, f"unknown event {shown(row[3])}, known are {', '.join(_EVENTS)}")
        return self.source.explain(line, row, error, _EVENTS.get(event, _BASES))
