"""The topology as the kernel tells it in sysfs. In a virtual machine it may be what somebody made up, or missing."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

SYSFS = Path("/sys/devices/system")
# Where nothing is told: a core of a server of the last ten years.
PRIVATE_KIB = 1024
LLC_KIB = 32 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Topology:
    """cores: one CPU of each core, ascending. llc, node: of each of them, the first CPU that shares its last-level
    cache, and its NUMA node. private_kib: of one core, L1 data and what else is its own; llc_kib: of one cache.

    assumed: what was not told, or is not the same everywhere, in sentences.
    """

    cores: tuple[int, ...]
    llc: dict[int, int]
    node: dict[int, int]
    private_kib: int
    llc_kib: int
    assumed: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Nodes, complexes in a node, cores in a complex; of the most frequent kind where they differ."""
        nodes = len(set(self.node.values()))
        complexes = Counter(Counter(node for _, node in {(self.llc[c], self.node[c]) for c in self.cores}).values())
        cores = Counter(Counter(self.llc[c] for c in self.cores).values())
        return nodes, complexes.most_common(1)[0][0], cores.most_common(1)[0][0]

    def relation(self, one: int, other: int) -> str:
        """How far two cores are from each other: `complex`, `node` or `remote`, as prices are named."""
        if self.node[one] != self.node[other]:
            return "remote"
        return "complex" if self.llc[one] == self.llc[other] else "node"


def parse_cpus(text: str) -> list[int]:
    """CPUs of a list such as 0-3,8. Raises ValueError."""
    found: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part.strip(), re.ASCII)
        if match is None:
            raise ValueError(f"{part!r} is no CPU and no range of CPUs")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"{part!r} ends before it begins")
        found.update(range(first, last + 1))
    return sorted(found)


def read_topology(cpus: Iterable[int], sysfs: Path = SYSFS) -> Topology:
    """The topology of these CPUs (all that are online, usually)."""
    cpus = sorted(cpus)
    assumed: list[str] = []
    cores, core_untold = [], False
    for cpu in cpus:
        siblings = _cpus(sysfs / f"cpu/cpu{cpu}/topology/thread_siblings_list")
        core_untold |= siblings is None
        if siblings is None or cpu == min(set(siblings) & set(cpus), default=cpu):
            cores.append(cpu)
    if core_untold:
        assumed.append("which CPUs are threads of one core is not told: each CPU is taken as a core")
    node = _nodes(sysfs, cores)
    if node is None:
        assumed.append("NUMA nodes are not told: one node is assumed")
        node = dict.fromkeys(cores, 0)
    llc, private, last = {}, set(), set()
    untold = False
    for cpu in cores:
        caches = _caches(sysfs / f"cpu/cpu{cpu}/cache")
        if len(caches) < 2:
            untold = True
            continue
        highest = max(level for level, _, _ in caches)
        private.add(sum(size for level, size, _ in caches if level < highest))
        for level, size, shared in caches:
            if level == highest:
                last.add(size)
                llc[cpu] = min(set(shared) & set(cpus), default=cpu)
    if untold or not private:
        assumed.append(
            f"caches are not told: {PRIVATE_KIB} KiB for a core and {LLC_KIB >> 10} MiB for a node's cores are assumed"
        )
        first = {node[cpu]: cpu for cpu in reversed(cores)}
        llc = {cpu: first[node[cpu]] for cpu in cores}
        private, last = {PRIVATE_KIB}, {LLC_KIB}
    if len(private) > 1 or len(last) > 1:
        assumed.append("caches differ between cores: the smallest are taken")
    found = Topology(tuple(cores), llc, node, min(private), min(last), ())
    nodes, complexes, per_complex = found.shape
    if nodes * complexes * per_complex != len(cores):
        assumed.append(
            f"nodes or caches have different numbers of cores ({len(cores)} in all): the most frequent are taken, "
            f"{complexes} × {per_complex} a node"
        )
    return dataclasses.replace(found, assumed=tuple(assumed))


def online(sysfs: Path = SYSFS) -> list[int] | None:
    """CPUs that are online; None where that is not told."""
    return _cpus(sysfs / "cpu/online")


def is_virtual() -> bool:
    """Does this kernel run in a virtual machine, as far as it knows?"""
    return " hypervisor" in _text(Path("/proc/cpuinfo"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _cpus(path: Path) -> list[int] | None:
    try:
        return parse_cpus(_text(path))
    except ValueError:
        return None


def _nodes(sysfs: Path, cores: list[int]) -> dict[int, int] | None:
    """The node of each core; None if any is in none."""
    found = {}
    for folder in (sysfs / "node").glob("node[0-9]*"):
        for cpu in _cpus(folder / "cpulist") or ():
            found[cpu] = int(folder.name[4:])
    return {cpu: found[cpu] for cpu in cores} if set(cores) <= set(found) else None


def _caches(folder: Path) -> list[tuple[int, int, list[int]]]:
    """Level, KiB and the CPUs that share it, of each cache that holds data."""
    found = []
    for index in sorted(folder.glob("index[0-9]*")):
        size = re.fullmatch(r"(\d+)K", _text(index / "size").strip(), re.ASCII)
        level = _text(index / "level").strip()
        shared = _cpus(index / "shared_cpu_list")
        if _text(index / "type").strip() in ("Data", "Unified") and size and level.isdecimal() and shared:
            found.append((int(level), int(size[1]), shared))
    return found
