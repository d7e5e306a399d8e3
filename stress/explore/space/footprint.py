"""What a segment of an execution, from one decision to the next, has read and written."""

from __future__ import annotations

from typing import NamedTuple


class Footprint(NamedTuple):
    """reads, writes: shared words, and owners that may come to their end (see `Sharing.touch_owner`). flows: who
    ran. cpus: on which CPUs, by bit; -1: a task has changed its CPU, and nothing is known to be untouched.
    home: CPU of the flow that began it.
    """

    reads: frozenset[int]
    writes: frozenset[int]
    flows: frozenset[int]
    cpus: int
    home: int

    def spares(self, flow: int, other: Footprint) -> bool:
        """Does the next segment of a flow, whose footprint is `other`, stay as it is when this one runs first, and this
        one too?

        What runs on the same CPU is taken to conflict: who may run there depends on interrupts and preemption.
        """
        return (
            flow not in self.flows
            and self.cpus >= 0
            and not self.cpus >> other.home & 1
            and self.writes.isdisjoint(other.reads)
            and self.writes.isdisjoint(other.writes)
            and self.reads.isdisjoint(other.writes)
        )
