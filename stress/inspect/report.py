"""What is in files of slabs: data, sentences, a table, and the command that plays a like workload."""

from __future__ import annotations

from typing import TextIO

import msgspec

from stress.inspect.cgroups import dead_children
from stress.inspect.orders import possible_cpus
from stress.inspect.state import CacheState, State
from stress.show.units import plural

SCHEMA_VERSION = 1
PAGE = 4096
SHOWN = 15
MEMCG_IDS = 65535  # of /proc/cgroups: ids 1 to 65,535


class CacheFound(msgspec.Struct, frozen=True):
    """A cache, or one node of it. spare_slabs: that would be free if its objects in use were packed; mixture: slabs of
    the preferred and of the least order; as_sized: whether SLUB's sizing, with the CPUs of the others, gives its order.
    """

    name: str
    size: int
    active: int | None
    objects: int | None
    objects_per_slab: int | None
    order: int | None
    slabs: int | None
    pages: int
    spare_slabs: int | None
    mixture: list[int] | None
    as_sized: bool | None
    cgroup: str | None
    node: int | None


class FileFound(msgspec.Struct, frozen=True):
    """A file. possible_cpus: the least and most nr_cpu_ids that its orders agree with; dying: cgroups by controller."""

    path: str
    format: str
    allocator: str
    possible_cpus: list[int] | None
    slab_bytes: int
    spare_bytes: int
    dying: dict[str, int]
    caches: list[CacheFound]
    unread_lines: list[int]
    unknown_caches: list[str]
    sentences: list[str]


class Growth(msgspec.Struct, frozen=True):
    """A cache in two files; per_hour is None where the time between them is not known."""

    name: str
    slabs: int
    objects: int
    bytes: int
    bytes_per_hour: float | None


class Inspection(msgspec.Struct, frozen=True):
    """What `inspect` prints as JSON."""

    schema_version: int
    files: list[FileFound]
    growth: list[Growth]
    command: str


def inspect(states: list[State], hours: float | None = None, alive: frozenset[str] | None = None) -> Inspection:
    """Judge files; two of the same kind give the growth from the first to the second, `hours` apart. alive: names of
    the cgroups that there are, None if that is not known."""
    files = [_file(state, alive) for state in states]
    growth = _growth(states[0], states[1], hours) if len(states) == 2 and states[0].caches and states[1].caches else []
    return Inspection(SCHEMA_VERSION, files, growth, _command(states))


def _file(state: State, alive: frozenset[str] | None) -> FileFound:
    cpus, strange = possible_cpus(state.caches) if state.allocator == "slub" else (None, [])
    caches = []
    for cache in state.caches:
        mixed = cache.mixture()
        caches.append(
            CacheFound(
                cache.name, cache.size, cache.active, cache.objects, cache.per_slab, cache.order, cache.slabs,
                cache.pages, cache.spare_slabs(), list(mixed) if mixed else None,
                None if cpus is None else all(cache is not other for other in strange),
                None if cache.cgroup is None else f"{cache.cgroup[0]}:{cache.cgroup[1]}", cache.node,
            )
        )  # fmt: skip
    # Of a cache and node that is there several times (dmesg) the last counts.
    last = {(c.name, c.cgroup, c.node): c for c in caches}.values()
    spare = sum((c.spare_slabs or 0) * PAGE << (c.order or 0) for c in last)
    found = FileFound(
        state.path, state.kind, state.allocator, list(cpus) if cpus else None, sum(c.pages for c in last) * PAGE, spare,
        state.dying, sorted(caches, key=lambda c: -c.pages), state.unread, state.unknown, [],
    )  # fmt: skip
    return msgspec.structs.replace(found, sentences=_sentences(found, state, strange, alive))


