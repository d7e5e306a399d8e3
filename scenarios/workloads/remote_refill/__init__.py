"""remote-refill: one node has slabs with free objects in plenty, the CPUs of another need objects and have none.

What does it cost to look there? 7.0 refills a sheaf from the slabs of all nodes before it takes new ones
(46dea1744498); with `list_lock` taken as anywhere, will-it-scale lost 46.5 % on two nodes (LKP 202601132136,
January 2026), and the lock's slow path had 72.5 % of the cycles. Since 40fd0acc45d0 another node's lock is only
tried.

The CPUs of the last half fill slabs, then free all but one object of each, so their node has them on its list.
Those of the first half allocate batches and free them, again and again; what they free is of the other node and
goes to its slabs. Needs two nodes (`--nodes 2`) and two CPUs.

Expect of linux-7.0 and linux-7.0-F_REMOTETRY the same counts in serial play, as a lock that nobody holds is had by
trying too: most frees of the first half are FREE_SLOWPATH, and ALLOC_SLAB is what the last half fills, and one in
43 refills, which does not look at other nodes. In virtual time on many CPUs of linux-7.0-F_REMOTETRY a `list_lock`
of the last node that is waited for; of linux-7.0 less of that, and new slabs of the first node instead.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import BURST, MEGA
from scenarios.scenario import Scenario
from scenarios.settings import count, size
from scenarios.sizing import objects_per_slab


class RemoteRefill(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    slabs: Annotated[int, count(1, MEGA, "slabs that each CPU of the last half fills, and thins out")] = 64
    batch: Annotated[int, count(1, MEGA, "objects that each CPU of the first half allocates, then frees")] = 256
    rounds: Annotated[int, count(1, 65536, "how often")] = 64
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256

    def planned_operations(self, cpus: int) -> int:
        filled = self.slabs * objects_per_slab(self.object_size, cpus)
        return 2 * cpus * (max(self.rounds * self.batch, filled) + 1)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"batch": BURST // 8, "rounds": max(2, each // (2 * BURST // 8))}


SCENARIO = Scenario(
    "remote-refill",
    "A node without free objects beside one that has many: refills from another node's slabs.",
    RemoteRefill,
    f"{__name__}.tapes",
    order=47,
)
