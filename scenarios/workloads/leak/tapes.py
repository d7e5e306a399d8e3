"""The tapes of leak."""

from __future__ import annotations

from scenarios import tape, writer
from scenarios.workloads import kernel_files
from scenarios.workloads.leak import Leak


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
