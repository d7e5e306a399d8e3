"""Files as kernels and tools print them: /proc/slabinfo, memory.kmem.slabinfo, slabtop -o, slabinfo -r, dmesg's SLUB
lines, /sys/kernel/slab/CACHE, /sys/kernel/slab as a folder or a tar, crash's kmem -s, cgroup.stat, /proc/cgroups.

A line that is none of its format is counted by its number, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from scenarios.traces.errors import TraceError
from stress.inspect.state import CacheState, State
from stress.process.errors import UsageError
from stress.process.files import open_input
from stress.recordings.slab_tree import read_tree

LIMIT = 64 << 20  # bytes
MOST = 1 << 45  # of any number
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
_N = r"(\d{1,15})"
_SLABINFO = re.compile(
    rf"(\S.*?)\s+{_N}\s+{_N}\s+{_N}\s+{_N}\s+{_N} : tunables\s+{_N}\s+{_N}\s+{_N} : slabdata\s+{_N}\s+{_N}\s+{_N}.*"
)
_SLABTOP = re.compile(rf"\s*{_N}\s+{_N}\s+\d+%\s+[\d.]+K\s+{_N}\s+{_N}\s+{_N}K\s+(\S.*?)\s*")
_CRASH = re.compile(
    r"[0-9a-f]{8,16}\s+(\d{1,9})\s+(\d{1,15}|\?)\s+(\d{1,15}|\?)\s+(\d{1,15}|\?)\s+(\d{1,6})k\s+(\S.*?)\s*"
)
_DMESG = re.compile(
    rf"cache: (.+?), object size: {_N}, buffer size: {_N}, default order: (\d{{1,2}}), min order: (\d{{1,2}})"
)
_NODE = re.compile(rf"node (\d{{1,4}}): slabs: {_N}, objs: {_N}, free: {_N}")
_CHILD = re.compile(r"(.+?)\((\d{1,9}):(.*)\)")
_PAIR = re.compile(rf"([a-z_]+) {_N}")
_PROC = re.compile(rf"([a-z_]+)\s+\d+\s+{_N}\s+[01]")
_SYSFS = re.compile(r"([a-z_]+):(-?\d{1,15}|0x[0-9a-f]{1,8})\b.*")
_DEBUG = {"red_zone": "red zones", "poison": "poisoning", "store_user": "tracking of users", "sanity_checks": "checks"}


def parse(path: Path) -> State:
    """Read a file of any of these formats. Raises UsageError for what is none of them, with the first line's text."""
    if path.is_dir() or path.name.endswith(_TARS):
        return _tree(path)
    try:
        with open_input(path) as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > LIMIT:
        raise UsageError(f"{path}: larger than {LIMIT >> 20} MiB; give a slab file, recordings go to `import`")
    lines = data.decode("utf-8", "replace").splitlines()
    for known, read in _FORMATS:
        if any(known.search(line) for line in lines[:200]) or (read is _dmesg and any(map(known.search, lines))):
            state = read(path, lines)
            if state.caches or state.dying or state.alive:
                return state
            raise UsageError(f"{path}: looks like {state.kind}, but no line of it could be read")
    raise UsageError(
        f"{path}:1: unknown: {(lines or [''])[0][:60]!r}; known are /proc/slabinfo, memory.kmem.slabinfo, slabtop -o, "
        "slabinfo -r, dmesg with SLUB's warning, files of /sys/kernel/slab/CACHE as `grep . *` prints them, "
        "crash's kmem -s, cgroup.stat and /proc/cgroups"
    )


def _order(pages: int) -> int:
    return max(0, pages - 1).bit_length()


def _stride(pages: int, per_slab: int) -> int:
    """The size that so many objects in a slab have at most, in whole words."""
    return pages * 4096 // per_slab // 8 * 8


def _cache(name: str) -> tuple[str, tuple[int, str] | None]:
    child = _CHILD.fullmatch(name)
    return (child[1], (int(child[2]), child[3])) if child else (name, None)


