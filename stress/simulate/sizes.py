"""How large a scenario is played: about as many operations in all whatever the number of CPUs, unless the user says.

What a CPU does in one round is the same at every point, or points could not be compared: bursts that fit a CPU's own
lists and bursts that do not are two different workloads. Only how often it is done changes.
"""

from __future__ import annotations

from collections.abc import Callable

OPERATIONS = 400_000  # of a point, all CPUs together, if the scenario can be sized
BURST = (
    2048  # objects that a CPU allocates, or frees, in a row: more than its own lists hold, whatever the size of slabs
)
LEAST = 256  # of a CPU: below that, a CPU does not come past its first slabs


def sized(scenario: str, cpus: int, given: dict[str, str], operations: int = OPERATIONS) -> dict[str, str]:
    """The scenario's settings: those given, and sizes for about so many operations where none of its sizes is given.

    A scenario that is not known here is played as it is by default.
    """
    sizes, of = _SIZES.get(scenario, ((), None))
    if of is None or any(name in given for name in sizes):
        return dict(given)
    return {name: str(value) for name, value in of(cpus, max(LEAST, operations // cpus)).items()} | given


def _pairs(cpus: int, each: int) -> dict[str, int]:
    return {"operations": each - each % 64}


def _free_burst(cpus: int, each: int) -> dict[str, int]:
    return {"objects": BURST, "bursts": max(2, each // (2 * BURST))}


def _remote_free(cpus: int, each: int) -> dict[str, int]:
    return {"batch": BURST, "rounds": max(2, each // (2 * BURST))}


def _one_way(cpus: int, each: int) -> dict[str, int]:
    return {"batch": BURST, "rounds": max(2, each // BURST)}


def _exchange(cpus: int, each: int) -> dict[str, int]:
    return {"batch": BURST // 4, "rounds": max(3, each // (2 * BURST // 4))}


def _remote_refill(cpus: int, each: int) -> dict[str, int]:
    return {"batch": BURST // 8, "rounds": max(2, each // (2 * BURST // 8))}


def _replacement(cpus: int, each: int) -> dict[str, int]:
    return {"objects": BURST // 2, "steps": max(LEAST, (each - 2 * BURST) // 2)}


def _rcu_offline(cpus: int, each: int) -> dict[str, int]:
    return {"cgroups": max(2, each // 200)}


def _dead_free(cpus: int, each: int) -> dict[str, int]:
    return {"slabs": 8 * cpus, "cgroups": _cgroups(each, 8)}


def _pinned(cpus: int, each: int) -> dict[str, int]:
    return {"slabs": 4 * cpus, "cgroups": _cgroups(each, 4)}


def _cgroups(each: int, slabs: int) -> int:
    """How many cgroups come to so many operations of a CPU, if each has so many slabs of it, of some 32 objects."""
    return min(32, max(2, each // (2 * 32 * slabs)))


def _storm(cpus: int, each: int) -> dict[str, int]:
    return {"operations": max(2048, each)}


# scenario -> (the settings that say how large it is, what they are)
_SIZES: dict[str, tuple[tuple[str, ...], Callable[[int, int], dict[str, int]]]] = {
    "pairs": (("operations",), _pairs),
    "free-burst": (("objects", "bursts"), _free_burst),
    "remote-free": (("rounds", "batch"), _remote_free),
    "one-way": (("rounds", "batch"), _one_way),
    "exchange": (("rounds", "batch"), _exchange),
    "remote-refill": (("rounds", "batch"), _remote_refill),
    "replacement": (("objects", "steps"), _replacement),
    "rcu-offline": (("cgroups", "objects"), _rcu_offline),
    "dead-free": (("slabs", "cgroups"), _dead_free),
    "pinned": (("slabs", "cgroups"), _pinned),
    "offline-storm": (("operations",), _storm),
}
