"""What is played: a tape per CPU, cut into parts that are played by name, again and again.

    fill, drain     bring the slots into the state that a block needs, and empty them
    block, short    what is timed; `short` is the same in a sixteenth of the operations, for slow allocators

Both timed parts leave the slots as they were, filled or empty.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from scenarios import tape
from shm.layout import CACHE_LINE

BATCH = 32
SLOTS = 100_000  # of random replacement
LARGEST = 256 << 20  # bytes asked for at a time: objects above 2 KiB get fewer slots than SLOTS
OPERATIONS = 1 << 16  # of a block, per CPU
SHORT = 16
_REMOTE_BATCH, _REMOTE_RING = 256, 16
_REMOTE_LAG = _REMOTE_RING // 2  # batches: a CPU that was interrupted for a moment does not stop the other

WORKLOADS = ("pairs", "batches", "random", "remote")
TITLES = {
    "pairs": "alloc+free pairs",
    "batches": "batches of 32",
    "random": "random replacement in 100,000 slots",
    "remote": "remote frees",
}
ABOUT = {
    "pairs": "an object is allocated and freed at once",
    "batches": "32 objects are allocated, then freed in the same order",
    "random": "one of 100,000 slots at a time (fewer above 2 KiB: 256 MiB in all) is freed and allocated anew",
    "remote": "each CPU allocates batches of 256 objects that the other one frees, eight batches later",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """A workload whose tapes hold several parts. parts: name -> offset of each CPU's tape; objects: alive in a filled
    state.
    """

    load: tape.Workload
    parts: dict[str, tuple[int, ...]]
    objects: int


def cut(workload: str, size: int, cpus: int, *, operations: int = OPERATIONS, slots: int = SLOTS) -> Cut:
    """The tapes of a workload for objects of `size` bytes. `slots` are those of random replacement, of all CPUs
    together.
    """
    if workload == "random":
        each = min(slots, LARGEST // size) // cpus
        made = [_random(each, cpu * _line(each), operations, seed=cpu) for cpu in range(cpus)]
        held, room = each * cpus, _line(each) * cpus
    elif workload == "remote":
        made = [_remote(cpu, cpus, operations) for cpu in range(cpus)]
        held, room = 0, _REMOTE_BATCH * _REMOTE_RING * cpus
    else:
        batch = 1 if workload == "pairs" else BATCH
        made = [_batches(batch, cpu * _line(batch), operations) for cpu in range(cpus)]
        held, room = 0, _line(batch) * cpus
    parts: dict[str, tuple[int, ...]] = {}
    at = [0] * cpus
    for name in made[0]:
        parts[name] = tuple(at)
        at = [offset + len(one[name]) for offset, one in zip(at, made)]
    load = tape.Workload(
        name=workload,
        caches=(tape.CacheSpec(f"test-{size}", size),),
        tapes=tuple(np.concatenate(list(one.values())) for one in made),
        events=(),
        slots=room,
        cgroups=0,
    )
    return Cut(load, parts, held)


def _line(slots: int) -> int:
    """Slots of whole cache lines: CPUs share none."""
    return -(-slots // CACHE_LINE) * CACHE_LINE


def _timed(*operations: np.ndarray) -> np.ndarray:
    count = sum(map(len, operations))
    begin, end = (
        tape.op(tape.OP_SECTION_BEGIN, a=tape.SECTION_MIXED),
        tape.op(tape.OP_SECTION_END, a=tape.SECTION_MIXED, c=count),
    )
    return tape.concatenate([begin, *operations, end])


def _alternately(slots: np.ndarray, first: int, second: int) -> np.ndarray:
    """Two operations on each slot, one after the other."""
    return np.stack([tape.op(first, c=slots), tape.op(second, c=slots)], axis=1).reshape(-1)


def _batches(batch: int, base: int, operations: int) -> dict[str, np.ndarray]:
    slots = base + np.arange(batch)
    once = np.concatenate([tape.op(tape.OP_ALLOC, c=slots), tape.op(tape.OP_FREE, c=slots)])
    repeats = {"block": operations // (2 * batch), "short": operations // (2 * batch * SHORT)}
    nothing = tape.op(tape.OP_END)
    return {
        "fill": nothing,
        "drain": nothing,
        **{name: _timed(np.tile(once, max(1, n))) for name, n in repeats.items()},
    }


def _random(slots: int, base: int, operations: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    replaced = base + rng.integers(slots, size=max(1, operations // 2))
    some = replaced[: max(1, len(replaced) // SHORT)]
    return {
        "fill": tape.concatenate([tape.op(tape.OP_ALLOC, c=base + rng.permutation(slots))]),
        "drain": tape.concatenate([tape.op(tape.OP_FREE, c=base + rng.permutation(slots))]),
        "block": _timed(_alternately(replaced, tape.OP_FREE, tape.OP_ALLOC)),
        "short": _timed(_alternately(some, tape.OP_FREE, tape.OP_ALLOC)),
    }


def _remote(cpu: int, cpus: int, operations: int) -> dict[str, np.ndarray]:
    """CPUs hand batches on in a ring. The frees run some batches behind, so that neither often waits for the other."""
    ours, theirs = cpu * _REMOTE_RING, (cpu + 1) % cpus * _REMOTE_RING

    def batch(of: int, number: int) -> np.ndarray:
        return (of + number % _REMOTE_RING) * _REMOTE_BATCH + np.arange(_REMOTE_BATCH)

    def rounds(count: int) -> np.ndarray:
        played = []
        for number in range(count + _REMOTE_LAG):
            if number < count:
                played.append(tape.op(tape.OP_ALLOC, c=batch(ours, number)))
            if number >= _REMOTE_LAG:
                played.append(tape.op(tape.OP_FREE, c=batch(theirs, number - _REMOTE_LAG)))
        return _timed(*played)

    full = max(2, operations // (2 * _REMOTE_BATCH))
    nothing = tape.op(tape.OP_END)
    return {"fill": nothing, "drain": nothing, "block": rounds(full), "short": rounds(max(2, full // SHORT))}
