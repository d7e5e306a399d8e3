"""The tapes of leak."""

from __future__ import annotations

from scenarios import tape, writer
from scenarios.workloads import kernel_files, pacing
from scenarios.workloads.leak import Leak

WORK = 0.34  # seconds of a cgroup at work, and again until it is gone: the mean of the boots recorded


def build(params: Leak, cpus: int, seed: int) -> tape.Workload:
    """Nothing is left to chance, whatever the seed."""
    population = kernel_files.Population(params.files, params.pipes, params.socket_pairs)
    schedule = writer.Schedule()
    half = writer.one_after_another(schedule, params.cgroups, "cgroup {} has its caches")
    schedule.mark("all cgroups are gone", half)
    schedule.mark("half of the files are unlinked", half + 1)

    unlinker = min(params.free_cpu, cpus - 1)
    bases = [g * population.size for g in range(params.cgroups)]
    works: pacing.Pace = "none" if params.pace == "none" else "busy"
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        out.plain(pacing.sleep(params.boot if cpu == 0 else 0.0, works, params.timers))
        for g in range(1, params.cgroups + 1):
            removed, slot = writer.first_round(g) + 2, bases[g - 1]
            if kernel_files.settle_in(out, schedule, population, g, slot, cpu, cpus):
                out.plain(pacing.sleep(WORK, works, params.timers))
                out.section(tape.SECTION_LIVE_FREE, population.close(slot))
            out.round(removed, schedule.done_by(removed))
            if kernel_files.home(g, cpus) == cpu:
                out.plain(pacing.sleep(WORK, works, params.timers))
        for r, files in ((half, slice(0, None, 2)), (half + 1, slice(1, None, 2))):
            out.round(r, schedule.done_by(r))
            if cpu == unlinker:
                out.plain(pacing.counting(pacing.COUNTS, params.pace, params.timers))
            for base in bases if cpu == unlinker else ():
                out.section(tape.SECTION_DEAD_FREE, population.unlink(base, files))
                if r == half + 1:
                    out.plain(population.rmdir(base))
        if cpu == unlinker:
            out.plain(pacing.counting(pacing.COUNTS + pacing.LATER + pacing.LATE, params.pace, params.timers))
        tapes.append(out.finish())
    return writer.workload(
        "leak", kernel_files.CACHES, schedule, tapes, slots=params.cgroups * population.size, cgroups=params.cgroups
    )
