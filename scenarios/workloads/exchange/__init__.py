"""exchange: two CPUs of one cgroup, each allocates an object and frees one of the other's, in turn.

What becomes of the stock of charges? So threads do that pass messages to and fro. Linux 7.1 gave each memcg an
obj_cgroup for each node (01b9da291c49); between two nodes what a CPU allocates and what it frees are of two of
them, and a stock of one slot is drained by each operation: stress-ng.switch fell from 38.3 to 12.4 million
operations a second (LKP, May 2026). A stock that serves the memcg gave all but 1.4 % back; one of five slots took
its place in 7.2.

Expect on two nodes (`--nodes 2`), of `drain_obj_stock` for each operation beyond the first and last rounds: of
linux-5.9 to linux-7.0 none, as there is one obj_cgroup; of linux-7.1-F_STOCKMEMCG one; of linux-7.1 and linux-7.2
none. On one node none under any. CPU k and CPU k + CPUs / 2 are a pair. With one CPU it frees its own objects late.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import BURST, MEGA
from scenarios.scenario import Scenario
from scenarios.settings import count, size


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rounds: Annotated[int, count(1, 65536, "batches each CPU makes for the other")] = 64
    batch: Annotated[int, count(1, MEGA, "objects in a batch")] = 1024
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.rounds * self.batch + 1)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"batch": BURST // 4, "rounds": max(3, each // (2 * BURST // 4))}


SCENARIO = Scenario(
    "exchange",
    "Two CPUs of one cgroup allocate what the other frees, an object at a time: what charging costs.",
    Exchange,
    f"{__name__}.tapes",
    order=46,
)
