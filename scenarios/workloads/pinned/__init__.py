"""pinned: cgroups go offline with full caches; one long-lived object per slab stays, then goes too.

A slab with one live object cannot be given back, so a few forgotten dentries pin a whole dead
cache and, through its css reference, its memcg. That much every per-tenant allocator must suffer; what
differs is what happens when the last of them goes.

Expect all designs to hold every slab while the pins live (`slabs` per cache, hardly any empty). When
the pins go, linux-3.16 keeps each cache for ever with its empty slabs hoarded; v3 destroys each
within a grace period of its last free, and so does v1, since every CPU has used every cache.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import MEGA
from scenarios.scenario import Scenario
from scenarios.settings import count, size
from scenarios.sizing import cgroups_of_slabs, objects_per_slab


class Pinned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cgroups: Annotated[int, count(1, 65536, "cgroups removed together")] = 32
    slabs: Annotated[int, count(1, MEGA, "slabs of each child cache, all CPUs together")] = 256
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 192
    hold: Annotated[int, count(0, 4096, "rounds during which only the long-lived objects are left")] = 4

    def planned_operations(self, cpus: int) -> int:
        per_slab = objects_per_slab(self.object_size, cpus)
        return 2 * self.cgroups * (self.slabs * per_slab + 1)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"slabs": 4 * cpus, "cgroups": cgroups_of_slabs(each, 4)}


SCENARIO = Scenario(
    "pinned",
    "One long-lived object per slab keeps dead caches alive, then goes: do the caches go with it?",
    Pinned,
    f"{__name__}.tapes",
    order=50,
)
