"""Files that commands read, mutated by byte, by line and by field."""

from __future__ import annotations

import random
import re
from pathlib import Path

FIELDS = (
    b"", b"-1", b"0", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"9" * 30, b"9" * 5000, b"true", b"\xff",
    b"a" * 300, b"[" * 3000,
)  # fmt: skip
_FIELD = re.compile(rb"[^\s,:=\[\]{}]+")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The file with one to three changes."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice((_byte, _line, _field, _field, _cut))(data, rng)
    return data


def _byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randrange(2) :]


def _line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[other])
        case _:
            lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


def _field(data: bytes, rng: random.Random) -> bytes:
    fields = list(_FIELD.finditer(data))
    if not fields:
        return data
    found = rng.choice(fields)
    return data[: found.start()] + rng.choice(FIELDS) + data[found.end() :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def write(path: Path, data: bytes, seed: str) -> Path:
    """A mutated copy of the file's bytes; the same for the same seed."""
    path.write_bytes(mutate(data, random.Random(seed)))
    return path
