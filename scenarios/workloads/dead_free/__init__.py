"""dead-free: fill a child cache, take its cgroup offline, free everything into the dead cache.

Christoph Lameter and Vladimir Davydov argued about what it costs to free into a cache that may hoard
nothing any more; nobody measured it for SLUB. Here each cgroup in turn fills `slabs` slabs of
`object_size`, goes offline, and only then do the CPUs free, all at once. Sequential order gives each
CPU a run of whole slabs; random order deals the objects of every slab to all CPUs.

Expect of linux-3.16 that the cache is left with empty slabs on the CPU partial lists and up to
min_partial on the node, for ever; of v3 that it dies with its last object, at the price of one more
list_lock acquisition and page CAS for each slab that was full (FREE_ADD_PARTIAL and
FREE_REMOVE_PARTIAL up, CPU_PARTIAL_DRAIN gone). FREE_FASTPATH is 0 under all designs: no CPU has a
CPU slab of a dead cache. With fill_cpus=1 the other CPUs free into a cache they never used: they got
no flush IPI at the offline, so v1 has not closed their partial list and leaves slabs behind (R12).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import MEGA, FreeOrder
from scenarios.scenario import Scenario
from scenarios.settings import count, size
from scenarios.sizing import cgroups_of_slabs, objects_per_slab


class DeadFree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    slabs: Annotated[int, count(1, MEGA, "slabs of each child cache, all CPUs together")] = 1024
    object_size: Annotated[int, size(8, 32768, "size of an object")] = 256
    free_order: FreeOrder = "random"
    cgroups: Annotated[int, count(1, 65536, "cgroups filled, removed and emptied, one after another")] = 16
    fill_cpus: Annotated[int, count(0, 1024, "CPUs that allocate; all of them free; 0 is every CPU")] = 0

    def planned_operations(self, cpus: int) -> int:
        per_slab = objects_per_slab(self.object_size, cpus)
        return 2 * self.cgroups * (self.slabs * per_slab + 1)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"slabs": 8 * cpus, "cgroups": cgroups_of_slabs(each, 8)}


SCENARIO = Scenario(
    "dead-free",
    "Fill a child cache, take its cgroup offline, free everything: what a free into a dead cache costs.",
    DeadFree,
    f"{__name__}.tapes",
    order=30,
)
