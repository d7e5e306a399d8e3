"""Functions that were compiled are kept on disk, for programs that other processes compile (`shm.reuse`).

A process writes what it made for a program as one file, a zip archive: an index, and for each function its LLVM
bitcode. It lies in the folder of compiled code for exactly these sources (`shm.code_cache`), so what it was made from
need not be said. Only functions of those sources are kept; who has plugins shares nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shm import reuse
from shm.lean import InnerLibrary, links
from shm.machine_type import FEATURES, MachineType, Questions
from shm.numba_internals import ExternalFunctionDescriptor, cpu_target, signature, types

log = logging.getLogger(__name__)

INDEX = "functions.json"
_SIMPLE = {str(t): t for t in (types.int64, types.boolean, types.none)}
_by_symbol: dict[str, list[KeptFunction]] = {}
_read: set[Path] = set()
_unread: list[Path] = []  # the folder of this program, if nobody asked for a function of it yet
_open: dict[Path, zipfile.ZipFile] = {}
_DAMAGED = (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile)


class KeptFunction(NamedTuple):
    """What the index says of a function. calls[i] for i in links, in order, are linked."""

    archive: Path
    entry: str
    symbol: str
    asked: Questions
    calls: tuple[reuse.Call, ...]
    typed: reuse.Shape
    links: tuple[int, ...]

    def function(self, machine: MachineType | None) -> tuple[reuse.Function, Any] | None:
        """It, for a machine, and the key by which Numba finds how to call it; None if its archive is damaged."""
        try:
            bitcode = _archive(self.archive).read(self.entry)
        except _DAMAGED as error:
            log.debug("%s in %s is left out: %s", self.symbol, self.archive, error)
            return None
        context = cpu_target.target_context
        chosen = reuse.libraries(machine)
        library = InnerLibrary.restored(
            context.codegen(), self.symbol, bitcode, [chosen[reuse.symbol_of(self.calls[i])] for i in self.links]
        )
        returns, *takes = (machine if t is None else t for t in self.typed)
        key: Any = [].append  # any unique builtin, as in `shm.lean`
        context.insert_user_function(key, ExternalFunctionDescriptor(self.symbol, returns, tuple(takes)), [library])
        return reuse.Function(self.symbol, self.asked, self.calls, signature(returns, *takes), library), key


@contextlib.contextmanager
def sharing(folder: Path) -> Iterator[None]:
    """While a program is compiled: with what is kept in a folder, which is read when it is first asked for. Afterwards
    what was made is written, and nothing stays open.
    """
    _unread[:] = [folder]
    try:
        yield
    finally:
        keep(folder)
        _unread.clear()
        while _open:
            _open.popitem()[1].close()


def _archive(path: Path) -> zipfile.ZipFile:
    if path not in _open:
        _open[path] = zipfile.ZipFile(path)
    return _open[path]


def find(symbol: str) -> list[KeptFunction]:
    """What is kept for a symbol."""
    while _unread:
        for path in sorted(_unread.pop().glob("*.zip")):
            if path not in _read:
                _read.add(path)
                _read_index(path)
    return _by_symbol.get(symbol, [])


def _read_index(path: Path) -> None:
    try:
        functions = json.loads(_archive(path).read(INDEX))
    except (*_DAMAGED, ValueError) as error:
        log.debug("%s is left out: %s", path, error)  # what was in it is compiled again
        return
    for number, (symbol, asked, calls, typed, linked) in enumerate(functions):
        if FEATURES in asked:
            asked[FEATURES] = frozenset(asked[FEATURES])
        called = tuple(reuse.Call(name, _shape(arguments), _shape(found)) for name, arguments, found in calls)
        function = KeptFunction(path, str(number), symbol, asked, called, _shape(typed), tuple(linked))
        _by_symbol.setdefault(symbol, []).append(function)


def keep(folder: Path) -> None:
    """Write what this process made since it last did. What cannot be written is compiled again by who needs it."""
    functions, entries = [], []
    for function in reuse.made:
        try:
            typed = _words(reuse.shape_of(function.signature))
            calls = [[c.template, _words(c.arguments), _words(c.typed)] for c in function.calls]
            symbols = [reuse.symbol_of(c) for c in function.calls]
            linked = [symbols.index(link) for link in links(function.library)]
        except ValueError as error:
            log.debug("%s is not kept: %s", function.symbol, error)
            continue
        asked = {k: sorted(v) if isinstance(v, frozenset) else v for k, v in function.asked.items()}
        functions.append([function.symbol, asked, calls, typed, linked])
        entries.append(function.library.bitcode())
    reuse.made.clear()
    if not functions:
        return
    name = uuid.uuid4().hex  # numbers of processes come again, in containers soon, and others hold the indexes
    part, whole = folder / f"{name}.part", folder / f"{name}.zip"
    try:
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(INDEX, json.dumps(functions))
            for number, entry in enumerate(entries):
                archive.writestr(str(number), entry)
        part.replace(whole)
    except OSError as error:
        log.debug("functions are not kept in %s: %s", folder, error)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    _read.add(whole)


def _words(shape: reuse.Shape) -> list[Any]:
    """As JSON: a type's name, a literal as a list of its value, the machine as null. Raises ValueError: others."""
    return [_word(t) for t in shape]


def _word(t: Any) -> Any:
    if t is None or str(t) in _SIMPLE:
        return None if t is None else str(t)
    if isinstance(t, types.Literal) and isinstance(t.literal_value, int):
        return [t.literal_value]
    raise ValueError(f"no word for {t}")


def _shape(words: list[Any]) -> reuse.Shape:
    return tuple(None if w is None else types.literal(w[0]) if isinstance(w, list) else _SIMPLE[w] for w in words)
