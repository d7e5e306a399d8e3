"""Which sources something was made from: what is kept on disk is only good for exactly those."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

DIGEST = re.compile(r"[0-9a-f]{16}")  # what `source_digest` makes


@functools.cache
def source_digest(*patterns: str, prefix: str = "") -> str:
    """16 hexadecimal digits of `prefix` and of the names and contents of the project's files that match the patterns.

    Computed once for a process: a run's own sources do not change under it.
    """
    digest = hashlib.sha256(prefix.encode())
    root = Path(__file__).resolve().parent.parent
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
