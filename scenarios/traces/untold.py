"""Frees that left no event: of caches whose objects die in bulk, through sheaves or by RCU, as maple_node's do.

A free is inferred where an address is allocated again (x rows), and where a slab is discarded; the true time was
earlier. In a cache of whose frees hardly any left an event, what a task allocated is freed behind the task's last event
at the latest: the objects of such caches belong to a task's memory map and go with it. So late inferred frees move
there, and objects that seemed to live on are freed there.
"""

from __future__ import annotations

from array import array

import numpy as np

from scenarios import tape


class Tasks:
    """The allocating task of each slot, and the last place of each task in the global order."""

    def __init__(self) -> None:
        self.last: dict[bytes, tuple[int, int]] = {}  # pid -> (operations before the place, CPU)
        self.numbers: dict[bytes, int] = {}
        self.of_slot = array("q")  # number of the task that allocated, -1 none

    def allocated(self, pid: bytes, slot: int) -> None:
        """Task `pid` has allocated into `slot`; slots come in turn, those left out have no task."""
        missing = slot - len(self.of_slot)
        if missing:
            self.of_slot.extend([-1] * missing)
        self.of_slot.append(self.numbers.setdefault(pid, len(self.numbers)))


def free_with_their_tasks(
    words: np.ndarray, order: np.ndarray, tasks: Tasks, untold: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """(words, their CPUs, how many frees were moved or added) with the frees of `untold` caches (bool per cache) at
    their task's last place at the latest."""
    code, cache, _, slot = tape.decode(words)
    allocs = np.flatnonzero(code == tape.OP_ALLOC)
    allocs = allocs[untold[cache[allocs]]]
    owner = np.array(tasks.of_slot, dtype=np.int64)
    allocs = allocs[owner[slot[allocs]] >= 0]
    end_of = np.full(len(tasks.numbers), -1)
    cpu_of = np.zeros(len(tasks.numbers), dtype=order.dtype)
    for pid, number in tasks.numbers.items():
        end_of[number], cpu_of[number] = tasks.last[pid]
    freed_at = np.full(int(slot.max()) + 1 if len(slot) else 1, len(words) + 1)
    frees = np.flatnonzero(code == tape.OP_FREE)
    freed_at[slot[frees]] = frees
    mine = slot[allocs]
    at = end_of[owner[mine]]
    late = (freed_at[mine] > at) & (at < len(words))
    mine, at = mine[late], at[late]
    gone = freed_at[mine]
    keep = np.ones(len(words), bool)
    keep[gone[gone < len(words)]] = False
    added = tape.op(tape.OP_FREE, c=mine) if len(mine) else words[:0]
    place = np.concatenate([2 * np.flatnonzero(keep) + 1, 2 * at])
    turn = np.argsort(place, kind="stable")
    return (
        np.concatenate([words[keep], added])[turn],
        np.concatenate([order[keep], cpu_of[owner[mine]]])[turn],
        len(mine),
    )
