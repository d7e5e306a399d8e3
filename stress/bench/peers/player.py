"""A process that plays one program: `python -m stress.bench.peers.player FD PARENT PROGRAM [LIBRARY]`.

Commands come as JSON over the socket FD from the process PARENT, a list of a name and arguments, and are answered by
JSON: a dictionary, in which `error` stands for what went wrong. It ends when the socket is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import NamedTuple

import msgspec
import numpy as np

from allocators.caches.kinds import KINDS
from allocators.core.page_alloc import ZONE
from allocators.core.world import PAGE_BYTES
from allocators.designs import parse_design
from scenarios.tape import SECTION_MIXED
from stress.bench import programs
from stress.bench.peers.catalogue import PROGRAMS, NotInstalled, Program, load_library
from stress.bench.peers.tapes import Cut, cut
from stress.bench.reference import NoCompiler, Play, compile_reference
from stress.engine import PLAY, RUN, cpu_main
from stress.play.arena import Arena
from stress.process import ending, host
from stress.process.errors import StressError, UsageError

_SPARE = 32 << 20  # bytes of page frames beyond the objects: partly filled slabs, and what rounding takes


class _Loaded(NamedTuple):
    """A workload, and the arena it is played in."""

    arena: Arena
    cut: Cut


class Player:
    """One program with the arena it plays in."""

    def __init__(self, program: Program, library: str | None = None) -> None:
        self.program = program
        self.design = parse_design(program.design)
        self.features = self.design.features(program.kernel)
        self.about = ""
        self._reference: Play | None = None
        if program.kind == "C":
            self._reference = compile_reference()
        elif program.kind == "malloc":
            self._library, self.about = load_library(program, library)
            names = program.library and (program.library.malloc, program.library.free)
            programs.bind_malloc(self._library, *(names or ()))
        self._ready: _Loaded | None = None
        self._threads: list[ThreadPoolExecutor] = []
        self._placement, _ = host.placement(2)
        os.sched_setaffinity(0, {max(self._placement)})

    def load(self, workload: str, size: int, cpus: int, operations: int, slots: int) -> dict[str, object]:
        """Make ready for a workload (see `tapes.cut`); its slots are empty."""
        self.unload()
        tapes = cut(workload, size, cpus, operations=operations, slots=slots)
        asked = tapes.load.slots * size if self.program.kind in ("ours", "C") else 0
        sheaves, memory = self.design.sheaves(), 2 * asked + _SPARE
        arena = Arena(tapes.load, self.program.kernel, features=self.features, sheaves=sheaves, memory=memory)
        self._ready = _Loaded(arena, tapes)
        arena.reset(self.features)
        words, run = arena.words, arena.run
        words[run + RUN.expected] = cpus
        words[run + RUN.over] = 1  # nobody waits at the end: there is no schedule
        return {"objects": tapes.objects}

    @property
    def _loaded(self) -> _Loaded:
        if self._ready is None:
            raise StressError(f"{self.program.name} was told to play before it was told what")
        return self._ready

    def unload(self) -> dict[str, object]:
        """Give all objects and the arena back."""
        if self._ready is not None:
            self.play("drain")
            self._ready.arena.close()
            self._ready = None
        return {}

    def play(self, part: str, written: bool = False) -> dict[str, object]:
        """Play a part of the tapes on all their CPUs.

        written: objects of a malloc are written to, so that they take memory. Answers operations and cycles of each
        CPU's timed section. Raises StressError when an allocation fails.
        """
        arena, offsets = self._loaded.arena, self._loaded.cut.parts[part]
        arena.words[arena.run + RUN.ready] = arena.words[arena.run + RUN.done] = 0
        for cpu, offset in enumerate(offsets):
            play = arena.plan["plays"] + cpu * PLAY.SIZE
            arena.words[play + PLAY.tape] = arena.plan[f"tape{cpu}"] + offset
            arena.words[play + PLAY.turns] = 0
            arena.words[play + PLAY.section : play + PLAY.SIZE] = 0
        if len(offsets) == 1:
            self._main(0, written)
        else:
            playing = [thread.submit(self._main, cpu, written) for cpu, thread in enumerate(self._pinned(len(offsets)))]
            wait(playing)  # once for both: this thread would take the CPU from the later one
            for done in playing:
                done.result()
        failed = int(arena.plays()["failed"].sum())
        if failed:
            raise StressError(f"{failed:,} allocations of {self.program.name} failed")
        timed = arena.sections()[:, SECTION_MIXED]
        return {"operations": timed["operations"].tolist(), "cycles": timed["cycles"].tolist()}

    def _pinned(self, cpus: int) -> list[ThreadPoolExecutor]:
        """A thread for each CPU; made when first needed, as some mallocs are faster in a process without threads."""
        while len(self._threads) < cpus:
            cpu = self._placement[len(self._threads)]
            self._threads.append(ThreadPoolExecutor(1, initializer=settle, initargs=(cpu,)))
        return self._threads[:cpus]

    def _main(self, cpu: int, written: bool) -> int:
        arena = self._loaded.arena
        if self._reference is not None:
            return self._reference(arena.segment.address, cpu, arena.run)
        main = {
            "ours": cpu_main,
            "nothing": programs.idle_main,
            "malloc": programs.written_main if written else programs.malloc_main,
        }
        return main[self.program.kind](arena.machine(self.features, cpu), arena.run)

    def addresses(self) -> np.ndarray:
        """Where the objects in the slots are, in bytes, ascending."""
        arena, tapes = self._loaded
        base = arena.plan["slot_table"]
        slots = arena.words[base : base + tapes.load.slots]
        found = np.sort(slots[slots != 0])
        if self.program.kind == "malloc":
            return found
        return np.sort(KINDS[self.program.kernel].addresses(found) * 8)

    def held(self) -> int:
        """Bytes of memory: pages taken from the page allocator, or the process's own memory for a malloc."""
        if self.program.kind == "malloc":
            return own_memory()
        arena = self._loaded.arena
        words, zone = arena.words, arena.plan["zones"]
        return int(words[zone + ZONE.end] - words[zone + ZONE.start] - words[zone + ZONE.free_pages]) * PAGE_BYTES

    def memory(self, size: int, slots: int) -> dict[str, object]:
        """Bytes asked for and held with all slots of random replacement filled, and held when all were freed.

        In a child process, so that other workloads leave nothing behind and this one neither. The first allocation,
        which sets a library up, is not counted, and what the C library keeps free for this process goes first.
        Raises StressError when objects overlap or are missing.
        """

        def body() -> dict[str, object]:
            self.load("pairs", size, 1, 2, slots)
            self.play("block", written=True)
            self.load("random", size, 1, 2, slots)
            with contextlib.suppress(AttributeError):  # a C library without it
                ctypes.CDLL(None).malloc_trim(0)
            before = self.held()
            self.play("fill", written=True)
            full = self.held() - before
            self._check(size)
            self.play("drain")
            return {"asked": self._loaded.cut.objects * size, "full": full, "left": max(0, self.held() - before)}

        return in_child(body)

    def _check(self, size: int) -> None:
        found, objects = self.addresses(), self._loaded.cut.objects
        if len(found) != objects:
            raise StressError(f"{self.program.name} filled {len(found):,} of {objects:,} slots")
        if np.diff(found).min(initial=size) < size:
            raise StressError(f"{self.program.name} handed out objects of {size} B that overlap")


