"""Counted passes as a trace for the Perfetto viewer: what each CPU and the kworker did, and what was dead meanwhile.

Times are real, in serial play kernel time. Sections of the CPUs, the kworker's work and the dead caches are those of
the whole pass, within `room` for each. Operations are so many that they are cut, on all CPUs where the first
one's book was full, so that up to there none is missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from allocators.core.world import WORLD, WORLD_AT
from allocators.memcg.memcontrol import (
    WORK_CREATE_CHILD,
    WORK_CSS_FREE,
    WORK_OBJCG_FREE,
    WORK_REPARENT_SLABS,
    WORK_SHRINK_OR_DESTROY,
    WORK_UNREGISTER,
)
from scenarios.tape import EV_NAMES, OP_ALLOC, OP_NAMES, decode
from stress.engine import NOTE, OF_EVENT, OF_SECTION, OF_WORK, PATHS, RUN
from stress.play.arena import Arena
from stress.show.trace_events import Trace

MOST = 20_000  # notes in a book
IN_ALL = 1 << 18  # notes in all books: more than some ten MB a pass no viewer likes
PLACES = 4  # of microseconds
_US = 1e3  # ns
_WORKS = {
    0: "what waited for a grace period",
    WORK_CREATE_CHILD: "create a child cache",
    WORK_UNREGISTER: "destroy a child cache",
    WORK_CSS_FREE: "free a memcg",
    WORK_SHRINK_OR_DESTROY: "shrink or destroy a child cache",
    WORK_OBJCG_FREE: "free an obj_cgroup",
    WORK_REPARENT_SLABS: "re-parent slabs",
}
_SECTIONS = ("live frees", "dead frees", "allocations", "allocations and frees")  # SECTION_*
_PATHS = tuple(path.split("_")[1] for path in PATHS)
_CURVES = (("dead", "dead caches"), ("pages", "pages pinned"), ("cgroups", "cgroups pinned"))


def room(cpus: int) -> int:
    """Notes in a book, of which each CPU has two and the kworker one."""
    return min(MOST, IN_ALL // (2 * cpus + 1))


class Passes:
    """The trace in the making, a process for each pass that was kept."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.passes = 0

    def keep(self, arena: Arena, design: str, cycles_per_ns: float | None) -> None:
        """The arena holds what a design's pass left. cycles_per_ns: None in serial play."""
        self.passes += 1
        _Pass(self.trace, self.passes, arena, cycles_per_ns).write(design)

    def encode(self, about: Mapping[str, str]) -> bytes:
        """As JSON. about: what it is of."""
        return self.trace.encode(about)


