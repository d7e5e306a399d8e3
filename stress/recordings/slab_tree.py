"""/sys/kernel/slab as a folder or a tar of it: files of each cache, aliases (links) left out."""

from __future__ import annotations

import dataclasses
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from scenarios.traces.errors import TraceError

TEXT = 4096  # bytes of a file that are read; sysfs has no more than a page
MOST = 200_000  # files
_NUMBER = re.compile(r"\s*(-?\d{1,15}|0x[0-9a-fA-F]{1,8})\b")


@dataclasses.dataclass(frozen=True, slots=True)
class TreeCache:
    """A cache's folder. numbers: file -> the first number in it; texts: of the others. aliases: names that are links to
    it. parent: of a child of a cgroup (3.16 to 5.8 keep them in PARENT/cgroup/) the root cache's name, else ""."""

    name: str
    numbers: dict[str, int]
    texts: dict[str, str]
    aliases: tuple[str, ...] = ()
    parent: str = ""


def is_tree(path: Path) -> bool:
    """Whether `path` is a folder or a tar whose folders are caches, by a file `objs_per_slab` in one."""
    try:
        return any(name.endswith("/objs_per_slab") for name, _ in _entries(path, links={}))
    except TraceError:
        return False


def read_tree(path: Path) -> list[TreeCache]:
    """All caches, by name. Raises TraceError for what is no such tree."""
    links: dict[str, str] = {}
    files: dict[str, dict[str, str]] = {}
    for name, text in _entries(path, links):
        folder, _, file = name.rpartition("/")
        if folder:
            files.setdefault(folder, {})[file] = text
    aliases: dict[str, list[str]] = {}
    for link, target in links.items():
        aliases.setdefault(os.path.basename(target), []).append(os.path.basename(link))
    found = []
    for folder, texts in sorted(files.items()):
        if "objs_per_slab" not in texts:
            continue
        numbers = {file: int(m[1], 0) for file, text in texts.items() if (m := _NUMBER.match(text))}
        above, _, name = folder.rpartition("/")
        parent = os.path.basename(os.path.dirname(above)) if os.path.basename(above) == "cgroup" else ""
        found.append(TreeCache(name, numbers, texts, tuple(sorted(aliases.get(name, ()))), parent))
    if not found:
        raise TraceError(path, 0, "no folder in it holds objs_per_slab", "give /sys/kernel/slab, or a tar of it")
    return found


def _entries(path: Path, links: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(name inside, text) of the files; links are put in `links` as (name, target)."""
    try:
        if path.is_dir():
            yield from _folder(path, links)
        else:
            yield from _tar(path, links)
    except (OSError, EOFError) as error:
        raise TraceError(path, 0, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tarfile.TarError as error:
        raise TraceError(path, 0, f"no tar: {error}", "give /sys/kernel/slab, or a tar of it") from None


def _folder(path: Path, links: dict[str, str]) -> Iterator[tuple[str, str]]:
    count = 0
    for folder, below, files in os.walk(path):
        inside = os.path.relpath(folder, path)
        of_cache = "objs_per_slab" in files
        for name in [*below, *files]:
            whole = os.path.join(folder, name)
            if os.path.islink(whole):
                links[name] = os.readlink(whole)
        for name in sorted(files):
            whole = os.path.join(folder, name)
            count += 1
            if count > MOST:
                raise TraceError(path, 0, f"more than {MOST:,} files", "is this /sys/kernel/slab?")
            if not of_cache or os.path.islink(whole) or not os.path.isfile(whole):  # a pipe would keep us waiting
                continue
            try:
                with open(whole, "rb") as file:
                    text = file.read(TEXT)
            except OSError:
                continue  # what may only be written, such as shrink
            yield f"{inside}/{name}".removeprefix("./"), text.decode("utf-8", "replace")


def _tar(path: Path, links: dict[str, str]) -> Iterator[tuple[str, str]]:
    with tarfile.open(path) as tar:
        for count, member in enumerate(tar):
            if count > MOST:
                raise TraceError(path, 0, f"more than {MOST:,} files", "is this a tar of /sys/kernel/slab?")
            name = os.path.normpath(member.name)
            if member.issym():
                links[name] = member.linkname
            elif member.isfile() and (file := tar.extractfile(member)) is not None:
                yield name, file.read(TEXT).decode("utf-8", "replace")
