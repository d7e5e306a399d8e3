"""A recording as tapes. The model begins empty: objects that are older than the recording are not in it.

Each allocation has a slot of its own, as in `scenarios.traces.builder`, which says why no replay can deadlock. CPUs are
numbered anew without gaps. An inferred free is done by the CPU that allocates the address again, just before.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenarios import tape
from scenarios.tape import CacheSpec, Event, Workload
from scenarios.traces import ABSENT, NEVER, UNRECORDED, Recording, Unplaced
from scenarios.traces.builder import MAX_CACHES, MAX_CPUS, MAX_SLOTS
from scenarios.traces.errors import TraceError
from stress.recordings import pair as p
from stress.recordings import rows as s
from stress.recordings.beside import Beside, beside
from stress.recordings.naming import DESTROY_BY_RCU, LARGEST_SLAB, Cache, name_caches
from stress.recordings.reading import Reader
from stress.show.units import plural

BY = ("events", "comm", "pid")
MAX_CGROUPS = 1000
MAX_EVENTS = 100_000_000
_KEPT = (s.KIND, s.CPU, s.PID, s.COMM, s.ACCOUNTED, s.IRQ, s.LINE, s.REQ, s.ALLOC, s.NAME, s.PTR)
# Threads of the kernel, whose allocations are charged to nobody.
_KTHREADS = (
    "kworker/",
    "ksoftirqd/",
    "migration/",
    "rcu_",
    "kswapd",
    "kthreadd",
    "khugepaged",
    "kcompactd",
    "<idle>",
    "swapper",
)


def open_recording(path: Path, by: str = "events", progress=None, seed: int = 1) -> tuple[Workload, Recording]:
    """Read a recording in any format, the laboratory's two among them, as `scenarios.traces.open_trace` does.

    by: how objects come to cgroups: by the cgroup events of the recording, or by task, comm or pid. seed: of what is
    drawn of the state in which the laboratory's 6.18 trace begins. Raises TraceError.
    """
    from scenarios.traces import linux316, linux618, open_trace

    if path.name.endswith((".csv", ".csv.zst")):
        return open_trace(path, progress=progress, seed=seed)
    if path.is_file():
        with open(path, "rb") as file:
            head = file.readline(256)
        if head.decode("utf-8", "replace").strip() in (linux316.HEADER, linux618.HEADER):
            return open_trace(path, progress=progress, seed=seed)
    reader = Reader(path)
    rows: dict[int, list[np.ndarray]] = {column: [] for column in _KEPT}
    fates, objects = [], []
    for chunk in reader.chunks():
        wanted = (chunk.fate != p.OTHER) | (chunk.rows[s.KIND] >= s.MKDIR) & (chunk.rows[s.KIND] <= s.EXIT)
        for column in _KEPT:
            rows[column].append(chunk.rows[column][wanted])
        fates.append(chunk.fate[wanted])
        objects.append(chunk.objects[:, wanted])
        if reader.events > MAX_EVENTS:
            raise TraceError(path, 0, f"more than {MAX_EVENTS:,} events", "cut it into pieces")
    columns = {column: np.concatenate(parts) for column, parts in rows.items()}
    return _Builder(reader, columns, np.concatenate(fates), np.concatenate(objects, axis=1), by).build()


class _Builder:
    def __init__(self, reader: Reader, rows: dict[int, np.ndarray], fate: np.ndarray, objects: np.ndarray, by: str):
        self.reader, self.rows, self.fate, self.objects, self.by = reader, rows, fate, objects, by
        self.notes: list[str] = []
        self.cgroups = ["root"]
        self.events: list[tuple[int, int, int]] = []  # (before which row, kind, cgroup)

    def build(self) -> tuple[Workload, Recording]:
        reader, path = self.reader, self.reader.path
        cpus = np.array(sorted(reader.cpus), np.int64)
        if len(cpus) > MAX_CPUS:
            raise TraceError(path, 0, f"events of {len(cpus)} CPUs, a tape can name {MAX_CPUS}", "cut CPUs out of it")
        if len(cpus) and cpus[-1] != len(cpus) - 1:
            self.notes.append(
                f"CPUs {', '.join(map(str, cpus[:8]))}{', …' * (len(cpus) > 8)} are played as 0 to {len(cpus) - 1}"
            )
        cpu = np.searchsorted(cpus, self.rows[s.CPU])
        named = name_caches(reader)
        slab = np.array([cache.in_slabs for cache in named.caches] or [False])
        played = np.flatnonzero(slab)
        if len(played) > MAX_CACHES:
            raise TraceError(path, 0, f"{len(played)} caches, a tape can name {MAX_CACHES}", "is this a trace?")
        number = np.full(len(slab), -1)
        number[played] = np.arange(len(played))
        state = beside(path)
        specs = tuple(_spec(named.caches[i], state) for i in played)
        if state.path is not None:
            told = sum(spec.name in state.caches for spec in specs)
            self.notes.append(f"{state.path.name} tells the sizes of {told} of {len(specs)} caches")
        allocs = np.isin(self.fate, (p.ALLOCATED, p.REUSED))
        total = int(reader.counts[p.OBJECTS])
        if total > MAX_SLOTS:
            raise TraceError(path, 0, f"more than {MAX_SLOTS} allocations do not fit a tape", "cut it into pieces")
        # The key that an object had in the end: its free may have told its cache's name.
        key = np.full(total, -1)
        key[self.objects[0][allocs]] = self.objects[1][allocs]
        freed = self.fate == p.FREED
        key[self.objects[0][freed]] = self.objects[1][freed]
        cache = number[named.of[key]] if total else key
        groups = self._groups(allocs)
        load = self._tapes(cpu, allocs, freed, cache, specs, groups, len(cpus))
        return load, self._recording(load, cache, allocs, freed)

    def _groups(self, allocs: np.ndarray) -> np.ndarray:
        """The cgroup of each row; also fills `events`."""
        kind, pid = self.rows[s.KIND], self.rows[s.PID]
        if self.by == "events":
            groups = self._by_events(kind, pid)
        else:
            groups = self._by_task(kind, pid, allocs)
        groups[~(allocs & self._charged())] = 0
        return groups

    def _charged(self) -> np.ndarray:
        """Rows whose object is charged: as the kernel says, and before it said so (5.19) what tasks of users do."""
        accounted = self.rows[s.ACCOUNTED]
        if (accounted >= 0).any():
            return accounted == 1
        kernel = [n for n in np.unique(self.rows[s.COMM]).tolist() if self.reader.names.text(n).startswith(_KTHREADS)]
        return (self.rows[s.PID] > 0) & (self.rows[s.IRQ] == 0) & ~np.isin(self.rows[s.COMM], kernel)

    def _by_events(self, kind: np.ndarray, pid: np.ndarray) -> np.ndarray:
        groups = np.zeros(len(kind), np.int64)
        places = np.flatnonzero((kind >= s.MKDIR) & (kind <= s.FORK)).tolist()
        named = [at for at in places if kind[at] != s.FORK]
        if not named:
            if (self.rows[s.ACCOUNTED] == 1).any():
                self.notes.append(
                    "no event tells cgroups: accounted objects are played for the root cgroup; --cgroups-by comm or "
                    "pid deals them to cgroups by task"
                )
            return groups
        roots, counts = np.unique(self.rows[s.REQ][named], return_counts=True)
        root = int(roots[counts.argmax()])
        if len(roots) > 1:
            self.notes.append(f"of {len(roots)} cgroup hierarchies the one with most events is played, root {root}")
        known: dict[int, int] = {}
        tasks, task = np.unique(pid, return_inverse=True)
        index = {int(number): i for i, number in enumerate(tasks)}
        current = np.zeros(len(tasks), np.int64)
        gone: set[int] = set()
        before = 0
        for at in places:
            groups[before:at] = current[task[before:at]]
            before = at
            subject = index.get(int(self.rows[s.PTR][at]))
            if kind[at] == s.FORK:
                if subject is not None:
                    current[subject] = current[task[at]]
                continue
            if self.rows[s.REQ][at] != root:
                continue
            identity = int(self.rows[s.ALLOC][at])
            if kind[at] in (s.MKDIR, s.ATTACH) and identity not in known:
                path = self.reader.names.text(int(self.rows[s.NAME][at]))
                known[identity] = 0 if path == "/" else self._make(at, path)
            if kind[at] == s.ATTACH and subject is not None:
                current[subject] = 0 if known[identity] in gone else known[identity]
            elif kind[at] == s.RMDIR and known.get(identity, 0) and known[identity] not in gone:
                gone.add(known[identity])
                self.events.append((at, tape.EV_OFFLINE_CGROUP, known[identity]))
                current[current == known[identity]] = 0
                del known[identity]
        groups[before:] = current[task[before:]]
        return groups

    def _by_task(self, kind: np.ndarray, pid: np.ndarray, allocs: np.ndarray) -> np.ndarray:
        tag = self.rows[s.COMM] if self.by == "comm" else pid
        charged = np.flatnonzero(allocs & self._charged())
        values, first = np.unique(tag[charged], return_index=True)
        values = values[np.argsort(first)]
        if len(values) > MAX_CGROUPS:
            self.notes.append(
                f"{len(values) - MAX_CGROUPS:,} more than {MAX_CGROUPS:,} tasks are played for the root cgroup"
            )
            values = values[:MAX_CGROUPS]
        exited = set(self.rows[s.PTR][kind == s.EXIT].tolist())
        if not exited:
            self.notes.append(
                "no sched_process_exit: a task has ended where its last event is, if a tenth of the recording follows"
            )
        groups = np.zeros(len(kind), np.int64)
        latest = len(kind) - len(kind) // 10
        for value in values.tolist():
            rows = np.flatnonzero(tag == value)
            name = self.reader.names.text(value) if self.by == "comm" else f"pid {value}"
            group = self._make(int(rows[0]), name)
            groups[rows] = group
            ended = set(pid[rows].tolist()) <= exited if exited else rows[-1] < latest
            if ended:
                self.events.append((int(rows[-1]) + 1, tape.EV_OFFLINE_CGROUP, group))
        return groups

    def _make(self, at: int, name: str) -> int:
        if len(self.cgroups) > MAX_CGROUPS:
            raise TraceError(
                self.reader.path,
                int(self.rows[s.LINE][at]),
                f"more than {MAX_CGROUPS} cgroups up to here",
                "cut it into pieces",
            )
        self.cgroups.append(name)
        self.events.append((at, tape.EV_CREATE_CGROUP, len(self.cgroups) - 1))
        return len(self.cgroups) - 1

    def _tapes(self, cpu, allocs, freed, cache, specs, groups, cpus) -> Workload:
        objects, total = self.objects, len(self.fate)
        slot = np.maximum(objects[0], 0)
        placed = (allocs | freed) & (cache[slot] >= 0) if len(cache) else np.zeros(total, bool)
        inferred = (self.fate == p.REUSED) & (cache[np.maximum(objects[2], 0)] >= 0) if len(cache) else placed
        self.events.sort(key=lambda event: event[0])
        at = np.array([event[0] for event in self.events], np.int64)
        size = placed.astype(np.int64) + inferred
        before = np.zeros(total + 1, np.int64)
        np.add.at(before, at, 2 * cpus)
        start = np.concatenate([[0], np.cumsum(size)]) + np.cumsum(before)
        words, order = np.zeros(int(start[-1]), np.int64), np.zeros(int(start[-1]), np.uint8)
        place = start[:-1]
        rows = np.flatnonzero(inferred)
        words[place[rows]] = tape.op(tape.OP_FREE, c=objects[2][rows]) if len(rows) else 0
        order[place[rows]] = cpu[rows]
        rows = np.flatnonzero(placed)
        mine = slot[rows]
        frees = np.bitwise_or(tape.OP_FREE, mine << tape.C_SHIFT)
        takes = tape.OP_ALLOC | cache[mine] << tape.A_SHIFT | groups[rows] << tape.B_SHIFT | mine << tape.C_SHIFT
        words[place[rows] + inferred[rows]] = np.where(allocs[rows], takes, frees)
        order[place[rows] + inferred[rows]] = cpu[rows]
        events, seen = [], np.zeros(total + 1, np.int64)
        each = np.arange(cpus)
        for number, (row, kind, group) in enumerate(self.events, start=1):
            first = start[row] - before[row] + seen[row]
            seen[row] += 2 * cpus
            words[first : first + cpus] = tape.OP_ROUND | number << tape.C_SHIFT
            words[first + cpus : first + 2 * cpus] = tape.OP_WAIT | number << tape.C_SHIFT
            order[first : first + cpus] = order[first + cpus : first + 2 * cpus] = each
            events.append(Event(kind, group, number, 0))
        tapes = tuple(tape.concatenate([words[order == one]]) for one in range(cpus))
        return Workload(
            self.reader.path.name, specs, tapes, tuple(events), max(1, len(cache)), len(self.cgroups) - 1, order=order
        )

    def _recording(self, load: Workload, cache, allocs, freed) -> Recording:
        reader, counts = self.reader, self.reader.counts
        line = self.rows[s.LINE]
        unplaced = []

        def without(reason: str, where: np.ndarray) -> None:
            if where.any():
                unplaced.append(Unplaced(reason, int(where.sum()), int(line[where.argmax()])))

        without("free of an object older than the recording, or whose allocation was lost", self.fate == p.OLD)
        without("free of a null pointer", self.fate == p.NOTHING)
        without("failed allocation", self.fate == p.FAILED)
        if len(cache):
            beyond = (allocs | freed) & (cache[np.maximum(self.objects[0], 0)] < 0)
            without("objects beyond the slab sizes go to the page allocator", beyond)
        for problem in reader.problems:
            unplaced.append(
                Unplaced(f"a line without what was expected: {problem.expected}", problem.count, problem.line)
            )
            self.notes.append(
                f"{plural(problem.count, 'line')} from line {problem.line} on: expected {problem.expected}"
            )
        if counts[p.INFERRED]:
            self.notes.append(
                f"{plural(int(counts[p.INFERRED]), 'free')} inferred from an address that is allocated again"
            )
        for lost_cpu, (places, known, unknown) in sorted(reader.lost.items()):
            number = f"{known:,}{' and more' * bool(unknown)}" if known else "an unknown number of"
            self.notes.append(f"CPU {lost_cpu} lost {number} events in {plural(places, 'place')}")
        operations, caches = int((allocs | freed).sum()), len(load.caches)
        played = load.operations()
        zero, never = np.zeros(caches, np.int64), np.full(caches, NEVER)
        return Recording(
            path=str(reader.path), kernel="unknown", layout=reader.source.kind, rows=operations,
            row_counts={s.EVENTS[i]: int(n) for i, n in enumerate(reader.by_kind) if n},
            fast=np.full(played, UNRECORDED, np.uint8), objects_per_slab=zero, slabs_before=zero,
            slabs_created=zero, slabs_discarded=zero, slabs_at_mark=np.zeros((0, caches), np.int64),
            kernel_slabs_at_mark=np.zeros((0, caches), np.int64), kernel_slabs_at_end=np.full(caches, ABSENT),
            kernel_counters={}, created_row=never, offline_row=never, destroyed_row=never,
            cgroups=tuple(self.cgroups), outcomes=(), unplaced=tuple(unplaced), notes=tuple(self.notes),
        )  # fmt: skip


def _spec(cache: Cache, state: Beside) -> CacheSpec:
    """A cache as the state beside the recording has it; as its events have it where that does not name it."""
    known = state.caches.get(cache.name)
    name = cache.name
    if known is None and name.startswith("?"):
        known = state.of_size(cache.size)
        name = known.name if known is not None else name
    size = -(-cache.size // 8) * 8
    if known is None or known.size > LARGEST_SLAB:
        rcu = cache.name in DESTROY_BY_RCU
        return CacheSpec(cache.name, max(1, min(cache.object_size, size)), size, destroy_by_rcu=rcu)
    size = -(-known.size // 8) * 8
    return CacheSpec(
        name, known.object_size or max(1, min(cache.object_size, size)), size, known.align,
        destroy_by_rcu=known.destroy_by_rcu or name in DESTROY_BY_RCU, has_ctor=known.has_ctor,
        sheaf_capacity=known.sheaf_capacity,
    )  # fmt: skip
