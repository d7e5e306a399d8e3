"""pairs: allocate a few objects and free them at once, over and over: the microbenchmark.

What do the fast paths cost? With batch=1 every operation is a fast one and touches one object; with
batch=32, the customary figure, a CPU slab of small objects still serves almost all of them. Each CPU
works for a cgroup of its own, so that CPUs meet on no slab; shared=true lets them use one child cache.

Expect no difference between designs at all: no switch touches the fast paths except the
non-preemptible free of v3, which moves one instruction.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import MEGA, Charged
from scenarios.scenario import Scenario
from scenarios.settings import count, size


class Pairs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    operations: Annotated[int, count(2, 64 * MEGA, "allocations and frees per CPU")] = 65_536
    batch: Annotated[int, count(1, 65536, "objects allocated before as many are freed; 1 is alloc+free pairs")] = 32
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 64
    charged: Charged = True
    shared: Annotated[bool, msgspec.Meta(description="one cgroup for all CPUs, not one for each")] = False

    @property
    def batches(self) -> int:
        """Batches each CPU plays."""
        return max(1, self.operations // (2 * self.batch))

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.batch * self.batches + 1)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"operations": each - each % 64}


SCENARIO = Scenario(
    "pairs",
    "Allocate and free at once, in pairs or small batches: the microbenchmark of the fast paths.",
    Pairs,
    f"{__name__}.tapes",
    order=60,
)
