"""What a CPU remembers of lines, as tags: its caches' levels, its TLB, the streams that its prefetcher follows.

A key is a line and its version: whoever writes a line makes a new one, and old keys are in no cache any more.
"""

from __future__ import annotations

from shm.atomics import read_book, write_book
from shm.compiler import dual
from shm.machine import Machine
from shm.virtual.words import (
    PAGE_LINES,
    PRICE,
    STREAMS,
    TAGS,
    TRANSLATIONS,
    VCPU,
    VERSION_AT,
    VERSION_BITS,
    VERSION_MASK,
    VTIME,
    WAYS,
    price,
    spend,
    vtime,
)

_GOLDEN = 0x9E3779B1  # spreads pages
NEAR = 4  # lines: so far from each other are the next ones of a stream, either way


@dual
def _spread(page: int, over: int) -> int:
    """A page's place among so many, as good as drawn."""
    return ((page * _GOLDEN) & 0xFFFFFFFF) * over >> 32


@dual
def set_of(line: int, base: int, pages: int) -> int:
    """Where the tags are that may hold a line of a cache that has sets for each line of so many pages.

    Which of a page's sets is said by the address, as caches have it: lines that lie a power of two apart share few
    sets. Which page's is chance: pages lie anywhere in memory.
    """
    return base + (_spread(line >> PAGE_LINES, pages) << PAGE_LINES | line & (1 << PAGE_LINES) - 1) * WAYS


@dual
def has(m: Machine, s: int, key: int) -> bool:
    """Is a key in a set?"""
    for way in range(WAYS):
        if read_book(m, s + way) == key:
            return True
    return False


@dual
def insert(m: Machine, s: int, key: int) -> None:
    """Put a key first in a set; an old version of it or else the oldest key goes."""
    line = key >> VERSION_BITS
    last = 0
    while last < WAYS - 1 and read_book(m, s + last) >> VERSION_BITS != line:
        last += 1
    while last > 0:
        write_book(m, s + last, read_book(m, s + last - 1))
        last -= 1
    write_book(m, s, key)


@dual
def key_of(line: int, state: int) -> int:
    return line << VERSION_BITS | state >> VERSION_AT & VERSION_MASK


@dual
def keep(m: Machine, v: int, key: int) -> None:
    """The CPU has the line now, and so has its last level cache."""
    line = key >> VERSION_BITS
    insert(m, set_of(line, read_book(m, v + VCPU.l1), vtime(m, VTIME.l1_pages)), key)
    insert(m, set_of(line, read_book(m, v + VCPU.tags), vtime(m, VTIME.private_pages)), key)
    insert(m, set_of(line, read_book(m, v + VCPU.llc), vtime(m, VTIME.llc_pages)), key)


@dual
def keep_first(m: Machine, v: int, key: int) -> None:
    """A line that the core's own cache has moves to its first level."""
    line = key >> VERSION_BITS
    insert(m, set_of(line, read_book(m, v + VCPU.l1), vtime(m, VTIME.l1_pages)), key)
    insert(m, set_of(line, read_book(m, v + VCPU.tags), vtime(m, VTIME.private_pages)), key)


@dual
def prefetched(m: Machine, v: int, line: int) -> bool:
    """Did the prefetcher ask for the line before the CPU did? It does once a stream has gone as far twice, and within a
    page: where the next one lies in memory it does not know.
    """
    streams = vtime(m, VTIME.streams)
    for at in range(v + VCPU.stream, v + VCPU.stream + streams):
        step = line - read_book(m, at)
        if step != 0 and -NEAR <= step <= NEAR:
            again = read_book(m, at + STREAMS) == step and line >> PAGE_LINES == (line - step) >> PAGE_LINES
            write_book(m, at, line)
            write_book(m, at + STREAMS, step)
            return again
    if streams:
        newest = (read_book(m, v + VCPU.newest) + 1) % streams
        write_book(m, v + VCPU.newest, newest)
        write_book(m, v + VCPU.stream + newest, line)
        write_book(m, v + VCPU.step + newest, 0)
    return False


@dual
def translate(m: Machine, v: int, line: int) -> None:
    """The CPU needs the address of a line's page."""
    sets = vtime(m, VTIME.tlb_sets)
    if sets:
        page = line >> PAGE_LINES
        s = read_book(m, v + VCPU.tlb) + _spread(page, sets) * WAYS
        key = page << VERSION_BITS | 1  # it is never another version
        if read_book(m, s) != key:
            if not has(m, s, key):
                spend(m, v, TRANSLATIONS, price(m, PRICE.tlb))
            insert(m, s, key)


@dual
def forget_first(m: Machine, v: int) -> None:
    """Somebody else ran on the CPU: its first level and its TLB have nothing of what they had."""
    l1, tlb = read_book(m, v + VCPU.l1), read_book(m, v + VCPU.tlb)
    for at in range(l1, l1 + vtime(m, VTIME.l1_pages) * TAGS):
        write_book(m, at, 0)
    for at in range(tlb, tlb + vtime(m, VTIME.tlb_sets) * WAYS):
        write_book(m, at, 0)
