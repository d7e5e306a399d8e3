"""The profile of a machine: its topology, its caches, what accesses cost, and what its kernel does.

Times are whole picoseconds, so that sums are exact and the same everywhere; the files say nanoseconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from stress.process.errors import UsageError

MAX_CPUS = 512
MAX_NODES = 16
LINE_BYTES = 64
PS_PER_NS = 1_000
PS_PER_MS = 1_000_000_000
HZ = (100, 250, 300, 1000)  # what a kernel can be built with
LOCKS = ("ticket", "queued", "unfair")
STREAMS = 32  # that a prefetcher follows at most
MOST_SOURCES = 64
LONGEST_TEXT = 1_000
LONGEST_NAME = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Topology:
    """nodes: NUMA nodes. complexes_per_node: groups of cores that share a last-level cache. One core is one CPU."""

    nodes: int
    complexes_per_node: int
    cores_per_complex: int

    @property
    def cpus(self) -> int:
        """CPUs of the machine, numbered node by node and in a node complex by complex."""
        return self.nodes * self.complexes_per_node * self.cores_per_complex


@dataclasses.dataclass(frozen=True, slots=True)
class Cache:
    """l1_kib, private_kib: a core's first level, and all that it has for itself (L1 and L2). llc_mib: the last-level
    cache of a complex.

    line_bytes: 64, as the structs of the allocators are laid out for. store_buffer: entries. tlb_entries: pages of
    4 KiB whose addresses a core knows, 0 where pages are so large that it knows all, as in a kernel's linear map.
    streams: that a core's prefetcher follows at a time, 0 without one. store_misses: stores of the buffer that wait for
    lines at a time; they still reach the cache in their order. overlap: how many misses a core has under way at a time;
    each takes so many times less of its way.
    """

    l1_kib: int
    private_kib: int
    llc_mib: float
    line_bytes: int
    store_buffer: int
    overlap: float
    tlb_entries: int = 0
    streams: int = 0
    store_misses: int = 1

    @property
    def l1_lines(self) -> int:
        """Lines that a core's first level holds."""
        return self.l1_kib * 1024 // self.line_bytes

    @property
    def private_lines(self) -> int:
        """Lines that a core's own cache holds."""
        return self.private_kib * 1024 // self.line_bytes

    @property
    def llc_lines(self) -> int:
        """Lines that the last-level cache of a complex holds."""
        return int(self.llc_mib * (1 << 20)) // self.line_bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Prices:
    """What things cost, in picoseconds.

    access       a load or store that hits the core's own cache, with its share of the instructions around it
    this_cpu     added by an unlocked compare-and-swap on this CPU's own line
    locked       added by a locked instruction on a line that the core owns
    barrier      a full fence
    l2           a line in the core's own cache, but not in its first level
    llc          a line that is clean in the last-level cache of the own complex
    complex      a line that is dirty in another core of the own complex
    node         a line that is dirty in another complex of the own node
    remote       a line that is dirty in another node
    memory_near  a line in the memory of the own node
    memory_far   a line in the memory of another node
    call         added to each allocation and free, beyond its accesses
    irq          interrupts off and on again
    ipi          an interrupt of another CPU, from its sending to its arrival
    interrupt    entry and exit of a handler
    wakeup       a work item, from its queueing until a worker runs it
    tlb          added to a miss when the core does not know the page's address either
    branch       added to an allocation or free that goes another way than the last one of its CPU
    ahead        how long before its use a link of a free list is asked for, if the one before has come by then
    """

    access: int
    this_cpu: int
    locked: int
    barrier: int
    l2: int
    llc: int
    complex: int
    node: int
    remote: int
    memory_near: int
    memory_far: int
    call: int
    irq: int
    ipi: int
    interrupt: int
    wakeup: int
    tlb: int = 0
    branch: int = 0
    ahead: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Kernel:
    """hz: ticks a second. locks: `ticket` (spinlocks up to Linux 4.1), `queued`, or `unfair`, which no kernel's are but
    the laboratory's own: a word that is tested and set.

    grace_period: how long one of sched-RCU usually takes, in picoseconds.
    """

    hz: int
    locks: str
    grace_period: int


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """A machine. about: one line. sources: where each group of prices is from, and what is assumed."""

    name: str
    about: str
    sources: tuple[str, ...]
    topology: Topology
    cache: Cache
    ps: Prices
    kernel: Kernel

    @property
    def cpus(self) -> int:
        """CPUs of the machine."""
        return self.topology.cpus

    @property
    def shape(self) -> str:
        """The topology and the caches in a few words."""
        counts = zip(dataclasses.astuple(self.topology), ("node", "complex", "core"), ("nodes", "complexes", "cores"))
        parts = " × ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)
        return f"{self.cpus} CPUs = {parts}, {self.cache.llc_mib:g} MiB of last-level cache a complex"


# What a price may be, in ns; those below begin at 0.
MOST_NS: dict[str, int] = {
    **dict.fromkeys((field.name for field in dataclasses.fields(Prices)), 100_000),
    "ipi": 10_000_000,
    "interrupt": 10_000_000,
    "wakeup": 100_000_000,
}
MAY_BE_FREE = ("this_cpu", "locked", "barrier", "call", "irq", "ipi", "interrupt", "wakeup", "tlb", "branch", "ahead")
MOST_GRACE_PERIOD_MS = 10_000
# Dearer from left to right; equal is allowed, for machines that lack one of the steps.
ORDERS = (
    ("access", "l2", "llc", "complex", "node", "remote"),
    ("llc", "memory_near", "memory_far"),
)


