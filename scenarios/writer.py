"""The pieces scenarios are put together from: a schedule of events, one tape per CPU, slots to reuse.

The certainty rules every scenario here keeps, for a CPU that opens round r with a WAIT for the
events of rounds up to r - 1:

- all CPUs have finished round r - 2, so what happened there to an object or a slot is over;
- a cgroup whose offline carries round r + 1 or later is online during the whole of round r;
- one whose offline carries round r - 1 or earlier is offline during the whole of round r;
- in round r itself an offline runs beside the tape, which is the race worth having: what is freed
  then is neither surely live nor surely dead and belongs into no timed section.

They hold only if some event carries round r - 1, hence `Schedule.barrier`.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import numpy as np

from scenarios import tape

CACHE_LINE_SLOTS = 8
ROUNDS_PER_CGROUP = 3  # of `one_after_another`: first use, work, removal


class Schedule:
    """Events in the making, kept in order of round and, within a round, of arrival."""

    def __init__(self) -> None:
        self._events: list[tape.Event] = []
        self._marks: list[str] = []
        self._busy: set[int] = set()
        self._rounds: list[int] | None = None

    def create(self, cgroup: int, round_: int) -> None:
        self._add(tape.EV_CREATE_CGROUP, cgroup, round_)

    def offline(self, cgroup: int, round_: int) -> None:
        self._add(tape.EV_OFFLINE_CGROUP, cgroup, round_)

    def mark(self, name: str, round_: int) -> None:
        self._add(tape.EV_MARK, len(self._marks), round_)
        self._marks.append(name)

    def barrier(self, round_: int) -> None:
        """Make sure that some event carries this round, so that a WAIT can tell when all CPUs reached it."""
        if round_ not in self._busy:
            self.mark(f"round {round_}", round_)

    def done_by(self, round_: int) -> int:
        """Number of events of rounds up to this one: what WAIT takes. No event may be added afterwards."""
        if self._rounds is None:
            self._rounds = [event.round for event in self.events]
        return bisect.bisect_right(self._rounds, round_)

    @property
    def events(self) -> tuple[tape.Event, ...]:
        return tuple(sorted(self._events, key=lambda event: event.round))

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(self._marks)

    def _add(self, kind: int, arg: int, round_: int) -> None:
        if self._rounds is not None:
            raise RuntimeError("the schedule is in use already")
        self._events.append(tape.Event(kind, arg, round_))
        self._busy.add(round_)


class Tape:
    """One CPU's tape in the making."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def round(self, number: int, wait: int = 0) -> None:
        """Publish a round, then wait for the first `wait` events of the schedule."""
        words = [tape.word(tape.OP_ROUND, c=number)]
        if wait:
            words.append(tape.word(tape.OP_WAIT, c=wait))
        self._parts.append(np.array(words, dtype=np.int64))

    def plain(self, words: np.ndarray) -> None:
        """Operations outside any timed section."""
        self._parts.append(words)

    def section(self, kind: int, words: np.ndarray) -> None:
        """Operations timed as a whole; nothing is written when there are none."""
        if len(words):
            begin = tape.word(tape.OP_SECTION_BEGIN, a=kind)
            end = tape.word(tape.OP_SECTION_END, a=kind, c=len(words))
            self._parts += [np.array([begin]), words, np.array([end])]

    def finish(self) -> np.ndarray:
        return tape.concatenate(self._parts)


class SlotPool:
    """Slots of one CPU, the one given back last being taken first."""

    def __init__(self) -> None:
        self._stack = np.empty(1024, dtype=np.int64)
        self._top = 0
        self.size = 0

    def take(self, n: int) -> np.ndarray:
        """n free slots; new ones once none are left."""
        reused = min(n, self._top)
        self._top -= reused
        fresh = np.arange(self.size, self.size + n - reused)
        self.size += n - reused
        return np.concatenate([self._stack[self._top : self._top + reused][::-1], fresh])

    def give(self, slots: np.ndarray) -> None:
        top = self._top + len(slots)
        if top > len(self._stack):
            self._stack = np.concatenate([self._stack, np.empty(top, dtype=np.int64)])
        self._stack[self._top : top] = slots
        self._top = top


