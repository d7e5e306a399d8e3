"""A process in which the tests stand ready, to play a mutant in a fork of it: nothing is imported or made anew.

It has played every test once, so it knows how long each takes and which functions of the mutated files it calls, and
what tests keep (a busy world that serves many faults) is there. A mutant inside a function is put in the place of the
function's code; then those tests are played that call it, first those that killed mutants of the same function before,
else the fastest first, until one fails. What is kept was made without the mutant, so one may survive here that would be
killed from nothing, never the other way round. For that a fork has the segments of kept worlds to itself: they are
shared memory, and a mutant that is killed for its time leaves the fault of a test in there.
"""

from __future__ import annotations

import ast
import collections
import ctypes
import functools
import gc
import mmap
import os
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from shm.segment import Segment  # of the copy that is played, so not yet

SECONDS = 3.0  # of CPU time that any test may take
TIMES = 5  # as long as without a mutant, but traced
ELAPSED = 20  # times as long in all
_FIXED = 0x10  # MAP_FIXED of <sys/mman.h>


class Mutant(NamedTuple):
    """What the standing process is told. function: what is changed inside (see `where`), None if nothing is."""

    path: str
    source: str
    function: str | None


class Standing:
    """The caller's side."""

    def __init__(self, main: Callable[[object], int], changed: set[Path]) -> None:
        """main: begins pytest with a plugin; changed: files of mutants."""
        self.pipe, theirs = Pipe()
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.pid = os.fork()
        if not self.pid:
            try:
                self.pipe.close()
                os.dup2(self.output.fileno(), 1)
                main(Host(theirs, changed))
            finally:
                sys.stdout.flush()  # what failed is said there
                os._exit(0)
        theirs.close()
        self._answer()

    def _answer(self) -> tuple[int, str] | None:
        try:
            return self.pipe.recv()
        except EOFError:
            self.output.seek(0)
            raise SystemExit(f"the tests fail without a mutant:\n{self.output.read()[-3000:]}") from None

    def play(self, mutant: Mutant) -> tuple[int, str] | None:
        """0 if it survived, and the test that was played last; None: it is in no function, and must be played anew."""
        self.pipe.send(mutant)
        return self._answer()

    def close(self) -> None:
        self.pipe.close()
        os.waitpid(self.pid, 0)


class Host:
    """The plugin of the process that stands."""

    def __init__(self, caller: Connection, changed: set[Path]) -> None:
        self.caller = caller
        self.files = {str(path.resolve()): str(path) for path in changed}
        self.calls: dict[str, set[tuple[str, str]]] = {}  # by test: file and function
        self.took: dict[str, float] = {}
        self.segments: list[Segment] = []  # of what tests keep
        self.kills: collections.Counter[tuple[tuple[str, str], str]] = collections.Counter()  # by function and test

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from shm.segment import Segment

        for nth, item in enumerate(session.items):
            calls: set[tuple[str, str]] = set()
            began = time.process_time()
            sys.settrace(functools.partial(_trace, self.files, calls))
            try:
                _play(item, (session.items[nth + 1 :] or [None])[0])
            finally:
                sys.settrace(None)
            self.took[item.nodeid] = time.process_time() - began
            self.calls[item.nodeid] = calls
        if session.testsfailed:
            return True
        gc.collect()
        functions = collections.defaultdict(list)
        for each in gc.get_objects():
            if isinstance(each, types.FunctionType) and each.__code__.co_filename in self.files:
                functions[self.files[each.__code__.co_filename], each.__code__.co_qualname].append(each)
        self.segments = [each for each in gc.get_objects() if isinstance(each, Segment) and hasattr(each, "array")]
        gc.freeze()
        status, text = self._in_a_fork(session, session.items, lambda: None)
        if status:
            raise RuntimeError(f"{text} fails when played again")
        self.caller.send((0, ""))
        while True:
            try:
                mutant = self.caller.recv()
            except EOFError:
                return True
            self.caller.send(self._played(session, functions, mutant))

    def _played(
        self, session: pytest.Session, functions: dict[tuple[str, str], list], mutant: Mutant
    ) -> tuple[int, str] | None:
        name = mutant.function
        if name is None:
            return None
        new, old = codes(mutant.source, mutant.path).get(name, []), functions.get((mutant.path, name), [])
        if len(new) != 1 or len({each.__code__ for each in old}) != 1:
            return None

        def change() -> None:
            for each in old:
                each.__code__ = new[0]

        function = mutant.path, name
        chosen = sorted(
            (item for item in session.items if function in self.calls[item.nodeid]),
            key=lambda item: (-self.kills[function, item.nodeid], self.took[item.nodeid]),
        )
        status, text = self._in_a_fork(session, chosen, change)
        if status:
            self.kills[function, text] += 1
        return status, text

    def _in_a_fork(
        self, session: pytest.Session, items: list[pytest.Item], change: Callable[[], None]
    ) -> tuple[int, str]:
        """0 if all passed; and which test was the last."""
        with tempfile.TemporaryFile("w+", errors="replace") as output, tempfile.TemporaryFile("w+") as last:
            child = os.fork()
            if not child:
                status = 70
                try:
                    os.dup2(output.fileno(), 1)
                    os.dup2(output.fileno(), 2)
                    for segment in self.segments:
                        _copy_on_write(segment)
                    change()
                    for nth, item in enumerate(items):
                        last.write(f"{item.nodeid}\n")
                        last.flush()
                        # Their default actions end the child.
                        seconds = SECONDS + TIMES * self.took[item.nodeid]
                        signal.setitimer(signal.ITIMER_PROF, seconds)
                        signal.setitimer(signal.ITIMER_REAL, ELAPSED * seconds)
                        _play(item, (items[nth + 1 :] or [None])[0])
                        if session.testsfailed:
                            break
                    status = 1 if session.testsfailed else 0
                finally:
                    os._exit(status)
            _, status = os.waitpid(child, 0)
            last.seek(0)
            return os.waitstatus_to_exitcode(status), (last.read().splitlines() or [""])[-1]


def _copy_on_write(segment: Segment) -> None:
    """From here on this process writes to a copy."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    access, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _FIXED
    if libc.mmap(segment.address, segment.bytes, access, kind, segment.fd, 0) != segment.address:
        raise OSError(ctypes.get_errno(), "a segment cannot be made private")


def _play(item: pytest.Item, after: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)


def _trace(files: dict[str, str], calls: set[tuple[str, str]], frame: types.FrameType, event: str, arg: object) -> None:
    """Only of calls, not of lines."""
    if frame.f_code.co_filename in files:
        calls.add((files[frame.f_code.co_filename], frame.f_code.co_qualname))


def where(source: str, line: int) -> str | None:
    """The function, of a module or of a class in it, in whose body a line is."""
    for body, prefix in _bodies(ast.parse(source).body, ""):
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= (node.end_lineno or 0):
                return prefix + node.name
    return None


def _bodies(body: list[ast.stmt], prefix: str) -> list[tuple[list[ast.stmt], str]]:
    found = [(body, prefix)]
    for node in body:
        if isinstance(node, ast.ClassDef):
            found += _bodies(node.body, f"{prefix}{node.name}.")
    return found


def codes(source: str, path: str) -> dict[str, list[types.CodeType]]:
    """The functions of a source by qualified name."""
    found = collections.defaultdict(list)
    left = [compile(source, str(Path(path).resolve()), "exec")]
    while left:
        for each in left.pop().co_consts:
            if isinstance(each, types.CodeType):
                found[each.co_qualname].append(each)
                left.append(each)
    return found
