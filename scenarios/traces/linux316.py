"""Reads the whole life of a Linux 3.16 kernel's SLUB (linux-3.16-slub-*.csv) as a workload.

Columns ``t_tsc,cpu,pid,op,addr_hex,cache,x,y``; row order is the global order. How each op is told:

====  ==============================  ==========================================================
A, F  object allocated, freed         ALLOC, FREE; x (fast path or not) goes to Recording.fast
C     cache created                   EV_CREATE_CACHE
K     memcg offline reached a clone   EV_OFFLINE_CACHE
H     kmem_cache_shrink               EV_SHRINK_CACHE; after a K of the same clone: an outcome
X     cache destroyed                 EV_DESTROY_CACHE; of a clone: an outcome
B     boot cache moved                EV_SHRINK_CACHE: the kernel flushes the boot CPU's slab there
M     marker                          EV_MARK
S, D  slab created, discarded         counted in the Recording
====  ==============================  ==========================================================

Caches keep their numbers. A clone, named root(id:cgroup), has its root cache as parent and a cgroup
of the workload's own numbering, created just before its first clone. Operations name the cache that
served them, clones too, with cgroup 0 in the operation: nothing is left to look up. No cgroup is
taken offline as a whole: the K rows say which of its clones went when.

Caches that the metadata lists but a trace cut short does not reach are left out.

The first slab of a boot (row 0) belongs to kmem_cache_node while its descriptor is a nameless
static one (cache 0): the kernel takes the first object by hand, without an A row, and puts the slab
on the node's partial list. An allocation that is never freed stands in for it, followed by a
shrink, which leaves the slab in the same place with the same object in use.
"""

from __future__ import annotations

import numpy as np

from scenarios import tape
from scenarios.tape import Workload
from scenarios.traces.builder import MAX_CPUS, TraceBuilder
from scenarios.traces.caches316 import Caches
from scenarios.traces.errors import RowError, TraceError
from scenarios.traces.recording import ABSENT, NEVER, UNRECORDED, Outcome, Recording
from scenarios.traces.source import Metadata, Source, shown

HEADER = "t_tsc,cpu,pid,op,addr_hex,cache,x,y"
LAYOUT = "linux-3.16-slub"
_BASES = dict.fromkeys(HEADER.split(","), 0)
_OBJECT_COLUMNS = _BASES | {"t_tsc": 10, "cpu": 10, "pid": 10, "addr_hex": 16, "cache": 10, "x": 10, "y": 10}
_CACHE_COLUMNS = _BASES | {"t_tsc": 10, "cpu": 10, "pid": 10, "cache": 10}
_MARK_COLUMNS = _BASES | {"t_tsc": 10, "cpu": 10, "pid": 10}
_OPS = {"A": _OBJECT_COLUMNS, "F": _OBJECT_COLUMNS, "S": _OBJECT_COLUMNS, "D": _OBJECT_COLUMNS, "M": _MARK_COLUMNS}
_OPS |= dict.fromkeys("CKHXB", _CACHE_COLUMNS)
_PATH = {b"0": 0, b"1": 1}
_CPUS = 2  # of every kernel recorded in this layout; metadata may say otherwise ("ncpu")


def read(source: Source) -> tuple[Workload, Recording]:
    """The trace behind `source`, whose header has been read. Raises TraceError."""
    return _Reader(source).read()


