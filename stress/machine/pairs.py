"""What takes two CPUs, or two on one: a line that goes to and fro, and a sleeper that is woken.

The partner is a thread: compiled code lets go of Python's lock, and what it is pinned to is its own.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from shm.machine import Machine
from stress.machine import probes
from stress.machine.memory import Buffer
from stress.machine.probes import LINE, probe
from stress.machine.result import Measured
from stress.machine.singles import pinned
from stress.machine.timing import Clock, Times, repeated
from stress.machine.topology import Topology
from stress.process.errors import DamagedRun

HANDOVERS = 2_000  # of each side, in a block
WAKES = 200
PAIRS = 48  # of each relation, at most
LEAST_BLOCKS, MOST_BLOCKS = 3, 400  # of a pair
READY_SECONDS = 5.0

HOWS = {
    "complex": "cores that share a last-level cache",
    "node": "cores of one node that do not",
    "remote": "cores of different nodes",
}


class _Partner(threading.Thread):
    """Runs `work` pinned to a CPU, as a daemon: a partner that hangs must not keep the program from ending."""

    def __init__(self, cpu: int, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._cpu, self._work = cpu, work
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with pinned(self._cpu):
                self._work()
        except BaseException as error:  # for whoever joins
            self.error = error


@contextmanager
def partner(cpu: int, work: Callable[[], object], ready: Callable[[], bool]) -> Iterator[None]:
    """Within it another thread does `work` on this CPU; entered when `ready` says so, left when it has ended.

    Raises DamagedRun if it does not begin, and what it raises.
    """
    thread = _Partner(cpu, work)
    thread.start()
    until = time.monotonic() + READY_SECONDS
    while not ready():
        if not thread.is_alive() or time.monotonic() > until:
            raise DamagedRun(f"nothing began to run on CPU {cpu} within {READY_SECONDS:g} s") from thread.error
        time.sleep(0)
    yield
    thread.join(READY_SECONDS)
    if thread.error is not None or thread.is_alive():
        raise DamagedRun(f"what ran on CPU {cpu} did not end as it should") from thread.error


def measure_pairs(
    found: Topology, cpus: Sequence[int], seconds: float, clock: Clock = time.perf_counter_ns
) -> dict[str, Measured]:
    """Relation -> a handover of a line between two cores that are so related, over their pairs (a sample of many).

    The spread is that between pairs. Nothing for a relation that no two of these CPUs have.
    """
    kinds: dict[str, list[tuple[int, int]]] = {}
    for one, other in itertools.combinations(cpus, 2):
        kinds.setdefault(found.relation(one, other), []).append((one, other))
    measured = {}
    with Buffer(1 << 20) as buffer:
        m = buffer.machine()
        for kind, pairs in kinds.items():
            chosen = pairs[:: -(-len(pairs) // PAIRS)]
            share = seconds / len(kinds) / len(chosen)
            times: list[float] = []
            for one, other in chosen:
                of_pair = _handovers(buffer, m, one, other, share, clock)
                # One pair: its blocks show the spread. Several: a median of each, so that all weigh the same.
                times += of_pair.ns if len(chosen) < 4 else (median(of_pair.ns),)
            how = f"a line that goes to and fro, of {len(chosen)} of {len(pairs)} pairs of {HOWS[kind]}"
            measured[kind] = Times(tuple(times)).measured(kind, how)
    return measured


def _handovers(buffer: Buffer, m: Machine, one: int, other: int, seconds: float, clock: Clock) -> Times:
    word = buffer.base
    ready = word + 4 * LINE

    def play(first: int) -> None:
        if not probe(m, probes.PASS, word, ready, first, HANDOVERS, 0):
            raise DamagedRun(f"CPUs {one} and {other}: one waited in vain for the other")

    times: list[float] = []
    until = time.monotonic() + seconds
    with pinned(one):
        while len(times) <= LEAST_BLOCKS or (time.monotonic() < until and len(times) < MOST_BLOCKS):
            buffer.array[word : ready + 2] = 0
            with partner(other, lambda: play(1), lambda: buffer.array[ready + 1] != 0):
                began = clock()
                play(0)
                times.append((clock() - began) / (2 * HANDOVERS))
    return Times(tuple(times[1:]))


def measure_wakeup(cpu: int, seconds: float, clock: Clock = time.perf_counter_ns) -> Measured:
    """A sleeper on this CPU is woken and runs, as the worker thread of a queue that is bound to it."""
    with Buffer(1 << 20) as buffer:
        m = buffer.machine()
        mine, other, ready = (buffer.base + at * LINE for at in (0, 4, 8))

        def sleeper() -> None:
            buffer.array[ready] = 1
            probe(m, probes.DOZE, other, mine, 1, WAKES, 0)

        def block() -> int:
            buffer.array[mine : ready + LINE] = 0
            with partner(cpu, sleeper, lambda: buffer.array[ready] != 0):
                if not probe(m, probes.DOZE, mine, other, 0, WAKES, 0):
                    raise DamagedRun(f"CPU {cpu}: a sleeper was not woken")
            return 2 * WAKES

        with pinned(cpu):
            times = repeated(block, seconds, clock)
    return times.measured(
        "wakeup", f"futex(2): two threads on CPU {cpu} wake each other, {WAKES} times each in a block"
    )
