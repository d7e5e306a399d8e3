"""What each scenario can be asked for: names, bounds, defaults, and the size that follows from them.

`planned_operations` is exact or an upper bound and is asked before anything is allocated.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import msgspec

from scenarios.settings import ParameterError, count, number, share, size
from scenarios.sizing import objects_per_slab

__all__ = [
    "CgroupChurn",
    "DeadFree",
    "FreeBurst",
    "Leak",
    "OfflineStorm",
    "Pairs",
    "ParameterError",
    "Parameters",
    "Pinned",
    "RemoteDead",
    "RemoteFree",
    "check_size",
    "operation_limit",
]

FreeOrder = Literal["random", "sequential"]
RecordedOrder = Literal["fifo", "lifo", "permuted"]
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

_MEGA = 1 << 20


class Parameters(Protocol):
    """What the registry needs of every scenario's parameters."""

    def planned_operations(self, cpus: int) -> int:
        """Allocations and frees of all CPUs together, or a bound on them."""
        ...


def operation_limit(cpus: int) -> int:
    """The most allocations and frees a workload may hold: 64 Mi, or 2 Mi a CPU where that is more."""
    return max(64 * _MEGA, 2 * _MEGA * cpus)


def check_size(parameters: Parameters, cpus: int) -> None:
    """Refuse a workload that is too large to hold in memory.

    Raises ParameterError with the number of operations asked for and the limit.
    """
    planned, limit = parameters.planned_operations(cpus), operation_limit(cpus)
    if planned > limit:
        raise ParameterError(
            "operations", str(planned), f"at most {limit:,}",
            problem=f"these parameters ask for {planned:,} allocations and frees on {cpus} CPUs",
        )  # fmt: skip


class OfflineStorm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    operations: Annotated[
        int, count(0, 64 * _MEGA, "allocations and frees per CPU; 0 is 1.2 million, or a share of 9.6 million")
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


class FreeBurst(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    objects: Annotated[int, count(1, 16 * _MEGA, "objects each CPU allocates and then frees")] = 8192
    bursts: Annotated[int, count(1, 65536, "how many times")] = 2
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    free_order: Annotated[FreeOrder, msgspec.Meta(description="order of the frees against that of the allocations")] = (
        "random"
    )
    charged: Annotated[
        bool, msgspec.Meta(description="allocate for an online cgroup (a child cache), not for the root")
    ] = True

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.objects * self.bursts + 1)


class DeadFree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    slabs: Annotated[int, count(1, _MEGA, "slabs of each child cache, all CPUs together")] = 1024
    object_size: Annotated[int, size(8, 32768, "size of an object")] = 256
    free_order: Annotated[FreeOrder, msgspec.Meta(description="order of the frees against that of the allocations")] = (
        "random"
    )
    cgroups: Annotated[int, count(1, 65536, "cgroups filled, removed and emptied, one after another")] = 16
    fill_cpus: Annotated[int, count(0, 1024, "CPUs that allocate; all of them free; 0 is every CPU")] = 0

    def planned_operations(self, cpus: int) -> int:
        per_slab = objects_per_slab(self.object_size, cpus)
        return 2 * self.cgroups * (self.slabs * per_slab + 1)


class RemoteFree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rounds: Annotated[int, count(1, 65536, "batches each CPU allocates for its neighbour to free")] = 64
    batch: Annotated[int, count(1, _MEGA, "objects in a batch")] = 4096
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    charged: Annotated[
        bool, msgspec.Meta(description="allocate for an online cgroup (a child cache), not for the root")
    ] = True

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.rounds * self.batch + 1)


class Pinned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cgroups: Annotated[int, count(1, 65536, "cgroups removed together")] = 32
    slabs: Annotated[int, count(1, _MEGA, "slabs of each child cache, all CPUs together")] = 256
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 192
    hold: Annotated[int, count(0, 4096, "rounds during which only the long-lived objects are left")] = 4

    def planned_operations(self, cpus: int) -> int:
        per_slab = objects_per_slab(self.object_size, cpus)
        return 2 * self.cgroups * (self.slabs * per_slab + 1)


class Pairs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    operations: Annotated[int, count(2, 64 * _MEGA, "allocations and frees per CPU")] = 65_536
    batch: Annotated[int, count(1, 65536, "objects allocated before as many are freed; 1 is alloc+free pairs")] = 32
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 64
    charged: Annotated[
        bool, msgspec.Meta(description="allocate for an online cgroup (a child cache), not for the root")
    ] = True
    shared: Annotated[bool, msgspec.Meta(description="one cgroup for all CPUs, not one for each")] = False

    @property
    def batches(self) -> int:
        """Batches each CPU plays."""
        return max(1, self.operations // (2 * self.batch))

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * (self.batch * self.batches + 1)


class RemoteDead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    objects: Annotated[int, count(1, 4 * _MEGA, "objects CPU 0 allocates before the removal")] = 4096
    object_size: Annotated[int, size(8, 8192, "size of an object")] = 256
    free_cpu: Annotated[int, count(0, 1024, "the CPU that frees them; the last one if there are fewer")] = 1
    free_order: Annotated[
        RecordedOrder, msgspec.Meta(description="order of the frees against that of the allocations")
    ] = "fifo"
    marked: Annotated[bool, msgspec.Meta(description="every CPU holds a CPU slab of the cache at the removal")] = False

    def planned_operations(self, cpus: int) -> int:
        return 2 * (self.objects + 3 * cpus + 1)


class Leak(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cgroups: Annotated[int, count(1, 65536, "cgroups, which work on CPU 0 and CPU 1 in turn")] = 10
    files: Annotated[int, count(1, _MEGA, "files of each, unlinked after the removal")] = 300
    pipes: Annotated[int, count(0, 65536, "pipes of each, closed before the removal")] = 20
    socket_pairs: Annotated[int, count(0, 65536, "pairs of sockets of each, closed before the removal")] = 20
    free_cpu: Annotated[int, count(0, 1024, "the CPU that unlinks; the last one if there are fewer")] = 1

    def planned_operations(self, cpus: int) -> int:
        return 2 * self.cgroups * (2 * self.files + 6 * self.pipes + 8 * self.socket_pairs + 16)


class CgroupChurn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cgroups: Annotated[int, count(1, 65536, "cgroups one after another, on CPU 0 and CPU 1 in turn")] = 40
    files: Annotated[int, count(1, _MEGA, "files of each")] = 120
    delay: Annotated[int, count(1, 65536, "cgroups that come before its files are unlinked")] = 5
    release: Annotated[bool, msgspec.Meta(description="unlink those of the last ones too, at the end")] = True

    def planned_operations(self, cpus: int) -> int:
        return 2 * self.cgroups * (2 * self.files + 16)