@dataclasses.dataclass(frozen=True, slots=True)
class _Pass:
    """One pass. pid: of its process in the trace."""

    trace: Trace
    pid: int
    arena: Arena
    cycles_per_ns: float | None

    def write(self, design: str) -> None:
        arena, trace = self.arena, self.trace
        trace.process(self.pid, f"counted pass of {design}")
        cpus = range(arena.load.cpus)
        for cpu in cpus:
            trace.row(self.pid, cpu, f"cpu{cpu}")
        trace.row(self.pid, arena.kworker_cpu, "kworker")
        books = [arena.notes_of(cpu) for cpu in cpus]
        sections = [arena.notes_of(cpu, sections=True)[0] for cpu in cpus]
        deeds, _ = arena.notes_of(arena.kworker_cpu)
        us = self._clock([*(notes for notes, _ in books), *sections, deeds])
        for cpu, notes in zip(cpus, sections):
            self._sections(cpu, notes, us)
        until = min((int(notes["ended"][-1]) for notes, full in books if full), default=None)
        if until is not None:
            for cpu in cpus:
                trace.instant(self.pid, cpu, "from here on sections only", us(until))
        self._operations([notes if until is None else notes[notes["ended"] <= until] for notes, _ in books], us)
        self._deeds(deeds, us)
        self._curves(us)

    @property
    def _step(self) -> float:
        """What an operation takes in serial play, microseconds."""
        return int(self.arena.words[self.arena.run + RUN.step_ns]) / _US

    def _clock(self, notes: list[np.ndarray]) -> Callable[[int], float]:
        """From a note's time to microseconds since the pass began."""
        if self.cycles_per_ns is None:
            return lambda at: round(at / _US, PLACES)
        # Counters of two CPUs may differ by a little.
        begun = [int(own["began"][0]) for own in notes if len(own)]
        origin = min(begun, default=int(self.arena.words[WORLD_AT + WORLD.clock_origin]))
        rate = self.cycles_per_ns * _US
        return lambda at: round((at - origin) / rate, PLACES)

    def _sections(self, cpu: int, notes: np.ndarray, us: Callable[[int], float]) -> None:
        for began, ended, what, of in zip(*(notes[name].tolist() for name in NOTE._fields[:-1])):
            start = us(began)
            self.trace.slice(
                self.pid, cpu, _SECTIONS[what - OF_SECTION], start, round(us(ended) - start, PLACES), {"operations": of}
            )

    def _operations(self, notes: list[np.ndarray], us: Callable[[int], float]) -> None:
        arena, trace, pid = self.arena, self.trace, self.pid
        clocks = arena.latencies()["clock"].tolist()
        caches = arena.load.caches
        filled: dict[int, tuple[int, float, dict[str, object]]] = {}  # slot -> row and time of its allocation, and what
        rows = np.concatenate([np.full(len(own), cpu) for cpu, own in enumerate(notes)])
        every = np.concatenate(notes)
        codes, indices, cgroups, slots = (field.tolist() for field in decode(every["of"]))
        began, ended, whats = (every[name].tolist() for name in ("began", "ended", "what"))
        # An allocation ends before the free of its object begins, on whatever CPU.
        for i in np.lexsort((rows, every["ended"])).tolist():
            cpu, slot, start = int(rows[i]), slots[i], us(began[i])
            name = f"{OP_NAMES[codes[i]]} {_PATHS[whats[i]]}"
            if self.cycles_per_ns is None:
                long = self._step
            else:
                long = round(max(0.0, us(ended[i] - clocks[cpu]) - start), PLACES)
            if codes[i] == OP_ALLOC:
                about = {"cache": caches[indices[i]].name, "cgroup": cgroups[i], "slot": slot}
                filled[slot] = cpu, start, about
                trace.slice(pid, cpu, name, start, long, about)
                continue
            source = filled.pop(slot, None)
            if source is None:
                trace.slice(pid, cpu, name, start, long, {"slot": slot})
                continue
            trace.slice(pid, cpu, name, start, long, source[2] | {"allocated by": f"cpu{source[0]}"})
            if source[0] != cpu:
                trace.arrow(pid, "object", source[:2], (cpu, max(start, source[1])))

    def _deeds(self, notes: np.ndarray, us: Callable[[int], float]) -> None:
        """What the kworker did. In serial play it takes no time: what is done in one step shares it."""
        if self.cycles_per_ns is None:
            _, step, number, many = np.unique(
                notes["began"], return_index=True, return_inverse=True, return_counts=True
            )
            share = self._step / many[number]
            place = np.arange(len(notes)) - step[number]
        for i, (start, end, what, of) in enumerate(zip(*(notes[name].tolist() for name in NOTE._fields[:-1]))):
            if what >= OF_WORK:
                name = _WORKS[what - OF_WORK]
            else:
                kind = EV_NAMES[what - OF_EVENT]
                name = f"{kind.replace('_', ' ')} {self._named(kind, of)}"
            if self.cycles_per_ns is None:
                at, long = us(start) + share[i] * place[i], share[i]
            else:
                at = us(start)
                long = round(us(end) - at, PLACES)
            self.trace.slice(self.pid, self.arena.kworker_cpu, name, float(at), float(max(0.0, long)))

    def _named(self, kind: str, of: int) -> str:
        if kind.endswith("_cache"):
            return self.arena.load.caches[of].name
        return self.arena.load.marks[of] if kind == "mark" else str(of)

    def _curves(self, us: Callable[[int], float]) -> None:
        words = self.arena.words
        rate, origin = int(words[WORLD_AT + WORLD.clock_rate]), int(words[WORLD_AT + WORLD.clock_origin])
        for sample in self.arena.samples():
            at = int(sample["at"])
            when = us(at) if self.cycles_per_ns is None else us(origin + at * rate // 1_000_000)
            for field, name in _CURVES:
                self.trace.counter(self.pid, name, max(0.0, when), {name: int(sample[field])})
