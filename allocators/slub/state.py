"""SLUB's words: the CPU pair, how both pairs are changed, the 26 statistics.

The page pair (allocators.core.page_pair) and the CPU pair are 64-bit words here where a kernel uses 128 bits, so one
plain compare-and-swap replaces cmpxchg_double and its fallback:

    CPU pair    freelist:31 at 32 | tid:32 at 0

The page pair may be changed by any CPU at any time, so by compare-and-swap only, but while nobody else knows the
slab. The CPU pair is its CPU's: changed without a barrier, and protected from interrupts and preemption by the
transaction id.
"""

from __future__ import annotations

from allocators.catalogue import SHEAF_STATISTICS, SLUB
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE
from allocators.core.world import OPS, STAT_WORDS, count
from shm.atomics import book, cmpxchg, cpu_area, load, read_book, this_cpu_cmpxchg
from shm.compiler import dual
from shm.layout import struct
from shm.machine import Machine

STATISTICS = SLUB.statistics
STAT = struct("STAT", *STATISTICS, *SHEAF_STATISTICS, size=STAT_WORDS)

# P7 of v1: c.partial of a dead cache holds this instead of a page; no page has this address.
PARTIAL_DISABLED = 1

OFF_LIST = -1  # F_NOCPUSLAB: PAGE.prev of a slab on no list

TID_STEP = 64  # encodes the CPU in the transaction id: roundup_pow2(NR_CPUS)
TID_MASK = (1 << 32) - 1


@dual
def stat(m: Machine, s: int, item: int) -> None:
    """Count a statistic of cache `s` on this CPU (SLUB_STATS)."""
    if m.has("STATS"):
        book(m, cpu_area(m) + read_book(m, s + CACHE.stats) + item, 1)


@dual
def cpu_pair(freelist: int, tid: int) -> int:
    return freelist << 32 | tid & TID_MASK


@dual
def next_tid(pair: int) -> int:
    """The transaction id that follows that of a CPU pair."""
    return (pair & TID_MASK) + TID_STEP & TID_MASK


@dual
def cas_page(m: Machine, s: int, page: int, old: int, new: int) -> bool:
    """cmpxchg_double_slab: replace the pair of a page if it is still `old`. A full barrier."""
    count(m, OPS.page_cas)
    if cmpxchg(m, page + PAGE.pair, old, new) == old:
        return True
    count(m, OPS.page_cas_failed)
    stat(m, s, STAT.cmpxchg_double_fail)
    return False


@dual
def cas_this_cpu(m: Machine, a: int, old: int, new: int) -> bool:
    """Replace a word of this CPU's area if it is still `old`. No barrier."""
    count(m, OPS.this_cpu_cas)
    return this_cpu_cmpxchg(m, a, old, new) == old


@dual
def cpu_slab(m: Machine, s: int) -> int:
    """This CPU's kmem_cache_cpu of cache `s`."""
    return cpu_area(m) + load(m, s + CACHE.cpu_slab)
