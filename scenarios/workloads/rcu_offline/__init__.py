"""rcu-offline: cgroups free their last objects with kfree_rcu, then go offline, one after another.

What does an object cost that waits to be freed? Objects in an rcu_free sheaf have their owner until a grace period
after the sheaf is full, and a sheaf that is not full waits for ever unless the cache is shrunk or destroyed. So
what a cgroup freed last stays charged, to its parent by then, and keeps its obj_cgroup, on an idle CPU for good
(derived from v7.0 mm/slub.c; nobody reported it).

Expect of linux-5.9 and linux-7.0-F_RCUSHEAF no object that is charged at the end: a batch waits for its grace
period, full or not. With sheaves of capacity C (60 for 128 bytes), G cgroups and k objects of each on one CPU:
(G·k) mod C objects are still charged, and keep as many obj_cgroups as k goes into that, rounded up. Larger sheaves
keep more.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import SheafCapacity
from scenarios.scenario import Scenario
from scenarios.settings import count, size


class RcuOffline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cgroups: Annotated[int, count(1, 65536, "cgroups, one after another")] = 64
    objects: Annotated[int, count(1, 65536, "objects of each on each CPU, all freed with kfree_rcu")] = 100
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 128
    sheaf_capacity: SheafCapacity = 0

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * self.cgroups * self.objects

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"cgroups": max(2, each // 200), "objects": 100}


SCENARIO = Scenario(
    "rcu-offline",
    "Cgroups free their last objects with kfree_rcu and go: what stays charged, and how long?",
    RcuOffline,
    f"{__name__}.tapes",
    order=55,
)