class _Reader:
    def __init__(self, source: Source):
        self.source = source
        self.meta = Metadata(source.path)
        cpus = self.meta.cpus(MAX_CPUS, _CPUS)
        self.caches = Caches(self.meta)
        self.build = TraceBuilder(cpus, self.caches.specs)
        self.cgroups = self.caches.cgroups
        none = [NEVER] * len(self.caches.specs)
        self.created, self.offline, self.destroyed = none, none.copy(), none.copy()
        self.last_change = [""] * len(none)  # the last of K, H and X per cache
        self.made = {0}  # cgroups created so far
        self.outcomes: list[Outcome] = []
        self.notes: list[str] = []
        self.counts = dict.fromkeys(_OPS, 0)

    def read(self) -> tuple[Workload, Recording]:
        line, counts = 1, self.counts
        row: list[bytes] = []
        alloc, free, slab = self.build.alloc, self.build.free, self.build.slab
        try:
            for line, row in self.source.rows():
                time, cpu, pid, op, address, cache, x, y = row
                int(time), int(pid)
                if op == b"A":
                    counts["A"] += 1
                    int(y)
                    alloc(line, int(cpu), int(cache), 0, int(address, 16), _PATH[x])
                elif op == b"F":
                    counts["F"] += 1
                    int(y)
                    free(int(cpu), int(cache), int(address, 16), _PATH[x])
                elif op == b"S" or op == b"D":
                    counts[op.decode()] += 1
                    if self.caches.boot_owner and int(cache) == 0:
                        self._boot_slab(line, int(cpu), int(address, 16), op == b"S", int(y))
                    else:
                        int(x), int(y), int(address, 16)
                        if slab(int(cpu), int(cache), created=op == b"S") < 0:
                            raise RowError(f"discard of a slab of cache {int(cache)}, which has none left")
                elif op == b"M":
                    counts["M"] += 1
                    self.build.mark(int(cpu), address.decode())
                else:
                    self._cache_row(line, int(cpu), op.decode(), int(cache))
        except TraceError:
            raise
        except (ValueError, KeyError) as error:
            raise self._explain(line, row, error) from None
        self.source.check_rows(line, self.meta.get("n_events", int))
        if counts["B"]:
            self.notes.append(
                f"{counts['B']} boot caches moved: replayed as kmem_cache_shrink, which flushes their cpu slab"
            )
        self._trim()
        load = self.build.workload(self.source.path.name, len(self.cgroups) - 1)
        return load, self._recording(line - 1)

    def _cache_row(self, line: int, cpu: int, op: str, cache: int) -> None:
        """A row of ops C, K, H, X or B."""
        if op not in _OPS:
            raise RowError(f"unknown event {shown(op.encode())}, known are {', '.join(_OPS)}")
        self.counts[op] += 1
        self.build.check_cpu(cpu)
        self.build.check_cache(cache)
        if op == "C":
            self._create(line, cpu, cache)
            return
        spec, row = self.build.caches[cache], line - 2
        clone = spec.parent >= 0
        if not self.build.usable[cache]:
            raise RowError(f"{op} of cache {cache} ({spec.name}), which does not exist at this point")
        if op == "K":
            if not clone:
                raise RowError(f"memcg offline of cache {cache} ({spec.name}), which is no clone")
            self.offline[cache] = row
            self.build.event(cpu, tape.EV_OFFLINE_CACHE, cache)
        elif op == "B" or (op == "H" and not (clone and self.last_change[cache] == "K")):
            self.build.event(cpu, tape.EV_SHRINK_CACHE, cache)
        elif op == "H":
            self.outcomes.append(Outcome("shrink", cache, row))
        else:
            self.destroyed[cache] = row
            self.build.usable[cache] = False
            if clone:
                self.outcomes.append(Outcome("destroy", cache, row))
            else:
                self.build.event(cpu, tape.EV_DESTROY_CACHE, cache)
        self.last_change[cache] = op

    def _create(self, line: int, cpu: int, cache: int) -> None:
        spec = self.build.caches[cache]
        if self.created[cache] != NEVER:
            raise RowError(f"cache {cache} ({spec.name}) is created twice, first in line {self.created[cache] + 2}")
        if spec.created:
            raise RowError(f"cache {cache} ({spec.name}) is created, but the metadata has no size of it")
        self.created[cache] = line - 2
        if spec.parent >= 0:
            if not self.build.usable[spec.parent]:
                raise RowError(
                    f"clone {cache} ({spec.name}) is created, but its root cache does not exist at this point"
                )
            if spec.cgroup not in self.made:
                self.made.add(spec.cgroup)
                self.build.event(cpu, tape.EV_CREATE_CGROUP, spec.cgroup)
        if not self.build.usable[cache]:
            self.build.usable[cache] = True
            self.build.event(cpu, tape.EV_CREATE_CACHE, cache)

    def _boot_slab(self, line: int, cpu: int, address: int, created: bool, objects: int) -> None:
        """A slab of the nameless cache 0: the first one of the boot, or nothing we can place."""
        owner = self.caches.boot_owner
        if not created or self.build.usable[owner] or objects != self.caches.objects[owner]:
            self.build.unplaced("slab of the boot descriptor (cache 0) other than the first of the boot", line)
            return
        self.build.usable[owner] = True
        self.build.event(cpu, tape.EV_CREATE_CACHE, owner)
        self.build.slab(cpu, owner, created=True)
        self.build.alloc(line, cpu, owner, 0, address, UNRECORDED)
        self.build.event(cpu, tape.EV_SHRINK_CACHE, owner)
        self.notes.append(
            f"line {line}: the boot slab counts as one of cache {owner} ({self.build.caches[owner].name}); a stand-in "
            "allocation and a shrink put it where the kernel had it, and add one alloc_slowpath, alloc_slab, "
            "cpuslab_flush and deactivate_to_head to that cache"
        )

    def _trim(self) -> None:
        """Forget the caches at the end of the metadata's list that this trace ends too early to create."""
        known = [self.build.usable[cache] or row != NEVER for cache, row in enumerate(self.created)]
        caches = max((cache + 1 for cache, is_known in enumerate(known) if is_known), default=0)
        for cache, spec in enumerate(self.build.caches[:caches]):
            if not known[cache]:
                raise TraceError(
                    self.meta.path, 0, f"cache {cache} ({spec.name}) is listed, but no row of the trace creates it"
                )
        self.build.trim(caches)
        del self.created[caches:], self.offline[caches:], self.destroyed[caches:]
        self.cgroups = self.cgroups[: 1 + max((spec.cgroup for spec in self.build.caches), default=0)]

    def _recording(self, rows: int) -> Recording:
        caches = len(self.build.caches)
        at_end = self.caches.kernel_slabs_at_end()[:caches]
        counters = {cache: found for cache, found in self.caches.kernel_counters().items() if cache < caches}
        gone = np.array(self.destroyed) != NEVER
        at_end[gone & (at_end == ABSENT)] = 0
        counted = self.build.recorded()
        return Recording(
            path=str(self.source.path),
            kernel=self.meta.get("kernel", str, "Linux 3.16"),
            layout=LAYOUT,
            rows=rows,
            row_counts=self.counts,
            objects_per_slab=np.array(self.caches.objects[:caches], dtype=np.int64),
            slabs_before=np.zeros(caches, dtype=np.int64),
            kernel_slabs_at_mark=np.full_like(counted["slabs_at_mark"], ABSENT),
            kernel_slabs_at_end=at_end,
            kernel_counters=counters,
            created_row=np.array(self.created, dtype=np.int64),
            offline_row=np.array(self.offline, dtype=np.int64),
            destroyed_row=np.array(self.destroyed, dtype=np.int64),
            cgroups=tuple(self.cgroups),
            outcomes=tuple(self.outcomes),
            notes=tuple(self.notes),
            **counted,
        )

    def _explain(self, line: int, row: list[bytes], error: Exception) -> TraceError:
        op = row[3].decode("utf-8", "replace") if len(row) == len(_BASES) else ""
        if isinstance(error, KeyError):
            return self.source.fail(line, f"x of an {op} row is {shown(row[6])}, it must be 1 (fast path) or 0")
        if op and op not in _OPS:
            return self.source.fail(line, f"unknown event {shown(row[3])}, known are {', '.join(_OPS)}")
        return self.source.explain(line, row, error, _OPS.get(op, _BASES))
