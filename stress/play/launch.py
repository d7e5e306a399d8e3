"""A launch: worlds side by side, and the workers that play the designs in them by turns.

Every design of a run has a world of its own: a segment with the same tapes, cut into turns (`stress.play.turns`). The
workers and the kworker play a turn in one world, then the same turn in the next, in an order that is drawn anew for
each turn, forwards and backwards in pairs. So what is compared lies two milliseconds apart. Nobody leaves a turn
before all have done what they can in it, the kworker included: a world that rests has no work to do, and takes no
CPU.

Which design plays in which world changes from storm to storm, and each storm begins with a boot: the pages that a world
got make it a percent or two faster or slower than another one. What stays the same in a launch is that, where the
compiled code lies, and the tape; a run has many launches, whose spread is in the interval.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from scenarios.tape import Workload
from shm.machine import MACHINE
from shm.placement import MOST, STEP
from stress.play.arena import Arena, BlockSettings
from stress.play.census import signs_of_life
from stress.play.compiled import STATS
from stress.play.options import Shape
from stress.play.turns import Sections, sections_of
from stress.play.worker import Crew

OF_TAPES = frozenset({"SPIN", "TWIN"})  # features that concern CPUs that play tapes, not the kworker


@dataclasses.dataclass(frozen=True, slots=True)
class Storm:
    """One pass of the tapes under every design, by turns.

    cycles[design][cpu]: of each timed section, in the tape's order. turns[design]: TURN structs as [cpu, turn].
    arenas[design]: its world, until the next storm.
    """

    cycles: list[list[np.ndarray]]
    turns: list[np.ndarray]
    arenas: list[Arena]


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """What the launches of a run have in common.

    designs: name -> features, and settings: of a boot, each storm's with another seed. shape: of the world
    (`options.World.shape`). memory: bytes. patience: seconds without a sign of life. placement: the real CPU of each
    worker.
    """

    designs: Mapping[str, frozenset[str]]
    settings: Mapping[str, BlockSettings]
    allocator: str
    shape: Shape
    memory: int
    patience: float
    placement: list[int]


class Launch:
    """See the module's text; a context manager.

    load: cut into turns. footprint: pages of a world that storms use, as far as is known. Raises Lost, TimeoutError,
    UsageError.
    """

    def __init__(
        self, setup: Setup, load: Workload, rng: np.random.Generator, footprint: np.ndarray | None = None
    ) -> None:
        self.setup, self.load = setup, load
        self.footprint = np.empty(0, np.int64) if footprint is None else footprint
        self._rng = rng
        self.sections: list[Sections] = [sections_of(tape) for tape in load.tapes]
        self._features = list(setup.designs.values())
        self.storms = 0
        n = len(self._features)
        with contextlib.ExitStack() as stack:
            self.arenas: list[Arena] = []
            for _ in range(n):
                arena = Arena(
                    load,
                    setup.allocator,
                    features=frozenset().union(*self._features),
                    **setup.shape,
                    memory=setup.memory,
                    sections=self.sections,
                )
                stack.callback(arena.close)
                self.arenas.append(arena)
            first = self.arenas[0]
            self.turns = first.turns_in_tape
            kworker = first.kworker_cpu
            # The machine of design d in world w is w * n + d.
            machines = [
                [
                    arena.machine((features | STATS) - OF_TAPES if cpu == kworker else features, cpu)
                    for arena in self.arenas
                    for features in self._features
                ]
                for cpu in range(first.layout.nr_cpus)
            ]
            paddings = (STEP * rng.integers(MOST // STEP, size=len(machines))).tolist()
            self.crew = stack.enter_context(
                Crew(machines, first.run, setup.placement, paddings=paddings, populate=self._populate)
            )
            stack.callback(self._stop)
            self._close = stack.pop_all()

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *exc) -> None:
        self._close.close()

    def _stop(self) -> None:
        for arena in self.arenas:
            arena.words[MACHINE.stop] = 1

    def play(self, tick: Callable[[int, Arena], None] = lambda design, arena: None) -> Storm:
        """One storm. tick: called some times a second with each design's number and world."""
        n = len(self.arenas)
        worlds = self._placement()
        for design, world in self._rng.permutation(list(enumerate(worlds))).tolist():
            settings = list(self.setup.settings.values())[design]
            settings = dataclasses.replace(settings, seed=settings.seed + self.storms)
            self.arenas[world].reset(self._features[design], settings)

        def shown() -> None:
            for design, world in enumerate(worlds):
                tick(design, self.arenas[world])

        self.crew.command(*(worlds[d] * n + d for d in self._order()))
        try:
            self.crew.collect(self.setup.patience, shown, lambda: [signs_of_life(arena) for arena in self.arenas])
        except TimeoutError as error:
            raise TimeoutError(f"a launch of {', '.join(self.setup.designs)} hung: {error}") from None
        self.storms += 1
        played = [self.arenas[world] for world in worlds]
        return Storm(
            [arena.section_cycles() for arena in played],
            [arena.turns() for arena in played],
            played,
        )

    def _placement(self) -> list[int]:
        """The world of each design in this storm: in so many storms as there are designs each is once in each."""
        n = len(self.arenas)
        if self.storms % n == 0:
            self._designs, self._shifts = self._rng.permutation(n).tolist(), self._rng.permutation(n).tolist()
        return [(place + self._shifts[self.storms % n]) % n for place in self._designs]

    def pages_used(self) -> np.ndarray:
        """The pages that have memory in any of the worlds, and a few more.

        The workers of the next launch begin with these mapped. A design that hoards would else take the faults of the
        pages that it alone uses, in which no allocator has a part.
        """
        pages = np.unique(np.concatenate([arena.segment.touched() for arena in self.arenas]))
        return np.concatenate([pages, pages[-1] + 1 + np.arange(len(pages) // 8)])

    def _populate(self) -> None:
        for arena in self.arenas:
            arena.segment.populate(self.footprint)

    def _order(self) -> list[int]:
        """The design of each turn, in the order of play."""
        order: list[int] = []
        drawn: list[int] = []
        for turn in range(self.turns):
            drawn = drawn[::-1] if turn % 2 else self._rng.permutation(len(self.arenas)).tolist()
            order += drawn
        return order
