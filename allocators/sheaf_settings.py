"""Sizes of sheaves and barns: constants of a kernel, words of a segment here, so no program is compiled for them.

An RFC of May 2026 makes them writable for each cache (Harry Yoo, 8 patches, not merged); a design may set them for all
its caches: ``linux-7.0:sheaf_capacity=64,barn_sheaves=20``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

MAX_FULL = MAX_EMPTY = 10  # sheaves of each kind in a barn (v7.0 MAX_FULL_SHEAVES, MAX_EMPTY_SHEAVES)
MOST_CAPACITY = 1020
MOST_BARN = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class SheafSettings:
    """What a kernel has as constants. capacity: of every sheaf, 0: as the design has it; max_full, max_empty: sheaves
    that a barn keeps. ValueError for what cannot be."""

    capacity: int = 0
    max_full: int = MAX_FULL
    max_empty: int = MAX_EMPTY

    def __post_init__(self) -> None:
        if not 0 <= self.capacity <= MOST_CAPACITY:
            raise ValueError(f"a sheaf can hold 1 to {MOST_CAPACITY} objects, not {self.capacity}")
        for name in ("max_full", "max_empty"):
            if not 0 <= getattr(self, name) <= MOST_BARN:
                raise ValueError(f"{name} of a barn must be 0 to {MOST_BARN}, not {getattr(self, name)}")


AS_THE_KERNEL = SheafSettings()


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """A number that a design may set. needs: the switch without which it means nothing."""

    name: str
    least: int
    most: int
    needs: str
    summary: str

    @property
    def range(self) -> str:
        return f"{self.least} to {self.most}"


SETTINGS: dict[str, Setting] = {
    one.name: one
    for one in (
        Setting("sheaf_capacity", 1, MOST_CAPACITY, "F_SHEAF", "objects in a sheaf, of every cache that has sheaves"),
        Setting("barn_sheaves", 0, MOST_BARN, "F_SHEAF", "full sheaves that the barn of a node keeps, and empty ones"),
    )
}


def with_settings(base: SheafSettings, values: Iterable[tuple[str, int]]) -> SheafSettings:
    """What `values` say by the names of `SETTINGS`, and of the rest what `base` says."""
    for name, value in values:
        if name == "sheaf_capacity":
            base = dataclasses.replace(base, capacity=value)
        else:
            base = dataclasses.replace(base, max_full=value, max_empty=value)
    return base


def room_for(settings: Iterable[SheafSettings]) -> SheafSettings:
    """The least that all of these fit into."""
    every = list(settings) or [AS_THE_KERNEL]
    return SheafSettings(*(max(getattr(one, f.name) for one in every) for f in dataclasses.fields(SheafSettings)))
