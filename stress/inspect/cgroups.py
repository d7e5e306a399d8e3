"""Which children of caches are of cgroups that are gone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from stress.inspect.state import CacheState
from stress.process.errors import UsageError
from stress.process.files import open_input
from stress.show.units import plural

LIMIT = 64 << 20  # bytes
PAGE = 4096


def read_cgroups(path: Path) -> frozenset[str]:
    """Names of the cgroups that there are: the folders under `path`, or of the paths in that file, a line each.

    A child's name has the cgroup's last part only. Raises UsageError.
    """
    try:
        if path.is_dir():
            return frozenset(name for _, below, _ in os.walk(path) for name in below) | {"", "/"}
        with open_input(path) as file:
            lines = file.read(LIMIT).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise UsageError(f"--cgroups {path}: cannot be read: {error.strerror or error}") from None
    names = frozenset(os.path.basename(line.strip().rstrip("/")) for line in lines if line.strip())
    if not names:
        raise UsageError(f"--cgroups {path}: no path in it; make it by `find /sys/fs/cgroup -type d`")
    return names | {"", "/"}


def dead_children(caches: Sequence[CacheState], alive: frozenset[str]) -> str:
    """A sentence on the caches of live and of dead cgroups; the same name made again passes for alive."""
    children = [cache for cache in caches if cache.cgroup is not None]
    dead = [c for c in children if c.cgroup and os.path.basename(c.cgroup[1].rstrip("/")) not in alive]
    pages = sum(cache.pages for cache in dead)
    empty = sum(cache.slabs == 0 or cache.active == 0 for cache in dead)
    text = f"{len(children) - len(dead):,} of these caches are of live cgroups, {len(dead):,} of dead ones"
    if not dead:
        return text + "."
    gone = len({cache.cgroup for cache in dead})
    return (
        f"{text} ({plural(gone, 'cgroup')}), which hold {pages * PAGE / (1 << 20):,.1f} MiB of slabs; {empty:,} of "
        "them without an object in use."
    )
