"""Checks of what a user typed: each says the option, what is allowed and what to do."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

from stress.process.errors import UsageError

MIN_MEMORY = 1 << 20
MOST_LETTERS = 80  # of what was typed, when the nearest name is looked for
MAX_MEMORY = 15 << 30  # pointers inside slabs are 31-bit word indices: 16 GiB with all that describes them


def within(option: str, value: int, low: int, high: int, why: str = "") -> None:
    """UsageError unless low <= value <= high."""
    if not low <= value <= high:
        raise UsageError(f"{option} {value}: allowed is {low} to {high}" + (f"; {why}" if why else ""))


def choose(option: str, value: str, names: Iterable[str], where: str) -> None:
    """UsageError unless value is one of names; it proposes the nearest and the command that lists them."""
    names = list(names)
    if value in names:
        return
    hint = f"{near}? " if (near := did_you_mean(value, names)) else ""
    raise UsageError(f"{option} {value!r} is not known: {hint}allowed are {', '.join(names)} (see `{where}`)")


def did_you_mean(value: str, names: Iterable[str]) -> str:
    """ "did you mean 'json'" for the name nearest to what was typed, or "" when none is near."""
    names = list(names)
    letters = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(value.lower()[:MOST_LETTERS], letters, n=1)
    return f"did you mean {letters[near[0]]!r}" if near else ""


def check_seconds(option: str, value: float, what: str, example: str) -> None:
    """UsageError unless it is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{option} {value:g}: {what} must be a number above 0, such as {example}")


def check_file(option: str, path: Path) -> None:
    """It must be possible to write the file: that is found out before the work, not after it."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise UsageError(f"{option} {path}: it must name a file in a folder that exists")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{option} {path}: {folder} is not writable; choose another folder")


def check_out(path: Path) -> None:
    """The folder of results must be writable before the run starts, not after it."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"--out {path}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"--out {path}: {place} is not writable; choose another folder")


def parse_size(text: str) -> int:
    """Bytes from a size such as 512M, 2G, 1.5g or 1048576 (units are powers of 1024)."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise UsageError(f"--memory {text!r}: expected a size such as 512M or 2G (units K, M, G, T)")
    size = float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")  # infinite, if it is that long
    if not MIN_MEMORY <= size <= MAX_MEMORY:
        raise UsageError(f"--memory {text!r}: allowed is {MIN_MEMORY >> 20}M to {MAX_MEMORY >> 30}G")
    return int(size)
