"""The metadata of a 3.16 recording: its caches, their clones and memcgs, and the kernel's own counters.

An entry of ``caches`` has id, name, size, object_size, objs (objects per slab), memcg (a clone or
not) and the rows that created, offlined and closed it. Entry 0 of a boot has a name from its address
and no size: the static descriptor that kmem_cache_node has until it is moved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from scenarios.tape import CacheSpec
from scenarios.traces.builder import MAX_CACHES, MAX_OBJECT
from scenarios.traces.errors import TraceError
from scenarios.traces.recording import ABSENT, counter_columns
from scenarios.traces.source import Metadata

_CLONE = re.compile(r"(.+)\((\d+:.*)\)")
# The metadata has no flags. These are v3.16's SLAB_DESTROY_BY_RCU caches: mm/rmap.c, kernel/fork.c, and
# the protocols of net/ that set slab_flags so.
_DESTROY_BY_RCU = {"anon_vma", "sighand_cache", "TCP", "TCPv6", "UDP", "UDPv6", "UDP-Lite", "UDPLITEv6"}
_NAMELESS_SIZE = 8  # bytes; of a cache that never holds an object


class Caches:
    """The caches of a recording, checked.

    specs: by number, a clone with its root as parent and a cgroup of its own numbering; cgroups:
    names of those, 0 the root; objects: objects per slab, 0 for a nameless cache; boot_owner: the
    cache that inherits the slabs of nameless cache 0, or 0 if the recording has no such cache.
    Raises TraceError.
    """

    def __init__(self, meta: Metadata):
        self.meta = meta
        listed = meta.get("caches", list)
        if len(listed) > MAX_CACHES:
            raise TraceError(meta.path, 0, f"{len(listed)} caches, a tape can name {MAX_CACHES}")
        for number, entry in enumerate(listed):
            self._check(number, entry)
        self.objects = [entry.get("objs", 0) if _is_named(entry) else 0 for entry in listed]
        self.boot_owner = self._find_boot_owner(listed)
        self.cgroups = ["root"]
        self.specs = self._find_specs(listed)

    def kernel_slabs_at_end(self) -> np.ndarray:
        """Slabs per cache that the kernel counted at the end, ABSENT where it did not."""
        slabs = np.full(len(self.specs), ABSENT)
        for cache, entry in self._compared():
            slabs[cache] = self.meta.entry(entry, "slabs_kernel", int, f"comparison of cache {cache}: ")
        return slabs

    def kernel_counters(self) -> dict[int, dict[str, int]]:
        """Cache -> its counters at the end, as `counter_columns` names them."""
        numbers = {self.meta.entry(entry, "cache", str, "comparison: "): cache for cache, entry in self._compared()}
        counters: dict[int, dict[str, int]] = {}
        for entry in self.meta.get("kernel_counters_at_end", list, []):
            path = self.meta.entry(entry, "cache", str, "kernel_counters_at_end: ")
            name = path.rpartition("/cgroup/")[2]  # of a clone it is ROOT/cgroup/CLONE, as in sysfs
            if name not in numbers:
                continue
            columns = counters.setdefault(numbers[name], {})
            for key, text in entry.items():
                if key not in ("k", "tag", "cache"):
                    try:
                        columns |= counter_columns(key, str(text))
                    except ValueError as error:
                        raise TraceError(
                            self.meta.path, 0, f"kernel_counters_at_end of {name}: {key}: {error}"
                        ) from None
        return counters

    def _compared(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for entry in self.meta.get("comparison", list, []):
            cache = self.meta.entry(entry, "id", int, "comparison: ")
            if not 0 <= cache < len(self.specs):
                raise TraceError(self.meta.path, 0, f"comparison names cache {cache}, there are {len(self.specs)}")
            yield cache, entry

    def _check(self, number: int, entry: dict) -> None:
        meta, where = self.meta, f"caches[{number}]."
        if meta.entry(entry, "id", int, where) != number:
            raise TraceError(meta.path, 0, f"{where}id is {entry['id']}, the caches must be listed by id")
        meta.entry(entry, "name", str, where)
        if _is_named(entry):
            for key in ("size", "object_size", "objs"):
                if not 1 <= meta.entry(entry, key, int, where) <= MAX_OBJECT:
                    raise TraceError(meta.path, 0, f"{where}{key} is {entry[key]}")
        elif number:
            raise TraceError(meta.path, 0, f"{where}size is missing")

    def _find_boot_owner(self, listed: list[dict]) -> int:
        """The first cache created: its descriptor was the nameless one."""
        if not listed or _is_named(listed[0]):
            return 0
        created = [self.meta.entry(entry, "created", int, "caches: ") for entry in listed[1:]]
        return 1 + created.index(min(created)) if created else 0

    def _find_specs(self, listed: list[dict]) -> list[CacheSpec]:
        roots = {entry["name"]: number for number, entry in enumerate(listed) if not entry.get("memcg")}
        specs: list[CacheSpec] = []
        current: dict[str, int] = {}  # "id:cgroup" -> its cgroup
        pairs = set()
        for number, entry in enumerate(listed):
            parent, cgroup = -1, 0
            if entry.get("memcg"):
                match = _CLONE.fullmatch(entry["name"])
                if match is None or match[1] not in roots:
                    raise TraceError(
                        self.meta.path,
                        0,
                        f"clone {number} is named {entry['name']!r}, not root(id:cgroup) of a listed root",
                    )
                parent, key = roots[match[1]], match[2]
                if key not in current or (parent, current[key]) in pairs:  # a second clone of a root is of a new memcg
                    current[key] = len(self.cgroups)
                    self.cgroups.append(key)
                cgroup = current[key]
                pairs.add((parent, cgroup))
            size = entry["size"] if _is_named(entry) else _NAMELESS_SIZE
            object_size = entry["object_size"] if _is_named(entry) else size
            root = listed[parent]["name"] if parent >= 0 else entry["name"]
            # The nameless descriptor exists without a C row.
            specs.append(
                CacheSpec(
                    entry["name"],
                    object_size,
                    size,
                    destroy_by_rcu=root in _DESTROY_BY_RCU,
                    parent=parent,
                    cgroup=cgroup,
                    created=not _is_named(entry),
                )
            )
        return specs


def _is_named(entry: dict) -> bool:
    return entry.get("size") is not None
