"""Which sources something was made from: what is kept on disk is only good for exactly those."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
# What compiled code can come from.
COMPILED = ("shm/**/*.py", "allocators/**/*.py", "scenarios/tape.py", "stress/engine/*.py", "stress/bench/programs.py")
DIGEST = re.compile(r"[0-9a-f]{16}")  # what `source_digest` makes


@functools.cache
def source_digest(*patterns: str, prefix: str = "") -> str:
    """16 hexadecimal digits of `prefix` and of the names and contents of the project's files that match the patterns.

    Computed once for a process: a run's own sources do not change under it.
    """
    digest = hashlib.sha256(prefix.encode())
    for pattern in patterns:
        for path in sorted(_ROOT.glob(pattern)):
            digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def _compiled_sources() -> frozenset[Path]:
    return frozenset(path for pattern in COMPILED for path in _ROOT.glob(pattern))


@functools.cache
def is_compiled_source(file: str) -> bool:
    """Is this one of the files that `COMPILED` names?"""
    return Path(file).resolve() in _compiled_sources()
