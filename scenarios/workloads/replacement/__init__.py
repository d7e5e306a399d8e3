"""replacement: random objects of many are freed and as many allocated in their place, for long.

What do sheaves do to the slabs? Christoph Lameter (January 2026): freed objects stay in a queue and do not go back
to their slab, and what is allocated in a row comes from many slabs, so there are more partial slabs, and a CPU
touches more pages; benchmarks do not show it. Nobody gave a figure.

With `release=false` the objects are still there at the end, and `run` says how they lie: slabs, those that are full
of them, free objects that sheaves and barns keep, and how many slabs 64 allocations in a row are of.

Expect, of one CPU with 512 of 1024 objects of 256 bytes, which fill 32 slabs at best, batches of 256: of linux-5.9 64
allocations in a row from 7 slabs, as a CPU takes what is free in one slab after the other, and in time 32 slabs; of
linux-7.0 from some 40, since it gets back what it freed last, and 65 slabs for good. What decides is whether two
sheaves and the ten of a barn hold a batch: if not, there is little difference, so larger sheaves scatter more.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import BURST, LEAST, MEGA, SheafCapacity
from scenarios.scenario import Scenario
from scenarios.settings import count, number, size


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    objects: Annotated[int, count(64, MEGA, "objects that each CPU holds")] = 4096
    steps: Annotated[int, count(0, 64 * MEGA, "objects of each CPU that are replaced")] = 65536
    density: Annotated[float, number(0.05, 1.0, "share of the objects that is held while they are replaced")] = 0.5
    batch: Annotated[int, count(1, MEGA, "objects that are freed before as many are allocated")] = 256
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    sheaf_capacity: SheafCapacity = 0
    release: Annotated[bool, msgspec.Meta(description="free all at the end; false: see how they lie")] = True

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.objects + self.steps)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"objects": BURST // 2, "steps": max(LEAST, (each - 2 * BURST) // 2)}


SCENARIO = Scenario(
    "replacement",
    "Random objects are freed and replaced: how many slabs they lie in, and how scattered.",
    Replacement,
    f"{__name__}.tapes",
    order=35,
)
