"""The compiled loops of this room, kept on disk under a hash of their sources."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba

from shm.code_cache import cache_folder
from shm.compiler import ENTRY_PIPELINE
from shm.entry import compiling
from shm.sources import source_digest
from stress.recordings import letters, pair, scan

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "scan": scan.scan,
    "rehash": letters.rehash,
    "pair": pair.pair,
    "move": pair.move,
}


SOURCES = tuple(f"stress/recordings/{name}.py" for name in ("rows", "letters", "fields", "scan", "pair"))


@functools.cache
def compiled(name: str) -> Callable[..., Any]:
    """One of `_FUNCTIONS`, which is compiled when it is first called and then taken from the cache."""
    import filelock

    folder = cache_folder() / f"recordings-{source_digest(*SOURCES)}"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"), compiling(folder):
        made: Any = numba.njit(cache=True, nogil=True, error_model="numpy", pipeline_class=ENTRY_PIPELINE)(
            _FUNCTIONS[name]
        )
        made.compile(_SIGNATURES[name])
        made.disable_compile()
    return made


_i64, _words, _grid, _bytes = numba.int64, numba.int64[::1], numba.int64[:, ::1], numba.uint8[::1]
_SIGNATURES = {
    "scan": (_bytes, _i64, _grid, _words, _bytes, _words, _words, _words, _grid),
    "rehash": (_bytes, _words, _words, _i64),
    "pair": (_grid, _i64, _i64, _words, _grid, _words, _grid, _words, _words, _grid),
    "move": (_grid, _grid),
}
