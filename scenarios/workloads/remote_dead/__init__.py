"""remote-dead: fill a child cache on CPU 0, remove its cgroup, free everything on one CPU of choice.

What the program behind the remote census of Linux 3.16 did: 4,096 objects of 256 bytes. v1 closes a
dead cache's CPU partial list by a sentinel that its flush plants, and the flush reaches only CPUs that
hold something of the cache. So who frees, and whether that CPU ever used the cache, decides (R12).

Expect of linux-3.16 a handful of empty slabs whoever frees. Of v1 nothing when CPU 0 frees, 4 slabs
when a CPU frees that never used the cache, and again nothing with marked=true, when every CPU held a
CPU slab at the removal. Of v3, v1+F_ALLCPU and linux-4.0 nothing at all.

The census names its phases rXYZ: X = 1 every CPU held a CPU slab (marked), Y the CPU that frees, Z the
order: 0 as allocated, 1 the other way round, 2 permuted. Recorded with X = 1 are two slabs more with
six live objects in them: three more on each CPU. They are freed last, each by its own CPU.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from scenarios.parameters import MEGA
from scenarios.scenario import Scenario
from scenarios.settings import count, size

RecordedOrder = Literal["fifo", "lifo", "permuted"]


class RemoteDead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    objects: Annotated[int, count(1, 4 * MEGA, "objects CPU 0 allocates before the removal")] = 4096
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    free_cpu: Annotated[int, count(0, 1024, "the CPU that frees them; the last one if there are fewer")] = 1
    free_order: Annotated[
        RecordedOrder, msgspec.Meta(description="order of the frees against that of the allocations")
    ] = "fifo"
    marked: Annotated[bool, msgspec.Meta(description="every CPU holds a CPU slab of the cache at the removal")] = False

    def planned_operations(self, cpus: int) -> int:
        return 2 * (self.objects + 3 * cpus + 1)


SCENARIO = Scenario(
    "remote-dead",
    "Fill a child cache on CPU 0, remove its cgroup, free all on one CPU: what was recorded of Linux 3.16, "
    "r001 to r112.",
    RemoteDead,
    f"{__name__}.tapes",
    order=70,
)
