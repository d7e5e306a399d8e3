"""Which program a result is of: a hash of the sources it comes from, and versions of what they rest on."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import msgspec

from shm.sources import source_digest
from stress.process.host import package_version

PACKAGES = ("numba", "llvmlite", "numpy", "msgspec")
# All that can change a figure; what only shows one is left out.
_SOURCES = (
    "shm/**/*.py", "allocators/**/*.py", "scenarios/**/*.py", "stress/engine/**/*.py", "stress/play/**/*.py",
    "stress/measure/**/*.py", "stress/judge/**/*.py", "stress/result/**/*.py", "stress/simulate/**/*.py",
    "stress/explore/**/*.py", "stress/profiles/**/*.py", "stress/profiles/**/*.toml", "stress/process/**/*.py",
    "stress/campaign/jobs.py", "stress/campaign/outcome.py", "stress/campaign/play.py", "stress/campaign/timed.py",
)  # fmt: skip


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """sources: 16 hexadecimal digits. versions: of Python (its minor one) and packages. plugins: digests by name."""

    sources: str
    versions: dict[str, str]
    plugins: dict[str, str] = {}

    def differs(self, other: Identity) -> str:
        """ "sources 1234 and not 5678, numba …" of this one against another; "" when they are the same."""
        parts = []
        if self.sources != other.sources:
            parts.append(f"sources {self.sources} and not {other.sources}")
        for name in sorted(self.versions.keys() | other.versions.keys()):
            mine, theirs = self.versions.get(name, "none"), other.versions.get(name, "none")
            if mine != theirs:
                parts.append(f"{name} {mine} and not {theirs}")
        for name in sorted(self.plugins.keys() | other.plugins.keys()):
            mine, theirs = self.plugins.get(name, ""), other.plugins.get(name, "")
            if mine != theirs:
                parts.append(f"plugin {name} {mine[:8] or 'not at all'} and not {theirs[:8] or 'none'}")
        return ", ".join(parts)


def here() -> Identity:
    """Of this process, with the plugins that it has loaded."""
    from stress.plugins.registered import LOADED

    digests = {Path(where).name: plugin.digest for where, plugin in sorted(LOADED.items())}
    return msgspec.structs.replace(_without_plugins(), plugins=digests)


@functools.cache
def _without_plugins() -> Identity:
    python = ".".join(platform.python_version_tuple()[:2])
    versions = {name: package_version(name) or "none" for name in PACKAGES}
    return Identity(sources=source_digest(*_SOURCES), versions={"python": python, **versions})
