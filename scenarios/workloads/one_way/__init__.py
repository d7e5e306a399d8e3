"""one-way: some CPUs only allocate, others only free what those allocated, two rounds later.

So it is where a request is made on one CPU and ends on another: block layers, networks. Objects never come back to the
CPU that needs them but through the node. It was asked again in February 2026 (ublk on a machine of eight nodes: 36
million requests a second with CPU partial lists, 13 with sheaves alone).

Expect of linux-3.16 to 6.17 a `list_lock` for each batch of CPU_PARTIAL_DRAIN, and one for what a CPU that allocates
gets. With sheaves and both on one node, full sheaves go through the barn: FREE_FASTPATH and ALLOC_PCS near the number
of operations, BARN_PUT and BARN_GET one for each sheaf's capacity. Between two nodes no sheaf takes the objects: every
free is FREE_SLOWPATH. With one CPU it allocates and frees itself.

A CPU on a node without memory (`--memoryless`) has no barn in linux-7.0: each of its allocations is ALLOC_SLOWPATH and
takes a `list_lock`; linux-7.1 gives it one.

`may_not_block=1` is how block layers ask first. Between two nodes expect of linux-7.0-rc1 ALLOC_SLOWPATH and a
`list_lock` for each allocation; of linux-7.0 one to three for each sheaf's capacity.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from scenarios.parameters import BURST, MEGA, Charged, KfreeRcu, MayNotBlock, NoLock, SheafCapacity
from scenarios.scenario import Scenario
from scenarios.settings import count, size

Pairing = Literal["neighbours", "halves"]


class OneWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rounds: Annotated[int, count(1, 65536, "batches each CPU that allocates makes")] = 64
    batch: Annotated[int, count(1, MEGA, "objects in a batch")] = 4096
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    pairing: Annotated[
        Pairing,
        msgspec.Meta(
            description="who frees for whom: CPU 1 for CPU 0, 3 for 2 and so on, mostly on one node; or the last half "
            "for the first one, on two nodes if there are"
        ),
    ] = "neighbours"
    charged: Charged = True
    sheaf_capacity: SheafCapacity = 0
    may_not_block: MayNotBlock = 0.0
    kfree_rcu: KfreeRcu = 0.0
    nolock: NoLock = 0.0

    def planned_operations(self, cpus: int) -> int:
        return 2 * max(1, cpus // 2) * self.rounds * self.batch + 2 * cpus

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"batch": BURST, "rounds": max(2, each // BURST)}


SCENARIO = Scenario(
    "one-way",
    "Some CPUs only allocate, others only free what those allocated; live caches.",
    OneWay,
    f"{__name__}.tapes",
    order=45,
)
