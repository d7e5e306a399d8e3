"""How large a scenario is played: about as many operations in all whatever the number of CPUs, unless the user says."""

from __future__ import annotations

from collections.abc import Callable

OPERATIONS = 400_000  # of a point, all CPUs together, if the scenario can be sized
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
    bursts = 4
    return {"objects": max(32, each // (2 * bursts)), "bursts": bursts}


def _remote_free(cpus: int, each: int) -> dict[str, int]:
    batch = min(4096, max(64, each // 16))
    return {"batch": batch, "rounds": max(2, each // (2 * batch))}


def _dead_free(cpus: int, each: int) -> dict[str, int]:
    return {"slabs": max(64, 4 * cpus, cpus * each // 256), "cgroups": 8}  # 16 objects of 256 bytes a slab at least


def _pinned(cpus: int, each: int) -> dict[str, int]:
    return {"slabs": max(64, 2 * cpus, cpus * each // 672), "cgroups": 16}  # 21 objects of 192 bytes


def _storm(cpus: int, each: int) -> dict[str, int]:
    return {"operations": max(2048, each)}


# scenario -> (the settings that say how large it is, what they are)
_SIZES: dict[str, tuple[tuple[str, ...], Callable[[int, int], dict[str, int]]]] = {
    "pairs": (("operations",), _pairs),
    "free-burst": (("objects", "bursts"), _free_burst),
    "remote-free": (("rounds", "batch"), _remote_free),
    "dead-free": (("slabs", "cgroups"), _dead_free),
    "pinned": (("slabs", "cgroups"), _pinned),
    "offline-storm": (("operations",), _storm),
}
