"""The state that a trace begins in, as operations before it: slabs with holes, CPU slabs, CPU partial lists.

What a kernel shows of a cache at one time (sysfs, `Beginning`) is how many slabs it has, how many of them are on nodes'
partial lists with how many objects in use, and how many each CPU holds; not which slab has which holes, nor how many
objects of a CPU's slabs are free. That is drawn: free objects of the partial slabs at random, in all as many as there
are, among them up to `MIN_PARTIAL` empty ones; a slab of a CPU partial list has as many free as one of the node's list
(without any, 1 to all), a CPU slab 0 to all but one.

Played are the slabs that can matter: those with free objects, and the full ones that hold an object which the trace
frees. A full slab that nobody touches does nothing in any design; it is counted only (`Recording.slabs_before`).

`Prologue` allocates all objects of these slabs and frees the holes: first those of partial slabs, which a flush puts on
their node's list; then those of slabs that CPUs hold, each on its CPU. Caches with sheaves are shrunk before the flush,
as what a barn gives back may stay with the CPU that shrinks (F_618SHRINK); their CPUs begin without sheaves and slabs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from scenarios import tape
from scenarios.tape import CacheSpec, Event

MIN_PARTIAL = 5  # of most caches: so many empty slabs stay on a node's list
MARK = "the state before the first event"


@dataclasses.dataclass(frozen=True, slots=True)
class Beginning:
    """What a kernel showed of one cache: slabs; those on nodes' partial lists and the objects in use in these; slabs on
    each CPU's partial list; CPUs that have a CPU slab (which ones is not known). objects: per slab."""

    slabs: int
    objects: int
    partial: int
    partial_in_use: int
    cpu_partial: tuple[int, ...]
    cpu_slabs: int


@dataclasses.dataclass(slots=True)
class _Slab:
    """One to be played. cpu: whose, -1 a node's. free: objects that will be."""

    free: int
    cpu: int = -1
    is_cpu_slab: bool = False
    old: list[int] = dataclasses.field(default_factory=list)  # slots of objects that the trace frees


