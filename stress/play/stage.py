"""What both ways to play are given, and what they keep of each pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from allocators.sheaf_settings import SheafSettings, room_for
from scenarios.tape import Workload
from stress.measure.records import RunRecord
from stress.play.arena import Arena, BlockSettings
from stress.play.census import pinned_now, take_census
from stress.play.compiled import STATS
from stress.play.options import RunOptions, Shape
from stress.play.passes import Passes
from stress.show.progress import Progress


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A run that is ready to be played.

    designs: name -> features of timed blocks, the one that is compared with first. sheaves: name -> the sizes that they
    have under it. settings: of blocks without a
    settling time. record: is filled. compare: called with a design's name while the arena still holds what its
    counted pass left. tapes: of each launch by its number, not cut. looked_at: takes what is done in counted passes.
    """

    arena: Arena
    designs: dict[str, frozenset[str]]
    sheaves: dict[str, SheafSettings]
    options: RunOptions
    settings: BlockSettings
    record: RunRecord
    progress: Progress
    compare: Callable[[str], None]
    tapes: Callable[[int], Workload]
    looked_at: Passes | None = None

    @property
    def shape(self) -> Shape:
        """Of the world, with room for every design's sheaves."""
        return self.options.world.shape | {"sheaves": room_for(self.sheaves.values())}

    def block(self, design: str, settings: BlockSettings) -> BlockSettings:
        """Of a block that this design plays."""
        return dataclasses.replace(settings, sheaves=self.sheaves[design])

    def counted(self, design: str, settings: BlockSettings) -> BlockSettings:
        """Of its counted pass: timers have their time after the last free, and samples are taken."""
        return dataclasses.replace(
            self.block(design, settings),
            settle_ns=self.options.world.settle_ns,
            curve=True,
            notes=self.looked_at is not None,
        )

    def keep_census(self, design: str, cycles_per_ns: float | None = None) -> None:
        """A counted pass has ended: its census goes into the record."""
        features = self.designs[design] | STATS
        self.record.censuses.append(take_census(self.arena, design, features, cycles_per_ns))
        if self.looked_at is not None:
            self.looked_at.keep(self.arena, design, cycles_per_ns)

    def show(self, share: float, frees_per_second: float, design: str, arena: Arena) -> None:
        """How far it is, and what is dead now in the world of a design."""
        dead, pages = pinned_now(arena)
        self.progress.update(share, dead, pages, frees_per_second, design)
