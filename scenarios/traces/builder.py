"""Turns the operations of a trace, met in their global order, into tapes and a schedule.

Slots. Every allocation gets a slot of its own, used once. A native replay lets the CPUs run apart:
a CPU that frees ahead of the allocating one must find its slot empty and wait, not find an older
object in it, which a reused slot could not promise.

Events. Each takes a round of its own: at its place every CPU publishes the round and then waits for
the event. So it runs after all that precedes it and before all that follows it, in serial play as
in native play.

No replay can deadlock. Each tape keeps one CPU's operations in the order of one global order that
did happen. An operation waits only for operations earlier in that order: a free for the allocation
into its slot, a WAIT for its event, an event for the ROUNDs that stand before it on every CPU. The
earliest operation not yet done therefore never has to wait.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Sequence

import numpy as np

from scenarios import tape
from scenarios.tape import CacheSpec, Event, Workload
from scenarios.traces.beginning import MARK, Prologue
from scenarios.traces.errors import RowError
from scenarios.traces.recording import UNRECORDED, Unplaced
from scenarios.traces.untold import Tasks, free_with_their_tasks

MAX_CACHES = 1 << tape.A_BITS
MAX_CGROUPS = 1 << tape.B_BITS
MAX_SLOTS = 1 << tape.C_BITS
MAX_CPUS = 255  # `Workload.order` names them in a byte
MAX_OBJECT = 1 << 22  # bytes, the largest kmalloc


class TraceBuilder:
    """Collects a trace; `workload` closes it.

    Raises RowError where a row contradicts those before it or does not fit a tape.
    """

    def __init__(self, cpus: int, caches: Sequence[CacheSpec]):
        self.cpus = cpus
        self.caches = tuple(caches)
        self.usable = [spec.created for spec in caches]
        self._words = array("q")  # operations of all CPUs in the global order
        self._order = array("B")  # their CPUs
        self._fast = array("B")  # a flag for each that is an ALLOC or FREE
        self._events: list[Event] = []
        self._live: dict[int, int] = {}  # address -> slot
        self._line = array("q")  # per slot: of its allocation
        self._cache = array("H")  # per slot
        self.marks: list[str] = []
        self._at_mark: list[np.ndarray] = []
        self._slabs_created = [0] * len(caches)
        self._slabs_discarded = [0] * len(caches)
        self._slots = 0  # with those of a prologue
        self._unplaced: dict[str, list[int]] = {}  # reason -> [count, line of the first]

    def alloc(self, line: int, cpu: int, cache: int, cgroup: int, address: int, fast: int) -> None:
        """CPU `cpu` allocated the object at `address` from `cache` on behalf of `cgroup`."""
        slot = len(self._line)
        self.check_cpu(cpu)
        self.check_cache(cache)
        if not self.usable[cache]:
            self._check_usable(cache, "allocation")
        if self._live.setdefault(address, slot) != slot:
            raise RowError(
                f"object {address:x} is allocated twice: it is live since line {self._line[self._live[address]]}"
            )
        if slot == MAX_SLOTS:
            raise RowError(f"more than {MAX_SLOTS} allocations do not fit a tape")
        self._line.append(line)
        self._cache.append(cache)
        self._fast.append(fast)
        self._order.append(cpu)
        self._words.append(tape.OP_ALLOC | cache << tape.A_SHIFT | cgroup << tape.B_SHIFT | slot << tape.C_SHIFT)

    def free(self, cpu: int, cache: int, address: int, fast: int) -> None:
        """CPU `cpu` freed the object at `address`, which the trace says is of `cache`."""
        slot = self._live.pop(address, None)
        if slot is None:
            raise RowError(
                f"free of an unknown object: {address:x} is not live, no row allocates it or it is freed already"
            )
        self.check_cpu(cpu)
        if self._cache[slot] != cache:
            raise RowError(
                f"object {address:x} is freed to cache {cache}, but was allocated from "
                f"cache {self._cache[slot]} in line {self._line[slot]}"
            )
        self._fast.append(fast)
        self._order.append(cpu)
        self._words.append(tape.OP_FREE | slot << tape.C_SHIFT)

    def free_old(self, line: int, cpu: int, cache: int) -> int:
        """CPU `cpu` freed an object of `cache` that is older than the trace, made by a `Prologue`. Returns its slot."""
        self.check_cpu(cpu)
        self.check_cache(cache)
        slot = len(self._line)
        self._line.append(line)
        self._cache.append(cache)
        self._fast.append(UNRECORDED)
        self._order.append(cpu)
        self._words.append(tape.OP_FREE | slot << tape.C_SHIFT)
        return slot

    def free_with_tasks(self, tasks: Tasks, untold: np.ndarray) -> int:
        """See `untold.free_with_their_tasks`; returns how many frees were moved or added."""
        words, order, moved = free_with_their_tasks(
            np.array(self._words, dtype=np.int64), np.array(self._order, dtype=np.uint8), tasks, untold
        )
        self._words, self._order = array("q", words.tobytes()), array("B", order.tobytes())
        plays = int(np.isin(words & tape.OP_MASK, tape.OPERATIONS).sum())
        self._fast = array("B", [UNRECORDED] * plays)
        return moved

    @property
    def place(self) -> int:
        """Operations so far."""
        return len(self._words)

    def begin_with(self, prologue: Prologue) -> None:
        """Put a prologue, whose slots follow ours, before all; its mark is the first. Call it once, at the end."""
        prologue.mark(0)
        words = np.array(self._words, dtype=np.int64)
        code = words & tape.OP_MASK
        words[(code == tape.OP_ROUND) | (code == tape.OP_WAIT)] += len(prologue.events) << tape.C_SHIFT
        before = np.array(prologue.words, dtype=np.int64)
        plays = np.isin(before & tape.OP_MASK, tape.OPERATIONS)
        self._words = array("q", np.concatenate([before, words]).tobytes())
        self._order = array("B", prologue.order) + self._order
        self._fast = array("B", [UNRECORDED] * int(plays.sum())) + self._fast
        self._events = [
            *prologue.events,
            *(
                dataclasses.replace(
                    event, round=event.round + len(prologue.events), arg=event.arg + (event.kind == tape.EV_MARK)
                )
                for event in self._events
            ),
        ]
        self._slots = prologue.slots
        self.marks.insert(0, MARK)
        self._at_mark.insert(0, np.zeros(len(self.caches), np.int64))

    @property
    def slots(self) -> int:
        """How many are in use so far."""
        return max(self._slots, len(self._line))

    def is_live(self, address: int) -> bool:
        """Whether the object at `address` was allocated in the trace and is not freed yet."""
        return address in self._live

    def event(self, cpu: int, kind: int, arg: int) -> None:
        """Schedule an event, seen on `cpu`, at this point of the global order, in a round of its own."""
        self.check_cpu(cpu)
        number = len(self._events) + 1
        self._events.append(Event(kind, arg, number, cpu))
        for code in (tape.OP_ROUND, tape.OP_WAIT):
            for each in range(self.cpus):
                self._order.append(each)
                self._words.append(code | number << tape.C_SHIFT)

    def mark(self, cpu: int, name: str) -> int:
        """A census at this point; keeps the slabs per cache so far. Returns the mark's index."""
        self.check_cpu(cpu)
        index = len(self.marks)
        self.marks.append(name)
        self._at_mark.append(np.subtract(self._slabs_created, self._slabs_discarded, dtype=np.int64))
        self.event(cpu, tape.EV_MARK, index)
        return index

    def slab(self, cpu: int, cache: int, *, created: bool) -> int:
        """A slab of `cache` came or went. Returns the slabs created minus discarded so far."""
        self.check_cpu(cpu)
        self.check_cache(cache)
        if created:
            self._check_usable(cache, "slab")
        (self._slabs_created if created else self._slabs_discarded)[cache] += 1
        return self._slabs_created[cache] - self._slabs_discarded[cache]

    def check_cpu(self, cpu: int) -> None:
        """Raises RowError unless `cpu` is one of the trace's."""
        if not 0 <= cpu < self.cpus:
            raise RowError(f"cpu {cpu} is out of range, the trace has {self.cpus}")

    def check_cache(self, cache: int) -> None:
        """Raises RowError unless `cache` is one of the trace's caches."""
        if not 0 <= cache < len(self.caches):
            raise RowError(f"cache {cache} is out of range, the metadata lists {len(self.caches)}")

    def _check_usable(self, cache: int, what: str) -> None:
        if not self.usable[cache]:
            raise RowError(f"{what} of cache {cache} ({self.caches[cache].name}), which does not exist at this point")

    def unplaced(self, reason: str, line: int) -> None:
        """Count an event that no tape can express."""
        self._unplaced.setdefault(reason, [0, line])[0] += 1

    def trim(self, caches: int) -> None:
        """Forget all but the first `caches` caches; the others must be unused."""
        self.caches = self.caches[:caches]
        del self._slabs_created[caches:], self._slabs_discarded[caches:]
        self._at_mark = [slabs[:caches] for slabs in self._at_mark]

    def recorded(self) -> dict:
        """The fields of a `Recording` that are counted here."""
        return {
            "fast": np.array(self._fast, dtype=np.uint8),
            "slabs_created": np.array(self._slabs_created, dtype=np.int64),
            "slabs_discarded": np.array(self._slabs_discarded, dtype=np.int64),
            "slabs_at_mark": np.array(self._at_mark, dtype=np.int64).reshape(len(self.marks), len(self.caches)),
            "unplaced": tuple(Unplaced(reason, count, line) for reason, (count, line) in self._unplaced.items()),
        }

    def workload(self, name: str, cgroups: int) -> Workload:
        """All of it as a workload whose events make cgroups 1 to `cgroups`."""
        words = np.array(self._words, dtype=np.int64)
        order = np.array(self._order, dtype=np.uint8)
        tapes = tuple(tape.concatenate([words[order == cpu]]) for cpu in range(self.cpus))
        return Workload(
            name,
            self.caches,
            tapes,
            tuple(self._events),
            self.slots,
            cgroups,
            order=order,
            marks=tuple(self.marks),
        )
