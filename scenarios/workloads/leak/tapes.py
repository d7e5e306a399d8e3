"""leak: cgroups that worked on CPU 0 and CPU 1 in turn are removed; later everything is unlinked on one CPU.

What the program behind the leak census of Linux 3.16 did: ten cgroups, each with 300 files on tmpfs, 20 pipes
and 20 pairs of sockets; all of them removed; then every second file unlinked and then the others, all
on CPU 1. Files are shared memory that outlives its cgroup, so their dentries and inodes keep two dead caches
per cgroup (see `scenarios.workloads.kernel_files` for what is recorded and what approximated).

Expect linux-3.16 to keep all 20 caches, each with the slabs that wait on CPU 1's partial list; v1 to keep the
10 of the cgroups that worked on CPU 0, whose removal told CPU 1 nothing (R12); all others none.
"""

from __future__ import annotations

from scenarios import tape, writer
from scenarios.parameters import Leak
from scenarios.workloads import kernel_files


def build(params: Leak, cpus: int, seed: int) -> tape.Workload:
    """Nothing is left to chance, whatever the seed."""
    population = kernel_files.Population(params.files, params.pipes, params.socket_pairs)
    schedule = writer.Schedule()
    half = writer.one_after_another(schedule, params.cgroups, "cgroup {} has its caches")
    schedule.mark("all cgroups are gone", half)
    schedule.mark("half of the files are unlinked", half + 1)

    unlinker = min(params.free_cpu, cpus - 1)
    bases = [g * population.size for g in range(params.cgroups)]
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        for g in range(1, params.cgroups + 1):
            removed, slot = writer.first_round(g) + 2, bases[g - 1]
            if kernel_files.settle_in(out, schedule, population, g, slot, cpu, cpus):
                out.section(tape.SECTION_LIVE_FREE, population.close(slot))
            out.round(removed, schedule.done_by(removed))
        for r, files in ((half, slice(0, None, 2)), (half + 1, slice(1, None, 2))):
            out.round(r, schedule.done_by(r))
            for base in bases if cpu == unlinker else ():
                out.section(tape.SECTION_DEAD_FREE, population.unlink(base, files))
                if r == half + 1:
                    out.plain(population.rmdir(base))
        tapes.append(out.finish())
    return writer.workload(
        "leak", kernel_files.CACHES, schedule, tapes, slots=params.cgroups * population.size, cgroups=params.cgroups
    )