def _sentences(found: FileFound, state: State, strange: list[CacheState], alive: frozenset[str] | None) -> list[str]:
    said = []
    if found.caches:
        said.append(f"{plural(len({c.name for c in found.caches}), 'cache')} in slabs of {_mib(found.slab_bytes)}.")
    if found.spare_bytes:
        most = max(found.caches, key=lambda c: (c.spare_slabs or 0) << (c.order or 0))
        said.append(
            f"Objects in use, packed, would leave {_mib(found.spare_bytes)} of that free: what partial slabs, slabs of "
            f"CPUs and empty slabs hold, and the most that dead caches can hoard. {most.name} has most of it, "
            f"{most.spare_slabs:,} slabs."
        )
    for cache in found.caches:
        if cache.mixture:
            where = f" on node {cache.node}" if cache.node is not None else ""
            said.append(
                f"{cache.name}{where} has {plural(cache.mixture[0], 'slab')} of order {cache.order} and "
                f"{cache.mixture[1]:,} of the least order: larger ones could not be had, "
                "memory is fragmented or the cgroup at its limit."
            )
    if found.possible_cpus:
        low, high = found.possible_cpus
        said.append(f"Objects per slab and orders are SLUB's for {low:,} to {high:,} possible CPUs (nr_cpu_ids).")
        if strange:
            names = ", ".join(cache.name for cache in strange[:5]) + ", …" * (len(strange) > 5)
            said.append(f"Not as sized: {names}. Debug options, slab_max_order, or another kernel.")
    debug = sorted({option for cache in state.caches for option in cache.debug})
    if debug:
        said.append(f"Debug options are on ({', '.join(debug)}): sizes are larger, and frees slower, than without.")
    if state.allocator == "slab":
        limits = sorted({c.tunables[0] for c in state.caches}, reverse=True)
        said.append(f"It is SLAB: arrays of {', '.join(map(str, limits))} objects a CPU keep slabs from going.")
    children = {c.cgroup for c in state.caches if c.cgroup is not None}
    if children:
        said.append(
            f"{plural(len(children), 'cgroup')} with caches of {'its' if len(children) == 1 else 'their'} own (names "
            "ROOT(ID:CGROUP))." + (
                " Whether a cgroup is still there the file does not tell: a child whose CGROUP is no folder of "
                "/sys/fs/cgroup is dead (--cgroups)." if alive is None else ""
            )
        )  # fmt: skip
        if alive is not None:
            said.append(dead_children(state.caches, alive))
    if state.failures:
        said.append(
            f"{plural(state.failures, 'allocation')} could not be served and said so: "
            "with free: 0 in the node, and a limit of the cgroup or no page of the least order, a new slab was refused."
        )
    said += _cgroups(state)
    if state.unknown:
        said.append(f"Not known (?): {', '.join(state.unknown[:5])}.")
    if state.unread:
        said.append(f"{plural(len(state.unread), 'line')} not read, the first is line {state.unread[0]}.")
    return said


def _cgroups(state: State) -> list[str]:
    if state.kind == "/proc/cgroups":
        others = [n for name, n in state.alive.items() if name != "memory"]
        memory, most = state.alive.get("memory", 0), max(others, default=0)
        said = [f"{memory:,} memory cgroups, and {most:,} of the controller with most of them beside it."]
        if memory > 2 * most:
            said.append(
                f"The {memory - most:,} more are dying: removed, and pinned by what is charged to them (objects in "
                "slabs, pages of the cache, swap)."
            )
        if memory >= MEMCG_IDS:
            said.append(f"{MEMCG_IDS:,} is the limit of their ids: the next mkdir fails with ENOSPC.")
        return said
    if not state.dying:
        return []
    total = state.dying.get("descendants", max(state.dying.values()))
    by = {name: n for name, n in state.dying.items() if n and name != "descendants"}
    holders = ", ".join(f"{name} ({n:,})" for name, n in sorted(by.items(), key=lambda one: -one[1]))
    said = [f"{plural(total, 'dying cgroup')} beside {state.alive.get('descendants', 0):,} live ones."]
    if by:
        said.append(f"What holds them: {holders}." if len(by) > 1 else f"All are held by {holders}.")
    if "memory" in by:
        said.append(
            "A memory cgroup dies when nothing is charged to it any more: objects in slabs (dentries, inodes, "
            "sockets), pages of the cache that nobody reclaims, swap."
        )
    return said


