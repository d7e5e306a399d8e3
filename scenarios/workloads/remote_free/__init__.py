"""remote-free: every CPU frees what its neighbour allocated, two rounds later; the cgroup stays online.

A remote free never finds its slab under its own CPU, so it takes the slow path: it contends for the
page's freelist with the owner, and where it meets a full slab it freezes the slab onto its own CPU
partial list and so steals it. A network stack that allocates on one CPU and frees on another does this.

Expect FREE_FASTPATH near 0, CPU_PARTIAL_FREE about one per slab, CPU_PARTIAL_DRAIN behind it, and no
difference between linux-3.16, v1 and v3 beyond noise: the caches are live. With one CPU there is no
neighbour; the CPU frees its own objects late.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import BURST, MEGA, Charged
from scenarios.scenario import Scenario
from scenarios.settings import count, size


class RemoteFree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rounds: Annotated[int, count(1, 65536, "batches each CPU allocates for its neighbour to free")] = 64
    batch: Annotated[int, count(1, MEGA, "objects in a batch")] = 4096
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    charged: Charged = True
    cpu_partial: Annotated[
        bool,
        msgspec.Meta(description="SLUB keeps CPU partial lists for the cache; false: as before 3.2, or configured out"),
    ] = True

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.rounds * self.batch + 1)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"batch": BURST, "rounds": max(2, each // (2 * BURST))}


SCENARIO = Scenario(
    "remote-free",
    "Every CPU frees what its neighbour allocated: the slow path of the free, live caches.",
    RemoteFree,
    f"{__name__}.tapes",
    order=40,
)
