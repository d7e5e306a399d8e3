"""What the comparison found, as data."""

from __future__ import annotations

import msgspec

from stress.judge.ratio import Ratio


class Player(msgspec.Struct, kw_only=True, frozen=True):
    """One program. file: of a library. missing: why there are no figures of it; None when there are."""

    name: str
    about: str
    file: str = ""
    missing: str | None = None


class Cell(msgspec.Struct, kw_only=True, frozen=True):
    """One workload for objects of one size on one or two CPUs.

    nanoseconds: program -> median time of a CPU per operation, an allocation or a free, the engine's own time
    included. ratios: program -> other program -> the former's time over the latter's, over paired blocks; the
    others are the baseline and those that a goal names. objects: alive between the blocks.
    """

    workload: str
    size: int
    cpus: int
    objects: int
    rounds: int
    nanoseconds: dict[str, float]
    ratios: dict[str, dict[str, Ratio]]


class Held(msgspec.Struct, kw_only=True, frozen=True):
    """Memory for objects of one size, in bytes: asked for, held by each program then, and held when all were freed."""

    size: int
    asked: int
    full: dict[str, int]
    left: dict[str, int]


class Peers(msgspec.Struct, kw_only=True, frozen=True):
    """The whole comparison. baseline: the program that ratios are to."""

    baseline: str
    players: list[Player]
    cells: list[Cell]
    memory: list[Held]
