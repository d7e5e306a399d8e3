"""Structs of shared memory: declared once, used by compiled code, plain Python and NumPy alike.

Memory is one flat array of int64 words; a pointer is a word index and 0 is NULL. `struct` turns field
names into offsets: ``CPU = struct("CPU", "irq", ("stat", 26))`` gives ``CPU.irq == 0``,
``CPU.stat == 1`` and ``CPU.SIZE == 27``, all compile-time constants to Numba, so code reads like the
C it models: ``load(m, cpu + CPU.irq)``. `view` gives whoever only inspects a NumPy record array.

`Plan` hands out regions of a segment before it exists, so that its size is known beforehand.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

CACHE_LINE = 8  # words

_DTYPES: dict[str, np.dtype] = {}


def struct(name: str, *fields: str | tuple[str, int], size: int = 0) -> Any:
    """A named tuple of word offsets, with the size in words as SIZE.

    fields: a name (one word) or (name, words). size: pad to this many words; 0 means no padding.
    Raises ValueError when the fields do not fit `size` or the name is taken.
    """
    if name in _DTYPES:
        raise ValueError(f"struct {name} is declared twice")
    names, offsets, formats, at = [], [], [], 0
    for field in fields:
        label, words = (field, 1) if isinstance(field, str) else field
        names.append(label)
        offsets.append(at)
        formats.append("<i8" if words == 1 else f"({words},)<i8")
        at += words
    if size and at > size:
        raise ValueError(f"struct {name} needs {at} words, {size} were declared")
    total = size or at
    _DTYPES[name] = np.dtype(
        {"names": names, "formats": formats, "offsets": [8 * o for o in offsets], "itemsize": 8 * total}
    )
    make: Callable[..., Callable] = namedtuple  # whose fields are known when it runs
    return make(name, [*names, "SIZE"])(*offsets, total)


def view(words: np.ndarray, layout, base: int, count: int) -> np.ndarray:
    """`count` consecutive structs from word `base` as a record array that shares the memory."""
    dtype = _DTYPES[type(layout).__name__]
    return words[base : base + count * layout.SIZE].view(dtype)


def field_name(layout, offset: int) -> str:
    """The field that holds word `offset` of a struct, as ``name`` or ``name[i]``."""
    best = max(
        (f for f in layout._fields if f != "SIZE" and getattr(layout, f) <= offset), key=lambda f: getattr(layout, f)
    )
    inner = offset - getattr(layout, best)
    shape = _DTYPES[type(layout).__name__][best].shape
    return f"{best}[{inner}]" if shape else best


class Plan:
    """Bump allocation of regions, in words. `regions` maps a name to (base, words)."""

    def __init__(self, start: int = 0) -> None:
        self.end = start
        self.regions: dict[str, tuple[int, int]] = {}

    def reserve(self, name: str, words: int, align: int = CACHE_LINE) -> int:
        """Reserve `words` words for `name`; returns the base. ValueError when the name is taken."""
        if name in self.regions:
            raise ValueError(f"region {name} is reserved twice")
        base = -(-self.end // align) * align
        self.regions[name] = (base, words)
        self.end = base + words
        return base

    def __getitem__(self, name: str) -> int:
        return self.regions[name][0]
