"""The page pair: a slab's freelist and its counts in one word, changed by one compare-and-swap (v3.16 struct page).

    freelist:31 at 32 | frozen:1 at 31 | objects:15 at 16 | inuse:16 at 0

A kernel has 128 bits and cmpxchg_double, or where there is none a bit lock of the page; here one word will do. A
freelist cannot suffer ABA: frees push one object, and whoever takes takes the whole list.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from shm.compiler import dual

FROZEN = 1 << 31
OBJECTS_SHIFT = 16
COUNT_MASK = (1 << 16) - 1
OBJECTS_MASK = (1 << 15) - 1

Pair = TypeVar("Pair", int, np.ndarray)  # observers take the pairs of many slabs apart at once


@dual
def freelist_of(pair: Pair) -> Pair:
    return pair >> 32


@dual
def inuse_of(pair: Pair) -> Pair:
    return pair & COUNT_MASK


@dual
def objects_of(pair: Pair) -> Pair:
    return pair >> OBJECTS_SHIFT & OBJECTS_MASK


@dual
def page_pair(freelist: int, inuse: int, objects: int, frozen: int) -> int:
    return freelist << 32 | frozen << 31 | objects << OBJECTS_SHIFT | inuse
