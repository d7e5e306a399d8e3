"""Buffers for the probes: private memory in huge pages, as a kernel maps its own: few TLB misses are counted."""

from __future__ import annotations

import mmap

import numpy as np

from shm.machine import MACHINE, Machine

HUGE = 2 << 20


class Buffer:
    """`size` bytes, a multiple of 2 MiB, zeroed; `base` is the first word that the machine's header leaves free.

    Whoever touches a page first has it in its node.
    """

    def __init__(self, size: int) -> None:
        self.bytes = -(-size // HUGE) * HUGE + HUGE
        self._mmap = mmap.mmap(-1, self.bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.huge = _huge_pages(self._mmap)
        array = np.frombuffer(self._mmap, dtype=np.int64)
        skipped = -array.ctypes.data % HUGE // 8  # begin at a huge page
        self.array = array[skipped : skipped + (self.bytes - HUGE) // 8]
        self.base = MACHINE.SIZE

    def machine(self) -> Machine:
        """A machine whose words are this buffer, with no features and no kernel."""
        return Machine(self.array.data, address=self.array.ctypes.data)

    def close(self) -> None:
        """Give the memory back; further use is an error."""
        del self.array
        try:
            self._mmap.close()
        except BufferError:
            pass  # a view is still alive somewhere; the mapping goes with it

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def available_bytes() -> int:
    """Memory that can be had without swapping."""
    import psutil

    return psutil.virtual_memory().available


def _huge_pages(memory: mmap.mmap) -> bool:
    """Ask for huge pages; is there any hope of them?"""
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as stream:
            return "[never]" not in stream.read()
    except (OSError, AttributeError, ValueError):
        return False
