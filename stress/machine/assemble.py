"""The profile that measurements make: what could not be measured is taken from elsewhere, and all of it is said."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from stress.machine.kernel import spin_locks, tick_hz
from stress.machine.result import Measured
from stress.machine.topology import Topology
from stress.process.errors import DamagedRun
from stress.profiles import profile as profiles
from stress.profiles.load import load
from stress.profiles.profile import PS_PER_MS, PS_PER_NS, Cache, Kernel, Prices, Profile
from stress.result.data import Finding
from stress.result.grading import finding

OVERLAP = 3.0  # misses under way at a time: what the validation in docs/scale.md found on a Xeon of 2023
STREAMS, STORE_MISSES = 16, 10  # of cores of today, by their makers' optimization guides
AHEAD_NS = 40.0  # what a core has in its reorder buffer, some 250 instructions
LIKE = "xeon-2014"  # whose figures stand for what cannot be measured
NOISY, VERY_NOISY = 0.10, 0.40  # spread from which a price is doubted
LLC_WIDE = "a quarter of the llc"  # measured to see whether the cache is as large as told
GRACE = "grace period"
MOVED = 0.25  # a price that had to be moved by more is a warning
# Stores that wait in a core, by Intel's family 6 models and by AMD's families, as published by the makers and by
# those who measure them; by the part number for Arm's own cores.
_INTEL = {
    42: (0x3C, 0x3F, 0x45, 0x46, 0x3D, 0x47, 0x4F, 0x56),  # Haswell, Broadwell
    56: (0x4E, 0x5E, 0x55, 0x8E, 0x9E, 0xA5, 0xA6),  # Skylake to Cascade Lake
    72: (0x7D, 0x7E, 0x6A, 0x6C, 0x8C, 0x8D),  # Ice Lake, Tiger Lake
    112: (0x97, 0x9A, 0x8F, 0xCF, 0xB7, 0xBA, 0xAD),  # Alder Lake, Sapphire, Emerald and Granite Rapids
}
_AMD = {0x17: 48, 0x19: 64, 0x1A: 104}  # Zen 1 and 2 (44, 48), Zen 3 and 4, Zen 5
_ARM = {0xD0C: 44}  # Neoverse N1


def store_buffer(cpuinfo: str) -> int | None:
    """Entries of this core's store buffer, from the kernel's text about it; None for a core that is not known."""
    known = dict(re.findall(r"^(.+?)\s*:\s*(.*)$", cpuinfo, re.MULTILINE))
    try:
        if known.get("vendor_id") == "GenuineIntel" and known["cpu family"] == "6":
            model = int(known["model"])
            return next((entries for entries, models in _INTEL.items() if model in models), None)
        if known.get("vendor_id") == "AuthenticAMD":
            return _AMD.get(int(known["cpu family"]))
        if known.get("CPU implementer") == "0x41":
            return _ARM.get(int(known["CPU part"], 16))
    except (KeyError, ValueError):
        pass
    return None


def assemble(
    name: str,
    about: str,
    topology: Topology,
    measured: Mapping[str, Measured],
    *,
    cpuinfo: str = "",
    memory_bytes: int | None = None,
    llc_kib: int | None = None,
    virtual: bool = False,
) -> tuple[Profile, list[Finding]]:
    """The profile of these measurements, by name as prices are, and what is to be known about it.

    Raises DamagedRun if one that every machine has is missing.
    """
    for needed in ("access", "this_cpu", "locked", "barrier", "llc", "memory_near", "wakeup"):
        if needed not in measured:
            raise DamagedRun(f"{needed} was not measured")
    findings = [finding("note", text) for text in topology.assumed]
    assumed: list[str] = []
    nodes, complexes, cores = _bounded(topology.shape, findings)
    like = load(LIKE)
    ns = {field.name: measured[field.name].ns for field in dataclasses.fields(Prices) if field.name in measured}
    ns |= {"call": 0.0, "irq": like.ps.irq / PS_PER_NS, "ahead": AHEAD_NS}
    assumed.append(f"irq (it cannot be measured by a process) as {LIKE} has it; call is left 0")
    for price, why in _distances(ns, complexes, nodes):
        assumed.append(f"{price}: {why}")
    if "ipi" not in ns or "interrupt" not in ns:
        ns |= {"ipi": like.ps.ipi / PS_PER_NS, "interrupt": like.ps.interrupt / PS_PER_NS}
        assumed.append(f"ipi and interrupt (no second CPU, or no membarrier) as {LIKE} has them")
    ns["l2"] = min(like.ps.l2 / PS_PER_NS, ns["llc"])
    assumed.append(
        f"l1_kib and l2 as {LIKE} has them; a prefetcher of {STREAMS} streams; {STORE_MISSES} stores that wait; "
        f"links asked for {AHEAD_NS:g} ns ahead"
    )
    _order(ns, findings)
    hz = tick_hz()
    if hz is None:
        hz = like.kernel.hz
        assumed.append(f"{hz} ticks a second")
    grace = measured.get(GRACE)
    if grace is None:
        assumed.append("grace period: three ticks")
    entries = store_buffer(cpuinfo)
    if entries is None:
        entries = like.cache.store_buffer
        assumed.append(f"store buffer: {entries} entries, as {LIKE} has it; this core is in no table of ours")
    findings += _noise(measured.values())
    if memory_bytes is not None and memory_bytes < 3 * (topology.llc_kib << 10) // 2:
        findings.append(
            finding(
                "warning",
                f"memory was chased through {memory_bytes >> 20} MiB only, which a last-level cache of "
                f"{topology.llc_kib >> 10} MiB may hold: memory is dearer than said; give it more --seconds",
            )
        )
    llc_mib = (llc_kib or topology.llc_kib) / 1024
    if llc_mib < topology.llc_kib / 1024:
        findings.append(
            finding(
                "warning",
                f"a ring of a quarter of the last-level cache takes {measured[LLC_WIDE].ns:.0f} ns a line, nearer to "
                f"memory than to the cache's {measured['llc'].ns:.0f}: others use most of it, or this machine has a "
                f"part; cache.llc_mib is {llc_mib:g}, where {topology.llc_kib / 1024:g} are told",
            )
        )
    if virtual:
        findings.append(
            finding(
                "note",
                "this is a virtual machine: its topology and cache sizes are what its host says, interrupts and memory "
                "are dearer than on the bare machine",
            )
        )
    sources = [f"{one.name}: {one.how}"[: profiles.LONGEST_TEXT] for one in measured.values()]
    if f"store buffer: {entries}" not in " ".join(assumed):
        sources.append("store_buffer: from a table of cores, not measured")
    sources += [f"assumed: {text}" for text in assumed]
    sources.append(f"topology, cache: as the kernel tells them; {spin_locks()} spinlocks by the kernel's version")
    profile = Profile(
        name=name,
        about=about,
        sources=tuple(sources[: profiles.MOST_SOURCES]),
        topology=profiles.Topology(nodes, complexes, cores),
        cache=Cache(
            min(like.cache.l1_kib, topology.private_kib),
            topology.private_kib,
            llc_mib,
            profiles.LINE_BYTES,
            entries,
            OVERLAP,
            streams=STREAMS,
            store_misses=STORE_MISSES,
        ),
        ps=Prices(**{price: round(value * PS_PER_NS) for price, value in ns.items()}),
        kernel=Kernel(hz, spin_locks(), 3 * PS_PER_MS * 1000 // hz if grace is None else round(grace.ns * PS_PER_NS)),
    )
    return profile, findings + [finding("note", f"assumed: {text}") for text in assumed]


def _bounded(shape: tuple[int, int, int], findings: list[Finding]) -> tuple[int, int, int]:
    """The shape within what a profile may have."""
    nodes, complexes, cores = shape
    fewer = max(1, min(nodes, profiles.MAX_NODES, profiles.MAX_CPUS // (complexes * cores)))
    if fewer < nodes:
        text = f"of {nodes} nodes the profile has {fewer}: it may have {profiles.MAX_CPUS} CPUs"
        findings.append(finding("warning", text))
    return fewer, complexes, cores


def _distances(ns: dict[str, float], complexes: int, nodes: int) -> Iterable[tuple[str, str]]:
    """Fill in the prices of distances that no pair of CPUs has, or none of those that measured."""
    if "complex" not in ns:
        ns["complex"] = max(2 * ns["llc"], ns["memory_near"] / 2)
        yield "complex", "no two cores to measure it: twice a clean line, or half of memory if that is more"
    if "node" not in ns:
        if complexes == 1:
            ns["node"] = ns["complex"]
            yield "node", "as complex, as a node has one last-level cache"
        else:
            ns["node"] = max(ns["complex"], ns["memory_near"])
            yield "node", "no two such cores to measure it: as memory, which it is near on machines that were measured"
    if "remote" not in ns:
        ns["remote"] = ns["node"] if nodes == 1 else 2 * ns["node"]
        yield "remote", "as node: there is one" if nodes == 1 else "no two such cores to measure it: twice node"
    if "memory_far" not in ns:
        ns["memory_far"] = ns["memory_near"] * (1 if nodes == 1 else 1.5)
        yield "memory_far", "as near: there is one node" if nodes == 1 else "not measured: half as much again as near"


def _order(ns: dict[str, float], findings: list[Finding]) -> None:
    """Prices that must not be below others and are, by noise or by what else a chase meets, are moved as little as may
    be: the cheaper cache is lowered to what a dirty line takes, the rest raised.
    """
    if ns["llc"] > ns["complex"]:
        _move(ns, "llc", ns["complex"], "a dirty line of another core comes by way of that cache", findings)
    for dearer, cheaper in profiles.out_of_order(ns):
        _move(ns, dearer, ns[cheaper], f"no less than {cheaper}", findings)


def _move(ns: dict[str, float], price: str, to: float, why: str, findings: list[Finding]) -> None:
    far = abs(ns[price] / to - 1) > MOVED
    findings.append(
        finding("warning" if far else "note", f"{price} was measured as {ns[price]:.1f} ns; {to:.1f} is written: {why}")
    )
    ns[price] = to


def _noise(measured: Iterable[Measured]) -> Iterable[Finding]:
    for one in measured:
        if one.name == GRACE:
            continue  # it ends with a tick, so it does vary
        if one.spread > NOISY:
            text = f"{one.name} varies by ±{one.spread:.0%}: the machine was busy, or changed its speed"
            yield finding("serious" if one.spread > VERY_NOISY else "warning", text)


def cpuinfo() -> str:
    """The kernel's text about the first CPU; empty where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 16).partition("\n\n")[0]
    except OSError:
        return ""


def profile_name(stem: str) -> str:
    """A name for the profile from that of its file."""
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).lstrip("._-")[: profiles.LONGEST_NAME]
    return name or "machine"