def _slabinfo(path: Path, lines: list[str]) -> State:
    state = State(str(path), "slabinfo")
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(("slabinfo -", "#")):
            continue
        match = _SLABINFO.fullmatch(line.rstrip())
        if match is None or int(match[5]) == 0:
            state.unread.append(number)
            continue
        active, objects, size, per_slab, pages, limit, batch, shared, _, slabs, _ = (int(n) for n in match.groups()[1:])
        if limit:
            state.allocator = "slab"
        name, cgroup = _cache(match[1])
        state.caches.append(
            CacheState(
                name, size, active, objects, per_slab, _order(pages), slabs, cgroup, tunables=(limit, batch, shared)
            )
        )
    return state


def _slabtop(path: Path, lines: list[str]) -> State:
    state = State(str(path), "slabtop -o")
    begun = False
    for number, line in enumerate(lines, start=1):
        if not begun or not line.strip():
            begun = begun or "OBJS ACTIVE" in line
            continue
        match = _SLABTOP.fullmatch(line)
        if match is None or not int(match[4]):
            state.unread.append(number)
            continue
        objects, active, slabs, per_slab, kib = (int(match[i]) for i in range(1, 6))
        pages = kib // 4 // slabs if slabs else 0
        size = _stride(pages, per_slab)
        name, cgroup = _cache(match[6])
        state.caches.append(
            CacheState(name, size, active, objects, per_slab, _order(pages) if pages else None, slabs, cgroup)
        )
    return state


def _crash(path: Path, lines: list[str]) -> State:
    state = State(str(path), "crash kmem -s")
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(("CACHE ", "kmem:", "crash>")):
            continue
        match = _CRASH.fullmatch(line)
        if match is None:
            state.unread.append(number)
            continue
        size, pages = int(match[1]), int(match[5]) // 4
        name, cgroup = _cache(match[6])
        if "?" in match.groups()[1:4]:
            state.unknown.append(name)
            continue
        active, objects, slabs = (int(match[i]) for i in (2, 3, 4))
        per_slab = objects // slabs if slabs and objects % slabs == 0 else None
        stride = _stride(pages, per_slab) if per_slab else size
        state.caches.append(CacheState(name, stride, active, objects, per_slab, _order(pages), slabs, cgroup))
    return state


def _dmesg(path: Path, lines: list[str]) -> State:
    state = State(str(path), "dmesg")
    current: CacheState | None = None
    for line in lines:
        state.failures += "SLUB: Unable to allocate memory" in line
        if match := _DMESG.search(line):
            name, cgroup = _cache(match[1])
            size, order = int(match[3]), int(match[4])
            current = None
            if 0 < size and order < 11 and (4096 << order) >= size:
                current = CacheState(
                    name, size, None, None, (4096 << order) // size, order, None, cgroup, min_order=int(match[5])
                )
                if size > int(match[2]) + 64:
                    current.debug = ("more than an object in its buffer",)
        elif current is not None and (match := _NODE.search(line)):
            node, slabs, objects, free = (int(n) for n in match.groups())
            state.caches.append(
                CacheState(
                    current.name, current.size, objects - free, objects, current.per_slab, current.order, slabs,
                    current.cgroup, node, current.min_order, current.debug,
                )
            )  # fmt: skip
    return state


def _sysfs(path: Path, lines: list[str]) -> State:
    state = State(str(path), "/sys/kernel/slab")
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        match = _SYSFS.fullmatch(line.strip())
        if match is None:
            state.unread.append(number)
        else:
            found[match[1]] = int(match[2], 0)
    if found.get("slab_size", 0) > 0 and found.get("objs_per_slab", 0) > 0 and "slabs" in found:
        debug = tuple(said for key, said in _DEBUG.items() if found.get(key))
        state.caches.append(
            CacheState(
                path.stem, found["slab_size"], found.get("objects"), found.get("total_objects", found.get("objects")),
                found["objs_per_slab"], found.get("order", 0), found["slabs"], debug=debug,
            )
        )  # fmt: skip
    return state


