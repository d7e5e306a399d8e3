"""Entry points of compiled code: compiled once for each kind of machine, and kept on disk."""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numba

import shm.virtual.native  # noqa: F401  machines with VTIME too must be known before anything compiles
from shm import hooks, numba_internals
from shm.code_cache import cache_folder
from shm.compiler import ENTRY_PIPELINE, sharing
from shm.native import MachineType
from shm.placement import elsewhere

log = logging.getLogger(__name__)

# Typing nests as deep as the call tree, with some 25 Python frames a level.
_TYPING_DEPTH = 20_000


def _with_room(do: Callable[[], None]) -> None:
    """Do what nests deep, a tenth faster.

    Python keeps frames in chunks of memory, of 16 KiB to begin with, and maps and unmaps one again and again for who
    calls and returns across its end. A frame as large as this one's has a chunk with room for all that it calls.
    """
    do()


_with_room.__code__ = _with_room.__code__.replace(co_stacksize=600_000)  # words; they are mapped, and not touched

_compiling = threading.RLock()  # held while process-wide settings are ours


@functools.cache
def _say_once(text: str) -> None:
    log.warning("%s", text)


@contextlib.contextmanager
def compiling(folder: Path) -> Iterator[None]:
    """While code is compiled: Numba keeps it in `folder`, typing may nest as it must, and no garbage is looked for.

    Looking for it takes a twelfth of the time, and finds little before the end. The settings belong to the whole
    process, so they are put back, and one thread at a time has them.
    """
    with _compiling:
        config = numba_internals.config
        kept, depth, collecting = config.CACHE_DIR, sys.getrecursionlimit(), gc.isenabled()
        config.CACHE_DIR = str(folder)
        sys.setrecursionlimit(max(depth, _TYPING_DEPTH))
        gc.disable()
        try:
            yield
        finally:
            config.CACHE_DIR = kept
            if collecting:
                gc.enable()
            sys.setrecursionlimit(depth)


class Entry:
    """An entry point: a function of a Machine and integers, compiled for each kind of machine.

    Every kind (kernel and features) has a dispatcher and a folder of its own, so processes that
    compile different kinds at the same time cannot mix their files up; those that want the same kind
    wait for the first one (a file lock) and load what it made.
    """

    def __init__(self, function) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = function.__name__
        self.arity = function.__code__.co_argcount
        self._compiled: dict[tuple[str, frozenset[str]], object] = {}
        source = os.stat(function.__code__.co_filename)
        # What Numba's own cache goes by beside the sources' content: a copy of the checkout has its own code.
        of = f"{function.__code__.co_filename} {source.st_mtime_ns} {numba_internals.binding.get_host_cpu_name()}"
        self._ready = f"ready-{hashlib.sha256(of.encode()).hexdigest()[:8]}"

    def folder(self, kernel: str, features: frozenset[str]) -> Path:
        """Where the code of one kind is kept."""
        name = f"{self.name}-{kernel or 'none'}-{'+'.join(sorted(features)) or 'plain'}"
        plugins = hooks.digest(features)
        return cache_folder() / (f"{name}-{plugins}" if plugins else name)

    def is_cached(self, kernel: str, features: frozenset[str]) -> bool:
        """Has some process compiled this kind already?"""
        return (self.folder(kernel, features) / self._ready).exists()

    def compile(self, kernel: str, features: frozenset[str], padding: int = 0):
        """Make one kind callable in this process, from the cache if it is there.

        padding: bytes before code from the cache that is new to this process; see `shm.placement`.
        """
        key = (kernel, features)
        if key not in self._compiled:
            import filelock

            if numba_internals.WHY_PLAIN:
                _say_once(numba_internals.WHY_PLAIN)
            folder = self.folder(kernel, features)
            folder.mkdir(parents=True, exist_ok=True)
            shared = sharing(cache_folder() / "functions")
            with filelock.FileLock(folder / "lock"), compiling(folder), elsewhere(padding), shared:
                dispatcher = numba.njit(
                    self.function, cache=True, nogil=True, error_model="numpy", pipeline_class=ENTRY_PIPELINE
                )
                takes = (MachineType(features, kernel), *[numba.int64] * (self.arity - 1))
                _with_room(lambda: dispatcher.compile(takes))
                dispatcher.disable_compile()
                (folder / self._ready).touch()
            self._compiled[key] = dispatcher
        return self._compiled[key]

    def bound(self, m, *integers: int) -> Callable[[], int]:
        """The call as it is, for who steps through it: without the arguments' types being looked at."""
        dispatcher = self.compile(m.kernel, m.features)
        (compiled,) = dispatcher.overloads.values()
        return functools.partial(compiled.entry_point, m, *integers)

    def __call__(self, m, *integers: int):
        return self.compile(m.kernel, m.features)(m, *integers)


def entry(function) -> Entry:
    """Mark an entry point of compiled code; see `Entry`."""
    return Entry(function)
