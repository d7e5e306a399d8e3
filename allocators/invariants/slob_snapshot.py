"""What the checkers look at in a SLOB world: its lists of pages, and what every unit of a page is used for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from allocators.caches.layout import Layout
from allocators.core.kmem_cache import CACHE_LIVE
from allocators.core.page_alloc import PAGE
from allocators.core.world import PAGE_BYTES, PAGE_SHIFT, PAGE_WORDS
from allocators.invariants.snapshot import SlabList, Snapshot
from allocators.slob.state import LISTS, OBJECT_MASK, PAGE_UNITS, REFERENCE_SHIFT, SLOB, UNIT_BYTES
from shm.machine import Machine

WORD_UNITS = PAGE_UNITS // PAGE_WORDS


class SlobList(SlabList):
    """One of the three lists of pages."""

    def __str__(self) -> str:
        return f"the list of {self.place} objects"


class Objects(NamedTuple):
    """References, resolved as far as they make sense. page: index of the page (block) an object lies in, -1 none;
    start: first unit in it; cache: -1 when that is no live one; units: as it says; large: has pages of its own."""

    references: np.ndarray
    cache: np.ndarray
    page: np.ndarray
    start: np.ndarray
    units: np.ndarray
    large: np.ndarray


class SlobSnapshot(Snapshot):
    """A Snapshot without slabs: `frames` are pages in shared use and the heads of large objects.

    shared: is it a page of many objects? units, first: its free units and first free block as it says.
    blocks: (page index, first unit, units) of every free block; problems: what was found on the way;
    broken: pages whose free blocks could not be walked to the end. waiting: references to objects that
    wait for a grace period.
    """

    def _read_slabs(self) -> None:
        super()._read_slabs()
        pages = self.pages[self.frames]
        self.slob = self.layout.plan["slob"]
        self.shared = pages["slab_cache"] == 0
        self.units, self.first = pages["pair"] & 0xFFFF, pages["pair"] >> 16
        self.problems: list[str] = []
        self.broken = np.zeros(len(self.frames), bool)
        self.blocks = self._walk_blocks()
        self.waiting = np.array(list(self._walk_waiting()), np.int64)

    def _heads(self) -> Iterator[tuple[str, int, int, int]]:
        for name in LISTS:
            yield name, -1, 0, self.slob + getattr(SLOB, name)

    def _walk(self, place: str, cache: int, number: int, head: int) -> None:
        """Follow one circular list, claiming its frames and checking both ways."""
        found = SlobList(place, cache, number, [])
        self.lists.append(found)
        mine, before, page = len(self.lists), head, self.mem[head + PAGE.next]
        while page != head:
            frame = self.frame_of(page)
            if frame < 0:
                found.problem = f"leads to word {page}, which is no page frame"
                return
            if self.claimed[frame]:
                found.problem = f"leads to frame {frame}, which is on {self.lists[self.claimed[frame] - 1]}"
                return
            if self.mem[page + PAGE.prev] != before:
                found.problem = f"has frame {frame} with prev {self.mem[page + PAGE.prev]}, its predecessor is {before}"
            self.claimed[frame] = mine
            found.frames.append(frame)
            before, page = page, self.mem[page + PAGE.next]
        if self.mem[head + PAGE.prev] != before:
            found.problem = f"ends with word {before}, its head says {self.mem[head + PAGE.prev]}"

    def page_name(self, i: int | np.integer) -> str:
        """How messages name the page with index i."""
        return (
            f"page at frame {self.frames[i]}"
            if self.shared[i]
            else f"large object at frame {self.frames[i]} of {self.cache_name(int(self.cache[i]))}"
        )

    def _report(self, page: int, text: str) -> None:
        self.broken[page] = True
        self.problems.append(f"{self.page_name(page)}: {text}")

    def _walk_blocks(self) -> np.ndarray:
        """The free blocks of all pages, one of each per turn; they must ascend and not touch each other."""
        numbers = self.words.view(np.int16)
        pages = np.flatnonzero(self.shared & (self.first != PAGE_UNITS))
        at, end = self.first[pages], np.full(len(pages), -1)
        found = [np.zeros((0, 3), np.int64)]
        while len(pages):
            good = (at >= 0) & (at < PAGE_UNITS)
            for i in np.flatnonzero(~good):
                self._report(pages[i], f"a free block is said to begin at unit {at[i]}")
            for i in np.flatnonzero(good & (at < end)):
                self._report(pages[i], f"the free block at unit {at[i]} comes after one that ends at {end[i]}")
            good &= at >= end
            for i in np.flatnonzero(good & (at == end)):
                self.problems.append(
                    f"{self.page_name(pages[i])}: the free blocks that meet at unit {at[i]} are not one"
                )
            pages, at = pages[good], at[good]
            where = self.frames[pages] * PAGE_UNITS + at
            value = numbers[where].astype(np.int64)
            many = value > 1  # a block of one unit only says where the next one begins, as a number below 0
            size = np.where(many, value, 1)
            good = at + size <= PAGE_UNITS
            for i in np.flatnonzero(~good):
                self._report(pages[i], f"the free block at unit {at[i]} says that it has {value[i]} units")
            pages, at, size = pages[good], at[good], size[good]
            where, value, many = where[good], value[good], many[good]
            after = np.where(many, numbers[where + many], -value)
            found.append(np.stack([pages, at, size], axis=1))
            going = after != PAGE_UNITS
            pages, end, at = pages[going], (at + size)[going], after[going]
        return np.concatenate(found)

    def _walk_waiting(self) -> Iterator[int]:
        """References along the stack of objects that wait for a grace period."""
        ref, seen = self.mem[self.slob + SLOB.waiting], set()
        while ref:
            one = self.resolve(np.array([ref], np.int64))
            if one.page[0] < 0 or ref in seen:
                self.problems.append(
                    f"the objects that wait for a grace period {'come back to' if ref in seen else 'lead to'} word "
                    f"{ref & OBJECT_MASK}"
                )
                return
            seen.add(ref)
            yield ref
            ref = self.mem[(ref & OBJECT_MASK) + (int(self.caches["object_size"][one.cache[0]]) + 7 >> 3)]

    def resolve(self, references: np.ndarray) -> Objects:
        """What references lead to."""
        cache, obj = references >> REFERENCE_SHIFT, references & OBJECT_MASK
        known = (cache >= 0) & (cache < len(self.caches))
        cache = np.where(known, cache, 0)
        size = self.caches["size"][cache]
        known &= (self.caches["state"][cache] == CACHE_LIVE) & (size > 0)
        frame = obj >> PAGE_SHIFT
        good = known & (frame < self.layout.last_frame)
        page = np.where(good, self.slab_at[np.where(good, frame, 0)], -1)
        return Objects(
            references,
            np.where(known, cache, -1),
            page,
            (obj & PAGE_WORDS - 1) * WORD_UNITS,
            (size + UNIT_BYTES - 1) // UNIT_BYTES,
            known & (size >= PAGE_BYTES),
        )


def page_census(m: Machine, layout: Layout) -> dict[str, int]:
    """SLOB: what its pages are used for, at the end and when they were most; nothing for other allocators."""
    if not m.has("SLOB"):
        return {}
    w = SlobSnapshot(m, layout)
    found = {f"pages_{slobs.place}": len(slobs.frames) for slobs in w.lists}
    peak, free = (w.mem[w.slob + field] for field in (SLOB.peak_pages, SLOB.free_units_at_peak))
    return found | {
        "pages_full": int(np.count_nonzero(w.shared & (w.units == 0))),
        "pages_of_large_objects": int((1 << w.order[~w.shared]).sum()),
        "free_bytes": int(w.units[w.shared].sum()) * UNIT_BYTES,
        "peak_pages": peak,
        "free_bytes_at_peak": free * UNIT_BYTES,
    }