def one_cache(object_size: int, cpu_partial: bool = True, sheaf_capacity: int = 0) -> tuple[tape.CacheSpec, ...]:
    """The caches of a scenario that needs only one. cpu_partial: SLUB keeps CPU partial lists for it; sheaf_capacity:
    what it asks for."""
    name = f"test-{object_size}"
    return (tape.CacheSpec(name, object_size, cpu_partial=cpu_partial, sheaf_capacity=sheaf_capacity),)


def workload(
    name: str,
    caches: tuple[tape.CacheSpec, ...],
    schedule: Schedule,
    tapes: Iterable[np.ndarray],
    *,
    slots: int,
    cgroups: int,
) -> tape.Workload:
    """A scenario that is written: finished tapes, a CPU each, and the schedule that they wait for."""
    return tape.Workload(
        name=name,
        caches=caches,
        tapes=tuple(tapes),
        events=schedule.events,
        slots=slots,
        cgroups=cgroups,
        marks=schedule.marks,
    )


def slot_bases(sizes: Sequence[int] | np.ndarray) -> tuple[np.ndarray, int]:
    """(first slot of each CPU, number of slots): every CPU's slots start on a cache line of their own."""
    lines = [-(-size // CACHE_LINE_SLOTS) for size in sizes]
    ends = np.cumsum([0, *lines]) * CACHE_LINE_SLOTS
    return ends[:-1].astype(np.int64), int(ends[-1])


def deal(n: int, cpus: int) -> np.ndarray:
    """Bounds that cut n things into `cpus` parts of nearly equal size: part k is bounds[k]..bounds[k + 1]."""
    return np.arange(cpus + 1, dtype=np.int64) * n // cpus


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def some(share: float, number: int, *seeds: int) -> np.ndarray:
    """Which of `number` operations are of a sort that has this share; of seeds of its own, so nothing else changes."""
    return np.random.default_rng(seeds).random(number) < share


def frees(slots: np.ndarray, rcu: np.ndarray, nolock: np.ndarray | None = None) -> np.ndarray:
    """Frees of slots; `rcu` says which are kfree_rcu, `nolock` which of the others may not spin."""
    words = tape.op(tape.OP_FREE, c=slots)
    if nolock is not None:
        words[nolock & ~rcu] |= tape.FLAG
    words[rcu] += tape.OP_KFREE_RCU - tape.OP_FREE
    return words


def touch(cgroup: int, slot: int) -> np.ndarray:
    """Allocate one object of cache 0 and free it: the first use that has a child cache created."""
    return np.concatenate([tape.op(tape.OP_ALLOC, b=cgroup, c=slot), tape.op(tape.OP_FREE, c=slot)])


def first_round(cgroup: int) -> int:
    """The round in which a cgroup is used first, where they come `one_after_another`."""
    return 1 + (cgroup - 1) * ROUNDS_PER_CGROUP


def one_after_another(schedule: Schedule, cgroups: int, mark: str) -> int:
    """Schedule the lives of cgroups 1..cgroups, each of three rounds: created, at work, offline.

    mark: the name of the event by which its caches are sure to be there, with the cgroup's number for {}.
    Returns the first round after the last one's.
    """
    for cgroup in range(1, cgroups + 1):
        first = first_round(cgroup)
        schedule.create(cgroup, first)
        schedule.mark(mark.format(cgroup), first + 1)
        schedule.offline(cgroup, first + 2)
    return first_round(cgroups + 1)


def warm_cgroups(schedule: Schedule, charged: bool, number: int = 1) -> int:
    """Schedule the creation of cgroups 1..number (if any are to be charged) and what `warm_up` waits for.

    Returns the cgroup to allocate for: 1, or 0 for the root.
    """
    for cgroup in range(1, number + 1 if charged else 1):
        schedule.create(cgroup, 1)
    schedule.mark("caches are warm", 2)
    return int(charged)


def warm_up(out: Tape, schedule: Schedule, cgroup: int, slot: int) -> None:
    """Rounds 1 and 2 of a tape: use cache 0 once, then wait until its child is sure to be there.

    The kworker takes creations and events from one queue, so the event of round 2 comes after
    every creation asked for in round 1.
    """
    out.round(1, schedule.done_by(1))
    out.plain(touch(cgroup, slot))
    out.round(2, schedule.done_by(2))