def wrong(where: str, field: str, found: Any, allowed: str) -> UsageError:
    """The error of a field: file, field, what it has and what is allowed."""
    shown = repr(found)
    if len(shown) > 60:
        shown = shown[:57] + "…"
    return UsageError(f"{where}: {field} = {shown}: allowed is {allowed}")


def check(profile: Profile, where: str) -> Profile:
    """The same profile, if it describes a machine that can be; else UsageError that names the field.

    Numbers have the right types already (`load.parse` sees to that). where: the file, for the message.
    """
    topology, cache, kernel = profile.topology, profile.cache, profile.kernel
    if not _is_name(profile.name):
        allowed = f"1 to {LONGEST_NAME} characters a-z, 0-9, '.', '_' and '-', the first a letter or digit"
        raise wrong(where, "name", profile.name, allowed)
    _check_text(where, "about", profile.about)
    if not 1 <= len(profile.sources) <= MOST_SOURCES:
        raise wrong(where, "sources", len(profile.sources), f"a list of 1 to {MOST_SOURCES} texts")
    for number, text in enumerate(profile.sources):
        _check_text(where, f"sources[{number}]", text)
    _check_range(where, "topology.nodes", topology.nodes, 1, MAX_NODES)
    _check_range(where, "topology.complexes_per_node", topology.complexes_per_node, 1, MAX_CPUS)
    _check_range(where, "topology.cores_per_complex", topology.cores_per_complex, 1, MAX_CPUS)
    if topology.cpus > MAX_CPUS:
        raise UsageError(
            f"{where}: topology has {topology.cpus} CPUs (nodes × complexes_per_node × cores_per_complex): "
            f"allowed are up to {MAX_CPUS}"
        )
    _check_range(where, "cache.private_kib", cache.private_kib, 4, 65_536)
    _check_range(where, "cache.l1_kib", cache.l1_kib, 1, cache.private_kib)
    _check_range(where, "cache.llc_mib", cache.llc_mib, 0.0625, 65_536)
    if cache.llc_mib * 1024 < cache.private_kib:
        raise wrong(where, "cache.llc_mib", cache.llc_mib, f"no less than cache.private_kib ({cache.private_kib} KiB)")
    _check_range(where, "cache.line_bytes", cache.line_bytes, LINE_BYTES, LINE_BYTES)
    _check_range(where, "cache.store_buffer", cache.store_buffer, 1, 1_024)
    _check_range(where, "cache.overlap", cache.overlap, 1, 64)
    _check_range(where, "cache.tlb_entries", cache.tlb_entries, 0, 1 << 16)
    _check_range(where, "cache.streams", cache.streams, 0, STREAMS)
    _check_range(where, "cache.store_misses", cache.store_misses, 1, 64)
    for name, most in MOST_NS.items():
        ps = getattr(profile.ps, name)
        least = 0 if name in MAY_BE_FREE else 1
        if not least <= ps <= most * PS_PER_NS:
            lowest = "0" if least == 0 else "0.001"
            raise wrong(where, f"ns.{name}", ps / PS_PER_NS, f"{lowest} to {most} (nanoseconds)")
    prices = dataclasses.asdict(profile.ps)
    for dearer, cheaper in out_of_order(prices):
        allowed = f"no less than ns.{cheaper} ({prices[cheaper] / PS_PER_NS:g})"
        raise wrong(where, f"ns.{dearer}", prices[dearer] / PS_PER_NS, allowed)
    if kernel.hz not in HZ:
        raise wrong(where, "kernel.hz", kernel.hz, ", ".join(map(str, HZ)))
    if kernel.locks not in LOCKS:
        raise wrong(where, "kernel.locks", kernel.locks, " or ".join(f'"{name}"' for name in LOCKS))
    if not 1 <= kernel.grace_period <= MOST_GRACE_PERIOD_MS * PS_PER_MS:
        found = kernel.grace_period / PS_PER_MS
        raise wrong(where, "kernel.grace_period_ms", found, f"above 0 to {MOST_GRACE_PERIOD_MS} (milliseconds)")
    return profile


def out_of_order(prices: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Pairs of ORDERS, first what should be no cheaper than the second, and is. Whoever raises the first as they come
    has all in order afterwards."""
    for names in ORDERS:
        for cheaper, dearer in zip(names, names[1:], strict=False):
            if prices[dearer] < prices[cheaper]:
                yield dearer, cheaper


def _is_name(text: str) -> bool:
    return (
        1 <= len(text) <= LONGEST_NAME
        and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        and text[0] not in "._-"
    )


def _check_text(where: str, field: str, text: str) -> None:
    if not (1 <= len(text) <= LONGEST_TEXT and text.isprintable()):
        raise wrong(where, field, text, f"one printable line of 1 to {LONGEST_TEXT} characters")


def _check_range(where: str, field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise wrong(where, field, value, f"{low:g} to {high:g}" if low != high else f"{low:g}")
