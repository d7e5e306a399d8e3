"""Launch after launch: a trial, then as many as are asked for, each with tapes of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np

from scenarios.tape import SECTIONS, Workload
from stress.measure import turns
from stress.measure.turns import Turns
from stress.play.arena import Arena
from stress.play.launch import Launch, Setup, Storm
from stress.play.turns import in_turns
from stress.process import host

WORTH = 3.0  # times as long as its preparation a launch may last
LAUNCH_SECONDS = 1.5  # of a launch, its preparation included: of which three fifths are play on the default storm
TURN_NS = 1.5e6  # of a turn, about: long beside what it costs to change worlds, short beside the machine's moods
LONG_STORM = 0.5  # seconds of one under all designs, from which it is not worth another to complete a round
MOST_STORMS = 1000  # of a launch: what they took is kept until its end
NAP_US = 2000  # that the kworker sleeps in timed turns if nobody calls it; SLAB's timers are looked at as often


@dataclasses.dataclass(frozen=True, slots=True)
class Launched:
    """What one launch measured. failed[design]: allocations that found no memory. disturbed: of all designs together.
    spins[design]: frees that spun (feature SPIN), and spun[design]: their cycles. operations[kind]: of each design in
    timed sections, those that were interrupted among them."""

    table: Turns
    failed: np.ndarray
    disturbed: host.Counters
    spins: np.ndarray
    spun: np.ndarray
    operations: np.ndarray


class Launches:
    """The launches of one measurement.

    setup: see there. tapes: of each launch by its number, not cut. size: operations of a turn on a CPU, to begin with.
    tick: called some times a second with each design's number and world.
    """

    def __init__(
        self,
        setup: Setup,
        tapes: Callable[[int], Workload],
        size: int,
        cycles_per_ns: float,
        seed: int,
        tick: Callable[[int, Arena], None] = lambda design, arena: None,
    ) -> None:
        self._setup, self._tapes, self._size, self._cycles_per_ns = setup, tapes, size, cycles_per_ns
        self._rng = np.random.default_rng(seed)
        self._tick = tick
        self._footprint: np.ndarray | None = None
        self.number = 0  # of those that were measured
        self._prepared = 0.0  # seconds that the last one took before its first storm

    def try_out(self) -> None:
        """A storm that is not counted, to learn which pages worlds use. Raises as `Launch` does."""
        with self._launched() as launch:
            launch.play(self._tick)
            self._footprint = launch.pages_used()

    def fitting(self, seconds: float, least: int) -> float:
        """Seconds of a launch, so that `least` of them and a trial fit into so many.

        One that is cheap to prepare is short: many of them tell more of the luck of one than few that are long.
        """
        return min(LAUNCH_SECONDS, WORTH * self._prepared, seconds / (least + 1))

    def measure(self, seconds: float, look: Callable[[Storm], None] = lambda storm: None) -> Launched:
        """The next launch, of so many seconds, its preparation included: a storm or more, and unless they are long
        whole rounds of them, in which every design is once in each world. look: called after each, worlds at rest.

        Raises as `Launch` does.
        """
        until = time.monotonic() + seconds
        cycles: list[list[list[np.ndarray]]] = []
        times: list[list[np.ndarray]] = []
        counts = np.zeros((3, len(self._setup.designs)), np.int64)  # failed, spins, spun
        with self._launched() as launch:
            before = _counters(launch)
            began = time.monotonic()
            while (
                not times
                or (len(times) < MOST_STORMS and time.monotonic() < until)
                or self._amid_round(len(times), began)
            ):
                storm = launch.play(self._tick)
                cycles.append(storm.cycles)
                times.append(storm.turns)
                plays = [arena.plays() for arena in storm.arenas]
                counts += [[int(of[name].sum()) for of in plays] for name in ("failed", "spins", "spun")]
                look(storm)
            disturbed = _counters(launch).since(before)
            tapes = [(s.kind, s.operations, s.turn) for s in launch.sections]
        table = turns.tabulate(tapes, cycles, times, self._cycles_per_ns)
        if self.number == 0:
            self._size = max(1, round(self._size * TURN_NS / max(1.0, float(np.median(table.took)))))
        self.number += 1
        played = sum(np.bincount(kind, ops, minlength=len(SECTIONS)) for kind, ops, _ in tapes)
        return Launched(table, counts[0], disturbed, counts[1], counts[2], len(times) * np.asarray(played))

    def _amid_round(self, storms: int, began: float) -> bool:
        return storms % len(self._setup.designs) > 0 and time.monotonic() - began < LONG_STORM * storms

    @contextlib.contextmanager
    def _launched(self) -> Iterator[Launch]:
        began = time.monotonic()
        load = in_turns(self._tapes(self.number), self._size)
        with Launch(self._setup, load, self._rng, self._footprint) as launch:
            self._prepared = time.monotonic() - began
            yield launch


def _counters(launch: Launch) -> host.Counters:
    members = launch.crew.members
    pinned = [w.pinned for w in members if w.pinned is not None]
    return host.read_counters(launch.crew.pids, pinned, members[-1].pid)
