"""What the parameters of several scenarios share: a bound on their size, and fields with the same meaning.

`planned_operations` is exact or an upper bound and is asked before anything is allocated. A scenario that simulations
play about as long whatever the number of CPUs also has `sized`, see `Sized`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, runtime_checkable

import msgspec

from scenarios.settings import ParameterError, count, share

MEGA = 1 << 20
BURST = 2048  # objects that a CPU allocates, or frees, in a row: more than its lists hold, whatever the size of slabs
LEAST = 256  # operations of a CPU: below that, it does not come past its first slabs

FreeOrder = Annotated[
    Literal["random", "sequential"], msgspec.Meta(description="order of the frees against that of the allocations")
]
Charged = Annotated[bool, msgspec.Meta(description="allocate for an online cgroup (a child cache), not for the root")]
SheafCapacity = Annotated[
    int,
    count(0, 1024, "objects of a sheaf that the cache asks for: linux-6.18 has sheaves for those alone"),
]

MayNotBlock = Annotated[
    float, share("of the allocations that may not block: 7.0-rc1 refills no sheaf for them, see the switch F_GATE")
]

NoLock = Annotated[
    float, share("of the frees that may not spin: those that no sheaf takes are left to an interrupt, see F_NOLOCK")
]

KfreeRcu = Annotated[float, share("of the frees that are kfree_rcu: the object is freed after a grace period")]


class Parameters(Protocol):
    """What the registry needs of every scenario's parameters."""

    def planned_operations(self, cpus: int) -> int:
        """Allocations and frees of all CPUs together, or a bound on them."""
        ...


@runtime_checkable
class Sized(Protocol):
    """Parameters of a scenario that can be made so large."""

    @staticmethod
    def sized(cpus: int, each: int) -> dict[str, int]:
        """The settings that say how large it is, for about `each` operations of a CPU.

        What a CPU does in one round is the same whatever the numbers: a burst that fits its own lists and one that
        does not are two different workloads. Only how often it is done changes.
        """
        ...


def operation_limit(cpus: int) -> int:
    """The most allocations and frees a workload may hold: 64 Mi, or 2 Mi a CPU where that is more."""
    return max(64 * MEGA, 2 * MEGA * cpus)


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
