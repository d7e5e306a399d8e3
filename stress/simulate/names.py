"""Locks and lines by name: `kmalloc-256 of cgroup 3, node 0 .list_lock` instead of word 70193."""

from __future__ import annotations

import re

from allocators.caches.boot import all_caches
from allocators.core.kmem_cache import CACHE
from allocators.memcg.memcontrol import MEMCG
from stress.explore.world.names import Names
from stress.play.arena import Arena

_CACHE = re.compile(r"^cache (\d+) ")


class Named:
    """Of an arena's words, as the world is now: a cache that is gone is known by its number only."""

    def __init__(self, arena: Arena) -> None:
        self._names = Names(arena.layout)
        self._caches: dict[int, str] = {}
        m = arena.machine(frozenset(), 0)
        specs = arena.load.caches
        memcgs = arena.plan["memcgs"]
        for s in all_caches(m):
            words = m.mem
            root = words[s + CACHE.root] or s
            index = words[root + CACHE.index]
            name = specs[index].name if 0 <= index < len(specs) else f"cache {words[root + CACHE.id]}"
            memcg = words[s + CACHE.memcg]
            if memcg:
                name += f" of cgroup {(memcg - memcgs) // MEMCG.SIZE + 1}"
            self._caches[words[s + CACHE.id]] = name

    def of(self, word: int) -> str:
        """The name of a word."""
        name = self._names.of(word)
        found = _CACHE.match(name)
        if found and int(found[1]) in self._caches:
            return f"{self._caches[int(found[1])]}, {name[found.end() :]}"
        return name