def settle(cpu: int) -> None:
    """Bind this thread to a CPU and let its naps be short."""
    os.sched_setaffinity(0, {cpu})
    host.fine_timers()


def own_memory() -> int:
    """Bytes of memory that belong to this process alone: resident anonymous pages (smaps_rollup of proc(5))."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))


def in_child(body: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What `body` returns in a child process, or its StressError here. StressError too when the child dies."""
    ours, theirs = Pipe(duplex=False)
    parent, child = os.getpid(), os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            ending.live_with_parent(parent)
            theirs.send_bytes(answer(body))
        os._exit(0)
    theirs.close()
    try:
        found = msgspec.json.decode(ours.recv_bytes())
    except EOFError:
        found = {"error": "it died while its memory was measured"}
    finally:
        ours.close()
        os.waitpid(child, 0)
    if "error" in found:
        raise StressError(found["error"])
    return found


def answer(body: Callable[[], dict[str, object]]) -> bytes:
    """What `body` returns or how it failed, as JSON."""
    try:
        return msgspec.json.encode(body())
    except NotInstalled as error:
        return msgspec.json.encode({"missing": str(error)})
    except (StressError, NoCompiler) as error:
        return msgspec.json.encode({"error": str(error), "usage": isinstance(error, UsageError)})
    except Exception as error:  # the coordinator says what went wrong; this process has no terminal of its own
        return msgspec.json.encode({"error": f"{type(error).__name__}: {error}"})


def serve(connection: Connection, program: Program, library: str | None) -> None:
    """Answer commands until the other end is closed. The first answer says whether the program can be played."""
    made: list[Player] = []

    def start() -> dict[str, object]:
        made.append(Player(program, library))
        return {"about": made[0].about}

    connection.send_bytes(answer(start))
    with contextlib.suppress(EOFError, OSError):
        while made:
            name, *arguments = msgspec.json.decode(connection.recv_bytes())
            connection.send_bytes(answer(partial(getattr(made[0], name), *arguments)))


def main(arguments: list[str]) -> None:
    descriptor, parent, name, *library = arguments
    ending.live_with_parent(int(parent))
    serve(Connection(int(descriptor)), PROGRAMS[name], library[0] if library else None)


if __name__ == "__main__":
    main(sys.argv[1:])
