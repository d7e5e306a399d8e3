"""offline-storm: cgroups come and go at random while objects of theirs are alive.

The question of the 2014 series: after hundreds of cgroups have been removed and everything
allocated for them has been freed, what is left of their caches?

Every CPU allocates in bursts, for cgroups of Zipf popularity (some confined to one CPU, as cpusets
do), from ten caches a kernel has. Lives are heavy-tailed, so a part of the objects outlives its
cgroup and is then freed on any CPU; of the others a part is freed on another CPU. At the bounds of
rounds cgroups are created and taken offline. The last rounds allocate nothing and free all that is
alive, so that what a census finds in caches of offlined cgroups afterwards is hoarded: empty slabs.

Expect linux-3.16 to keep nearly every dead cache that had an object at its offline, each with a few
slabs on the node's partial list and on CPU partial lists; v1 to leave a few, those into which a CPU
freed that had neither a CPU slab nor CPU partials of the cache at the offline (R12); v3 to leave none.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from scenarios.parameters import MEGA
from scenarios.scenario import Scenario
from scenarios.settings import ParameterError, count, number, share

CacheName = Literal[
    "kmalloc-64",
    "kmalloc-128",
    "kmalloc-256",
    "kmalloc-512",
    "kmalloc-1024",
    "kmalloc-4096",
    "dentry",
    "inode_cache",
    "filp",
    "radix_tree_node",
]
ALL_CACHES: tuple[CacheName, ...] = CacheName.__args__  # type: ignore[attr-defined]


class OfflineStorm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    operations: Annotated[
        int, count(0, 64 * MEGA, "allocations and frees per CPU; 0 is 1.2 million, or a share of 9.6 million")
    ] = 0
    cgroups: Annotated[int, count(1, 65536, "cgroups created in all")] = 96
    active: Annotated[int, count(1, 65536, "cgroups online at a time; the last ones stay online")] = 24
    rounds: Annotated[int, count(8, 65536, "rounds the tape is cut into; cgroups come and go at their bounds")] = 120
    burst: Annotated[int, count(1, 65536, "allocations in a timed burst")] = 512
    zipf: Annotated[float, number(0.0, 4.0, "exponent of the cgroups' popularity; 0 makes them equal")] = 1.0
    lifetime: Annotated[float, number(0.01, 1000.0, "median life of an object, in rounds (each cache scales it)")] = 2.0
    tail: Annotated[float, number(0.3, 10.0, "Pareto exponent of the lives: the smaller, the more objects outlive")] = (
        1.0
    )
    remote_share: Annotated[
        float, share("objects freed on another CPU than allocated them; those of dead cgroups are freed anywhere")
    ] = 0.1
    root_share: Annotated[float, share("objects charged to no cgroup")] = 0.1
    cpuset_share: Annotated[float, share("cgroups confined to one CPU")] = 0.5
    caches: Annotated[tuple[CacheName, ...], msgspec.Meta(min_length=1, description="root caches in use")] = ALL_CACHES

    @property
    def drain_rounds(self) -> int:
        """Rounds at the end of the tape that only free."""
        return max(3, self.rounds // 12)

    def __post_init__(self) -> None:
        if len(set(self.caches)) != len(self.caches):
            raise ParameterError("caches", ",".join(self.caches), "each cache once")
        if self.active > self.cgroups:
            raise ParameterError("active", str(self.active), f"at most the number of cgroups, {self.cgroups}")
        generations = -(-self.cgroups // self.active)
        needed = generations + 1
        if self.rounds - self.drain_rounds < needed:
            raise ParameterError(
                "rounds", str(self.rounds),
                f"more: {generations} cgroups one after another need {needed} rounds before the last"
                f" {self.drain_rounds}, which only free; or a larger active, or fewer cgroups",
            )  # fmt: skip

    def allocations(self, cpus: int) -> int:
        """Objects each CPU allocates."""
        return max(1, (self.operations or min(1_200_000, 9_600_000 // cpus)) // 2)

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * self.allocations(cpus)

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        return {"operations": max(2048, each)}


SCENARIO = Scenario(
    "offline-storm",
    "Cgroups go offline at random while objects of theirs live on: do their caches ever die?",
    OfflineStorm,
    f"{__name__}.tapes",
    order=10,
)