def _tool(path: Path, lines: list[str]) -> State:
    """`slabinfo -r`: a block per cache."""
    state = State(str(path), "slabinfo -r")
    text = "\n".join(lines)
    for block in re.split(r"(?=^Slabcache: )", text, flags=re.M)[1:]:
        head = re.match(rf"Slabcache: (\S+).*?Order :\s*(\d{{1,2}}) Objects:\s*{_N}", block)
        size = re.search(rf"^SlabObj:\s*{_N}\s+Full", block, re.M)
        slabs = re.search(rf"^Object\s*:.*?Total\s*:\s*{_N}", block, re.M)
        per = re.search(rf"Objects:\s*{_N}\s+Tracing", block)
        if not (head and size and slabs and per and int(per[1]) and int(size[1])):
            state.unread.append(text[: text.index(block)].count("\n") + 1)
            continue
        debug = tuple(
            name
            for name in ("Sanity Checks", "Redzoning", "Poisoning", "Tracking")
            if re.search(rf"{name}\s*: On", block)
        )
        total = int(slabs[1])
        name, cgroup = _cache(head[1])
        state.caches.append(
            CacheState(
                name,
                int(size[1]),
                int(head[3]),
                total * int(per[1]),
                int(per[1]),
                int(head[2]),
                total,
                cgroup,
                debug=debug,
            )
        )
    return state


def _cgroup_stat(path: Path, lines: list[str]) -> State:
    state = State(str(path), "cgroup.stat")
    for number, line in enumerate(lines, start=1):
        match = _PAIR.fullmatch(line.strip())
        if match is None:
            state.unread.append(number)
        elif match[1].startswith("nr_dying_"):
            state.dying[match[1].removeprefix("nr_dying_").removeprefix("subsys_")] = int(match[2])
        elif match[1].startswith("nr_"):
            state.alive[match[1].removeprefix("nr_").removeprefix("subsys_")] = int(match[2])
    return state


def _proc_cgroups(path: Path, lines: list[str]) -> State:
    state = State(str(path), "/proc/cgroups")
    for number, line in enumerate(lines, start=1):
        match = _PROC.fullmatch(line.strip())
        if match:
            state.alive[match[1]] = int(match[2])
        elif not line.startswith("#") and line.strip():
            state.unread.append(number)
    return state


def _tree(path: Path) -> State:
    """A copy of /sys/kernel/slab: a folder or a tar; children of cgroups are in folders of their root cache."""
    state = State(str(path), "/sys/kernel/slab")
    try:
        caches = read_tree(path)
    except TraceError as error:
        raise UsageError(str(error)) from None
    for cache in caches:
        n = cache.numbers
        name, cgroup = _cache(cache.name)
        if n.get("slab_size", 0) <= 0 or n.get("objs_per_slab", 0) <= 0 or "slabs" not in n:
            state.unknown.append(cache.name)
            continue
        aliases = [alias for alias in cache.aliases if not alias.startswith(":")]
        state.caches.append(
            CacheState(
                aliases[0] if name.startswith(":") and len(aliases) == 1 else name, n["slab_size"], n.get("objects"),
                n.get("total_objects", n.get("objects")), n["objs_per_slab"], n.get("order", 0), n["slabs"], cgroup,
                debug=tuple(said for key, said in _DEBUG.items() if n.get(key)),
            )
        )  # fmt: skip
    return state


_FORMATS: tuple[tuple[re.Pattern[str], Callable[[Path, list[str]], State]], ...] = (
    (re.compile(r"^slabinfo - version: 2\.|: tunables .* : slabdata "), _slabinfo),
    (re.compile(r"^\s*OBJS ACTIVE\s+USE OBJ SIZE"), _slabtop),
    (re.compile(r"^CACHE\s+OBJSIZE\s+ALLOCATED"), _crash),
    (re.compile(r"^Slabcache: \S"), _tool),
    (re.compile(r"SLUB: Unable to allocate memory|cache: .*default order: \d"), _dmesg),
    (re.compile(r"^objs_per_slab:\d"), _sysfs),
    (re.compile(r"^nr_(dying_)?descendants \d"), _cgroup_stat),
    (re.compile(r"^#subsys_name\s+hierarchy"), _proc_cgroups),
)