def _growth(first: State, second: State, hours: float | None) -> list[Growth]:
    def sums(state: State) -> dict[str, tuple[int, int, int]]:
        found: dict[str, tuple[int, int, int]] = {}
        for cache in state.caches:
            name = cache.name if cache.cgroup is None else f"{cache.name}({cache.cgroup[0]}:{cache.cgroup[1]})"
            a, b, c = found.get(name, (0, 0, 0))
            found[name] = (a + (cache.slabs or 0), b + (cache.objects or 0), c + cache.pages * PAGE)
        return found

    before, after = sums(first), sums(second)
    grown = []
    for name in before | after:
        a, b = before.get(name, (0, 0, 0)), after.get(name, (0, 0, 0))
        if a != b:
            size = b[2] - a[2]
            grown.append(Growth(name, b[0] - a[0], b[1] - a[1], size, size / hours if hours else None))
    return sorted(grown, key=lambda one: (-abs(one.bytes), one.name))


def _command(states: list[State]) -> str:
    """A workload whose objects have the size that hoards most, under the kernel before and the designs that mend it."""
    caches = [cache for state in states for cache in state.caches if cache.spare_slabs() and cache.size <= 8192]
    worst = max(caches, key=lambda c: (c.spare_slabs() or 0) << (c.order or 0), default=None)
    allocator = next((state.allocator for state in states if state.allocator != "slub"), "slub")
    # Objects that point to their owner (5.9) are modelled on SLUB only.
    chosen = "--after v3 --after linux-5.9" if allocator == "slub" else f"--after v3 --allocator {allocator}"
    if worst is not None:
        size = max(8, worst.size // 8 * 8)
        return f"python -m stress run --scenario pinned --set object_size={size} {chosen}"
    return f"python -m stress run --scenario offline-storm {chosen}"


def write(found: Inspection, format: str, details: bool, stream: TextIO) -> None:
    """Print as `text` or `json`."""
    if format == "json":
        stream.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return
    from rich import box
    from rich.table import Table

    from stress.show.terminal import item, make_console

    console = make_console(stream)
    for file in found.files:
        console.print(f"{harmless(file.path)} ({file.format})", style="bold")
        for sentence in file.sentences:
            item(console, harmless(sentence))
        if file.caches:
            drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
            drawn.add_column("cache")
            for title in ("bytes", "active", "objects", "a slab", "order", "slabs", "MiB", "spare slabs"):
                drawn.add_column(title, justify="right")
            for c in file.caches if details else file.caches[:SHOWN]:
                name = c.name if c.node is None else f"{c.name} node {c.node}"
                numbers = (c.size, c.active, c.objects, c.objects_per_slab, c.order, c.slabs)
                cells = [*map(_count, numbers), f"{c.pages / 256:,.1f}", _count(c.spare_slabs)]
                drawn.add_row(harmless(name), *cells)
            console.print(drawn)
    if found.growth:
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title="growth", title_justify="left")
        drawn.add_column("cache")
        for title in ("slabs", "objects", "KiB", "KiB an hour"):
            drawn.add_column(title, justify="right")
        for one in found.growth if details else found.growth[:SHOWN]:
            rate = "–" if one.bytes_per_hour is None else f"{one.bytes_per_hour / 1024:+,.1f}"
            drawn.add_row(harmless(one.name), f"{one.slabs:+,}", f"{one.objects:+,}", f"{one.bytes / 1024:+,.0f}", rate)
        console.print(drawn)
    console.print(f"Play a like workload: {found.command}", soft_wrap=True)


def harmless(text: str) -> str:
    """A text from outside without what a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _mib(value: int) -> str:
    return f"{value / (1 << 20):,.1f} MiB"
