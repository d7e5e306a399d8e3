"""free-burst: allocate N objects, free N objects, again and again, while the cgroup stays online.

The question is the one asked of every change to a free path: what does the common case pay, where no cache ever
dies? All CPUs use one cache, so the node's list_lock is fought over as in a kernel.

Expect the same from every design: the patches add one predicate to `put_cpu_partial`, which is rare, and nothing to
the fast path; the statistics of v1, v3 and linux-3.16 agree. Random order makes nearly every free a slow one
(FREE_SLOWPATH, mostly FREE_FROZEN or no list work at all); sequential order empties one slab after the other, so
that FREE_REMOVE_PARTIAL and CPU_PARTIAL_DRAIN follow the slabs.

Bursts of one CPU that its caches hold take no `list_lock`. linux-5.9 holds what its CPU partial list does;
linux-7.0 two sheaves, and ten in the barn, which the CPUs of a node share: 720 objects of 128 bytes. linux-6.18 has
both, one behind the other, for a cache that asks (`sheaf_capacity=32`): of bursts of 500 it takes half the locks
that either takes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import BURST, MEGA, Charged, FreeOrder, KfreeRcu, MayNotBlock, SheafCapacity
from scenarios.scenario import Scenario
from scenarios.settings import count, size


class FreeBurst(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    objects: Annotated[int, count(1, 16 * MEGA, "objects each CPU allocates and then frees")] = 8192
    bursts: Annotated[int, count(1, 65536, "how many times")] = 2
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    free_order: FreeOrder = "random"
    charged: Charged = True
    sheaf_capacity: SheafCapacity = 0
    may_not_block: MayNotBlock = 0.0
    kfree_rcu: KfreeRcu = 0.0

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.objects * self.bursts + 1)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"objects": BURST, "bursts": max(2, each // (2 * BURST))}


SCENARIO = Scenario(
    "free-burst",
    "Allocate many objects, then free them all, in live caches: what the common case pays.",
    FreeBurst,
    f"{__name__}.tapes",
    order=20,
)
