"""The tapes of churn."""

from __future__ import annotations

from scenarios import tape, writer
from scenarios.workloads import kernel_files, pacing
from scenarios.workloads.churn import CgroupChurn

STEP = 0.34  # seconds of one cgroup: the mean of the boots recorded


def build(params: CgroupChurn, cpus: int, seed: int) -> tape.Workload:
    """Nothing is left to chance, whatever the seed."""
    population = kernel_files.Population(params.files)
    schedule = writer.Schedule()
    end = writer.one_after_another(schedule, params.cgroups, "cgroup {} has its caches")
    schedule.mark("all cgroups are gone", end)

    bases = [g * population.size for g in range(params.cgroups)]
    works: pacing.Pace = "none" if params.pace == "none" else "busy"
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        out.plain(pacing.sleep(params.boot if cpu == 0 else 0.0, works, params.timers))
        for g in range(1, params.cgroups + 1):
            removed, slot = writer.first_round(g) + 2, bases[g - 1]
            if kernel_files.settle_in(out, schedule, population, g, slot, cpu, cpus):
                out.plain(pacing.sleep(STEP, works, params.timers))
                out.plain(population.close(slot))
            due = g - params.delay
            if due >= 1 and kernel_files.home(due, cpus) == cpu:
                _remove(out, population, bases[due - 1])
            out.round(removed, schedule.done_by(removed))
        out.round(end, schedule.done_by(end))
        if cpu == 0 and params.release:
            for g in range(max(1, params.cgroups - params.delay + 1), params.cgroups + 1):
                _remove(out, population, bases[g - 1])
        if cpu == 0:
            out.plain(pacing.counting(pacing.COUNTS + pacing.LATER, params.pace, params.timers))
        tapes.append(out.finish())
    return writer.workload(
        "churn", kernel_files.CACHES, schedule, tapes, slots=params.cgroups * population.size, cgroups=params.cgroups
    )


def _remove(out: writer.Tape, population: kernel_files.Population, slot: int) -> None:
    """Unlink a directory with all its files; its cgroup is gone."""
    out.section(tape.SECTION_DEAD_FREE, population.unlink(slot))
    out.plain(population.rmdir(slot))
