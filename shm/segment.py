"""The segment: an anonymous memfd, mapped shared, inherited by fork.

It has no name, so nothing can be left behind whoever is killed, and no resource tracker is involved.
Pages are committed when they are first touched; the size is checked against the machine's memory before it is reserved.
"""

from __future__ import annotations

import mmap
import os

import numpy as np

_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of <linux/mman.h>
_HUGEPAGE = 14  # MADV_HUGEPAGE
_GAP = 32  # pages


class Segment:
    """`words` int64 words of shared memory.

    huge: in huge pages, as a kernel's linear map is, where the machine allows them for shared memory.
    array: NumPy view; words_view: memoryview of Python ints for the interpreted engine;
    address: of word 0 in this process (and in every process forked from it).
    Raises ValueError for a size that is not positive, MemoryError when the machine lacks the memory.
    """

    def __init__(self, words: int, name: str = "slab-stress", huge: bool = False) -> None:
        if words <= 0:
            raise ValueError(f"a segment needs a positive size, not {words} words")
        self.bytes = -(-words * 8 // mmap.PAGESIZE) * mmap.PAGESIZE
        available = os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE
        total = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE
        if self.bytes > total:
            raise MemoryError(
                f"a segment of {self.bytes >> 20} MiB does not fit this machine's {total >> 20} MiB (free now: "
                f"{available >> 20})"
            )
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC)
        os.ftruncate(self.fd, self.bytes)
        self._map(words)
        if huge:
            try:
                self._mmap.madvise(_HUGEPAGE)
            except OSError:  # EINVAL: this kernel has none
                pass

    def _map(self, words: int) -> None:
        self.words = words
        self._mmap = mmap.mmap(self.fd, self.bytes, mmap.MAP_SHARED)
        self.array = np.frombuffer(self._mmap, dtype=np.int64)
        self.words_view = memoryview(self._mmap).cast("q")
        self.address = self.array.ctypes.data

    def touched(self) -> np.ndarray:
        """Numbers of the pages that have memory."""
        found = []
        at = 0
        while at < self.bytes:
            try:
                begin = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError:  # ENXIO: there is none beyond
                break
            at = os.lseek(self.fd, begin, os.SEEK_HOLE)
            found.append(np.arange(begin // mmap.PAGESIZE, -(-at // mmap.PAGESIZE)))
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def populate(self, pages: np.ndarray) -> None:
        """Give these pages memory, and map them into this process, which else takes a fault at the first access to one.

        pages: numbers, ascending; those beyond the end are left out, short gaps are filled. Without
        MADV_POPULATE_WRITE (Linux 5.14) they are only given memory, and nobody else may write to them meanwhile.
        """
        pages = pages[pages < self.bytes // mmap.PAGESIZE]
        if not len(pages):
            return
        breaks = np.flatnonzero(np.diff(pages) > _GAP)
        for first, last in zip(pages[np.append(0, breaks + 1)].tolist(), pages[np.append(breaks, -1)].tolist()):
            try:
                self._mmap.madvise(_POPULATE_WRITE, first * mmap.PAGESIZE, (last - first + 1) * mmap.PAGESIZE)
            except OSError:
                words = np.arange(first, last + 1) * (mmap.PAGESIZE // 8)
                self.array[words[words < self.words]] |= 0

    def close(self) -> None:
        """Unmap; further use of the views is an error."""
        self.words_view.release()
        del self.array
        try:
            self._mmap.close()
        except BufferError:
            pass  # a view is still alive somewhere; the mapping goes with it
        os.close(self.fd)

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *exc) -> None:
        self.close()
