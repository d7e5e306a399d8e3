"""All measurements in turn, and the profile that they make."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from stress.machine.assemble import GRACE, LLC_WIDE, assemble, cpuinfo, profile_name
from stress.machine.kernel import measure_grace_period, measure_interrupts
from stress.machine.options import MachineOptions
from stress.machine.pairs import measure_pairs, measure_wakeup
from stress.machine.probes import probe
from stress.machine.result import Found, Measured, Shape
from stress.machine.singles import measure_hits, measure_llc, measure_memory, measure_wide_llc, memory_size
from stress.machine.timing import Clock
from stress.machine.topology import Topology, is_virtual, online, read_topology
from stress.process import host
from stress.profiles.load import dump
from stress.profiles.profile import Profile
from stress.result.data import Finding
from stress.result.grading import finding, trust_of

# Shares of the time; what is left goes into filling the buffer for memory.
HITS, LLC, MEMORY, PAIRS, WAKES, INTERRUPTS, GRACES = 0.15, 0.05, 0.10, 0.15, 0.05, 0.05, 0.10


def measure(
    options: MachineOptions, progress: Callable[[str], None], clock: Clock = time.perf_counter_ns
) -> tuple[Profile, Found]:
    """Everything, in about `options.seconds` once the probes are compiled; nothing is written.

    Raises DamagedRun for measurements that cannot be, and UsageError if no profile can describe the machine.
    """
    progress("compiling the probes")
    probe.compile("", frozenset())
    seen = read_topology(options.cpus)
    whole = read_topology(online() or host.available_cpus())
    measured, memory_bytes, llc_kib, findings = _all(options, seen, progress, clock)
    profile, known = assemble(
        profile_name(options.out.stem),
        f"measured: {host.cpu_model()}"[:200],
        whole,
        measured,
        cpuinfo=cpuinfo(),
        memory_bytes=memory_bytes,
        llc_kib=llc_kib,
        virtual=is_virtual(),
    )
    nodes, complexes, cores = whole.shape
    found = Found(
        cpu=host.cpu_model(),
        shape=Shape(
            nodes=nodes,
            complexes_per_node=complexes,
            cores_per_complex=cores,
            private_kib=whole.private_kib,
            llc_mib=whole.llc_kib / 1024,
            measured_cpus=list(seen.cores),
        ),
        measured=list(measured.values()),
        profile=dump(profile),
        written=None,
        trust=trust_of([*findings, *known]),
    )
    return profile, found


def _all(
    options: MachineOptions, seen: Topology, progress: Callable[[str], None], clock: Clock
) -> tuple[dict[str, Measured], int, int | None, list[Finding]]:
    """Price or other name -> measurement; bytes that memory was measured with; KiB of the last-level cache that a CPU
    has, if a ring found less than is told; what was met on the way."""
    seconds, cores = options.seconds, seen.cores
    cpu = cores[-1]  # the first one has the most interrupts
    findings = []
    progress(f"accesses that hit, and atomics, on CPU {cpu}")
    measured = measure_hits(cpu, HITS * seconds, clock)
    progress("the last-level cache")
    measured["llc"] = measure_llc(cpu, seen, LLC * seconds, clock)
    size = memory_size(seen, seconds)
    progress(f"memory, through {size >> 20} MiB")
    measured["memory_near"], huge = measure_memory("memory_near", cpu, cpu, size, MEMORY * seconds, clock)
    llc_kib = None
    wide = measure_wide_llc(cpu, seen, measured["llc"].ns, measured["memory_near"].ns, LLC * seconds, clock)
    if wide is not None:
        measured[LLC_WIDE], had = wide
        llc_kib = had if had < seen.llc_kib else None
    elsewhere = [core for core in cores if seen.node[core] != seen.node[cpu]]
    if elsewhere:
        progress(f"memory of node {seen.node[elsewhere[0]]}")
        measured["memory_far"], _ = measure_memory("memory_far", cpu, elsewhere[0], size, MEMORY * seconds, clock)
    if not huge:
        findings.append(finding("warning", "there are no huge pages here: memory and caches include TLB misses"))
    if len(cores) > 1:
        progress(f"a line between {len(cores)} cores")
        measured |= measure_pairs(seen, cores, PAIRS * seconds, clock)
    else:
        findings.append(finding("warning", "there is one core to measure on: what takes two is assumed"))
    progress("a sleeper that is woken")
    measured["wakeup"] = measure_wakeup(cpu, WAKES * seconds, clock)
    interrupts = None
    if len(cores) > 1:
        progress("interrupts between CPUs")
        interrupts = measure_interrupts(cores[0], cpu, INTERRUPTS * seconds, clock)
    if interrupts is not None:
        there_and_back, measured["interrupt"] = interrupts
        measured["ipi"] = msgspec.structs.replace(
            there_and_back,
            name="ipi",
            ns=round(there_and_back.ns / 2, 3),
            how=f"half of {there_and_back.ns:.0f} ns, an estimate: {there_and_back.how}",
        )
    progress("a grace period")
    grace = measure_grace_period(GRACES * seconds, clock)
    if grace is not None:
        measured[GRACE] = grace
    return measured, size, llc_kib, findings
