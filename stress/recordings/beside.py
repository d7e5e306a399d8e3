"""Sizes of caches from a state of the same machine beside a recording.

Of TRACE it is TRACE.slab (a copy of /sys/kernel/slab) or TRACE.slab.tar, else TRACE.before.slabinfo, as `record` leaves
it, else TRACE.slabinfo. They tell what events do not: an object's size and its stride apart, constructors, RCU,
sheaves; and the name of a cache whose events have none, where one cache alone has its size.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from scenarios.traces.errors import TraceError
from stress.process.files import open_input
from stress.recordings.slab_tree import read_tree

LIMIT = 16 << 20  # bytes
BESIDE = (".slab", ".slab.tar", ".before.slabinfo", ".slabinfo")


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A cache of the state. object_size 0: not told; size: bytes from object to object."""

    name: str
    size: int
    object_size: int = 0
    align: int = 8
    destroy_by_rcu: bool = False
    has_ctor: bool = False
    sheaf_capacity: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Beside:
    """caches by name, aliases among them; path: of the state, None without one."""

    path: Path | None
    caches: dict[str, Known]

    def of_size(self, size: int) -> Known | None:
        """The only cache with objects that lie `size` bytes apart, None when there are several or none."""
        found = {known for known in self.caches.values() if known.size == size and "kmalloc" not in known.name}
        return found.pop() if len(found) == 1 else None


def beside(trace: Path) -> Beside:
    """The state beside a recording. Raises TraceError for one that is there and cannot be read."""
    for ending in BESIDE:
        path = trace.with_name(trace.name + ending)
        if path.exists():
            return Beside(path, _slabinfo(path) if ending.endswith("slabinfo") else _tree(path))
    return Beside(None, {})


def _slabinfo(path: Path) -> dict[str, Known]:
    try:
        with open_input(path) as file:
            text = file.read(LIMIT).decode("utf-8", "replace")
    except OSError as error:
        raise TraceError(path, 0, f"cannot be read: {error.strerror or error}", "check the path") from None
    found = {}
    for line in text.splitlines():
        head, colon, _ = line.partition(" : tunables")
        fields = head.split()
        if colon and len(fields) == 6 and all(field.isdigit() for field in fields[1:]) and int(fields[3]) > 0:
            found[fields[0]] = Known(fields[0], int(fields[3]))
    if not found:
        raise TraceError(path, 1, "no line of a slabinfo 2.x in it", "take it away, or give the file itself")
    return found


def _tree(path: Path) -> dict[str, Known]:
    found: dict[str, Known] = {}
    for cache in read_tree(path):
        n = cache.numbers
        size, object_size = n.get("slab_size", 0), n.get("object_size", 0)
        if cache.parent or not 0 < object_size <= size:
            continue
        align = max(8, n.get("align", 8))
        known = Known(
            cache.name, size, object_size, align if align & (align - 1) == 0 else 8, n.get("destroy_by_rcu", 0) > 0,
            bool(cache.texts.get("ctor", "").strip()), max(0, n.get("sheaf_capacity", 0)),
        )  # fmt: skip
        found |= dict.fromkeys((cache.name, *cache.aliases), known)
    return found