class Prologue:
    """Collects operations; `words` and `order` are as in `TraceBuilder`, `events` have rounds from 1."""

    def __init__(self, cpus: int, first_slot: int, seed: int) -> None:
        self.cpus = cpus
        self.slots = first_slot
        self.words: list[int] = []
        self.order: list[int] = []
        self.events: list[Event] = []
        self.random = np.random.default_rng(seed)

    def cache(self, number: int, spec: CacheSpec, state: Beginning, old: Iterable[Sequence[int]]) -> None:
        """Bring cache `number` into `state`. old: slots of objects that the trace frees, those of a slab together."""
        slabs = self._draw(state, old, sheaves=spec.sheaf_capacity > 0)
        objects = [self._make(number, state.objects, slab) for slab in slabs]
        self._allocate(number, spec, [slot for slab in objects for slot in slab])
        held = [at for at, slab in enumerate(slabs) if slab.cpu >= 0]
        listed = [at for at in self.random.permutation(len(slabs)) if slabs[at].cpu < 0 and slabs[at].free]
        # Empty ones first: only a list with fewer than min_partial slabs takes them.
        for at in sorted(listed, key=lambda at: slabs[at].free < state.objects):
            self._free(0, slabs[at], objects[at])
        if spec.sheaf_capacity:
            self._event(tape.EV_SHRINK_CACHE, number)
        if slabs:
            self._event(tape.EV_FLUSH_CACHE, number)
        for at in sorted(held, key=lambda at: not slabs[at].is_cpu_slab):
            slab = slabs[at]
            self._free(slab.cpu, slab, objects[at])
            if (
                slab.is_cpu_slab
            ):  # one object was freed for this: it makes the slab of the CPU's partial list its CPU slab
                self._word(slab.cpu, tape.word(tape.OP_ALLOC, number, 0, self._slot()))

    def mark(self, index: int) -> None:
        """A census, when all of it is done."""
        self._event(tape.EV_MARK, index)

    def _draw(self, state: Beginning, old: Iterable[Sequence[int]], *, sheaves: bool) -> list[_Slab]:
        draw, n = self.random, state.objects
        slabs = [_Slab(free) for free in self._holes(state)]
        like = [slab.free for slab in slabs] or list(range(1, n + 1))
        for cpu, count in enumerate(state.cpu_partial[: self.cpus]):
            slabs += [_Slab(int(free), cpu) for free in draw.choice(like, count)]
        for cpu in draw.permutation(self.cpus)[: state.cpu_slabs]:
            slabs.append(_Slab(int(draw.integers(0, n)), int(cpu), True))
        if sheaves:  # what a CPU frees goes to its sheaves: no list of its own can be made
            slabs = [_Slab(min(slab.free, n - 1)) for slab in slabs]
        full = max(0, state.slabs - len(slabs))
        for group in sorted(old, key=len, reverse=True):
            fitting = [slab for slab in slabs if n - slab.free - slab.is_cpu_slab >= len(group) and not slab.old]
            if fitting and draw.random() * (len(fitting) + full) < len(fitting):
                fitting[int(draw.integers(len(fitting)))].old += group
            else:
                slabs.append(_Slab(0, old=list(group)))
                full = max(0, full - 1)
        return slabs

    def _holes(self, state: Beginning) -> list[int]:
        """Free objects of each partial slab: some are empty, as far as MIN_PARTIAL and what is in use allow."""
        n, most = state.objects, state.objects - 1
        if not state.partial:
            return []
        needed = -(-state.partial_in_use // most) if most else 0
        most_empty = max(0, min(MIN_PARTIAL, state.partial - needed))
        least_empty = min(most_empty, max(0, state.partial - state.partial_in_use))
        empty = int(self.random.integers(least_empty, most_empty, endpoint=True))
        others = state.partial - empty
        free = np.ones(others, np.int64)
        left = min(max(others * n - state.partial_in_use, others), others * most) - others
        weight = self.random.exponential(size=others)
        while left:
            room = most - free
            part = np.where(room > 0, weight, 0)
            share = np.minimum(room, np.floor(left * part / part.sum()).astype(np.int64))
            if not share.any():
                share = np.zeros_like(free)
                share[self.random.permutation(np.flatnonzero(room > 0))[:left]] = 1
            free += share
            left -= int(share.sum())
        return [n] * empty + free.tolist()

    def _make(self, number: int, objects: int, slab: _Slab) -> list[int]:
        slots = [*slab.old, *(self._slot() for _ in range(objects - len(slab.old)))]
        return [slots[at] for at in self.random.permutation(objects)]

    def _allocate(self, number: int, spec: CacheSpec, slots: list[int]) -> None:
        """Objects come in the order of their addresses, but turned round within each sheaf that was filled."""
        step = spec.sheaf_capacity or 1
        slots = slots + [self._slot() for _ in range(-len(slots) % step)]
        for start in range(0, len(slots), step):
            for slot in reversed(slots[start : start + step]):
                self._word(0, tape.word(tape.OP_ALLOC, number, 0, slot))

    def _free(self, cpu: int, slab: _Slab, slots: list[int]) -> None:
        keep = set(slab.old)
        free = [slot for slot in slots if slot not in keep][: slab.free + slab.is_cpu_slab]
        for slot in free:
            self._word(cpu, tape.word(tape.OP_FREE, c=slot))

    def _slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def _word(self, cpu: int, word: int) -> None:
        self.words.append(word)
        self.order.append(cpu)

    def _event(self, kind: int, arg: int) -> None:
        number = len(self.events) + 1
        self.events.append(Event(kind, arg, number, 0))
        for code in (tape.OP_ROUND, tape.OP_WAIT):
            for cpu in range(self.cpus):
                self._word(cpu, tape.word(code, c=number))
