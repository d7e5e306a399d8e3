"""One depth-first search in several processes: they share the states that were visited, and hand work to whoever has
none.

The processes are forked from one that has begun the search, and take what it had left. A process that
runs dry is given the choices at the shallowest open decision of another one (`DepthFirst.give`). That a
state counts as visited when some process has entered it is sound: what it entered it explores, and the
search is over only when every process is. One that learns about shared words ends the round (see
`stress.explore.search`); it reports the execution, from which the others learn the same.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

from stress.explore.search.depth_first import DepthFirst, Item, Seen
from stress.explore.space.space import Outcome, Space
from stress.process import ending
from stress.process.ending import live_with_parent
from stress.process.errors import DamagedRun
from stress.process.failures import as_stress_error

_BITS = 22  # of the table: 4 million states, 32 MiB
_PROBES = 64
_SOON, _LATER = 0.001, 0.02  # seconds between two looks: at first, and at a search that goes on
_IDLE, _STOP, _COUNTS = 0, 1, 2


class SharedSeen:
    """As `Seen`, in memory that processes share: a word per state, without locks.

    A word has 40 bits of the state's hash (22 more are its place), 16 of what sleeps, 8 of preemptions left.
    Words are written whole, so two processes that write one at the same time cost work, not states: both
    have entered it. A state that finds no place is entered every time.
    """

    def __init__(self, seen: Seen) -> None:
        self.words = memoryview(mmap.mmap(-1, 8 << _BITS)).cast("Q")
        self.run = self.count = 0
        for key, value in seen.states.items():
            self.enter(key, value >> 8 & 0xFFFF, value & 255)

    def enter(self, key: int, asleep: int, left: int) -> bool:
        words, mask = self.words, (1 << _BITS) - 1
        tag = key >> _BITS & 0xFF_FFFF_FFFF | 1 << 39
        for probe in range(_PROBES):
            at = key + probe & mask
            word = words[at]
            if word == 0 or word >> 24 == tag:
                if word and word & 255 >= left and word >> 8 & 0xFFFF & ~asleep == 0:
                    return False
                self.count += word == 0
                words[at] = tag << 24 | asleep << 8 | left
                return True
        return True

    def __len__(self) -> int:
        return self.count


class Ended(NamedTuple):
    """How a round ended. outcome: the execution that was wanted or learned from. cut, states: as in `DepthFirst`."""

    outcome: Outcome | None
    cut: bool
    states: int
    limit: str


KILLED = "a process of the search was killed; explore again, with --jobs 1 if memory is short"


class _Round:
    """What the processes of a round share. `control`: how many have no work, whether to stop, executions of each."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.context = multiprocessing.get_context("fork")
        self.control = memoryview(mmap.mmap(-1, 8 * (_COUNTS + 2 * jobs))).cast("q")
        self.lock = self.context.Lock()
        self.work, self.results = self.context.SimpleQueue(), self.context.SimpleQueue()

    def hungry(self) -> bool:
        """Does somebody wait for work? Whoever gets True owes it to them: no other process is told."""
        if self.control[_IDLE] == 0:
            return False
        with self.lock:
            if self.control[_IDLE] == 0:
                return False
            self.control[_IDLE] -= 1
            return True

    def wait(self) -> Item | None:
        """Work from another process; None: there is none left."""
        with self.lock:
            self.control[_IDLE] += 1
        return self.work.get()


def explore(
    space: Space,
    begun: DepthFirst,
    jobs: int,
    once: Callable,
    wanted: Callable[[Outcome], bool],
    spent: Callable[[int, int], str],
) -> Ended:
    """Finish a search that has begun. once(space, strategy): an execution; spent(schedules, points): is a limit
    reached?
    """
    assert isinstance(begun.seen, Seen), "begun by one process"
    round_, seen = _Round(jobs), SharedSeen(begun.seen)
    items = []
    while (item := begun.give()) is not None:
        items.append(item)
    processes = [
        round_.context.Process(
            target=_process,
            args=(round_, i, space, begun.bound, seen, items[i::jobs], once, wanted, os.getpid()),
            daemon=True,
        )
        for i in range(jobs)
    ]
    pause = _SOON
    ended, outcome, limit, cut, states, open_ = False, None, "", begun.cut, len(seen), set(range(jobs))
    try:
        with ending.held():
            for process in processes:
                process.start()
        while open_:
            ending.check()
            while not round_.results.empty():
                number, kind, value = round_.results.get()
                if kind == "refused":
                    raise DamagedRun(f"a process of the search has failed: {value}")
                if kind == "error":
                    raise RuntimeError(f"a process of the search has failed:\n{value}")
                if kind == "outcome":
                    outcome = outcome if outcome is not None and outcome.preemptions <= value.preemptions else value
                else:
                    open_.discard(number)
                    cut, states = cut or value[0], states + value[1]
            counts = round_.control[_COUNTS:].tolist()
            if not ended:
                limit = limit or spent(sum(counts[:jobs]), sum(counts[jobs:]))
                ended = bool(limit or outcome is not None or round_.control[_IDLE] == jobs)
                if ended:
                    round_.control[_STOP] = 1
                    for _ in processes:
                        round_.work.put(None)
            if any(not process.is_alive() and process.exitcode for process in processes):
                raise DamagedRun(KILLED)
            time.sleep(pause)
            pause = min(_LATER, 2 * pause)
    finally:
        for process in processes:
            if process.pid is not None:  # it was started
                if open_:
                    process.terminate()
                process.join()
    return Ended(outcome, cut, states, "" if outcome is not None else limit)


def _process(
    round_: _Round,
    number: int,
    space: Space,
    bound: int,
    seen: SharedSeen,
    backlog: list[Item],
    once,
    wanted,
    parent: int,
) -> None:
    """A process of the round."""
    live_with_parent(parent)  # Ctrl-C is the parent's to handle
    seen.count, cut = 0, False
    try:
        while (item := backlog.pop() if backlog else round_.wait()) is not None:
            strategy = DepthFirst(space, bound, seen, item)
            while not round_.control[_STOP]:
                outcome = once(space, strategy)
                round_.control[_COUNTS + number] += 1
                round_.control[_COUNTS + round_.jobs + number] += outcome.points
                if outcome.learned or wanted(outcome):
                    round_.results.put((number, "outcome", outcome))
                    round_.control[_STOP] = 1
                    break
                if round_.control[_IDLE] and (spare := backlog.pop(0) if backlog else strategy.give()) is not None:
                    if round_.hungry():
                        round_.work.put(spare)
                    else:
                        backlog.append(spare)
                if not strategy.advance():
                    break
            cut = cut or strategy.cut
            if round_.control[_STOP]:
                break
        round_.results.put((number, "end", (cut, len(seen))))
    except Exception as error:
        said = as_stress_error(error)
        told = ("error", traceback.format_exc()) if said is None else ("refused", str(said))
        round_.results.put((number, *told))
