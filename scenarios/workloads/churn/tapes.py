"""churn: one cgroup after another fills a directory and is removed; its files are unlinked some cgroups later.

What the program behind the churn census of Linux 3.16 did: 40 cgroups with 120 files each, on CPU 0 and CPU
1 in turn, unlinked five cgroups later by the CPU that had made them; those of the last five all on CPU
0, at the end. So in the steady state the CPU that frees is one that the removal has told (see
`scenarios.workloads.kernel_files` for what is recorded and what approximated).

Expect linux-3.16 to keep both caches of every cgroup with nearly all their slabs: the memory of 40 jobs
that are long over. v1 keeps up in the steady state and leaves only caches of the last five cgroups, those
whose files another CPU unlinked (R12); all others leave none.
"""

from __future__ import annotations

from scenarios import tape, writer
from scenarios.parameters import CgroupChurn
from scenarios.workloads import kernel_files


def build(params: CgroupChurn, cpus: int, seed: int) -> tape.Workload:
    """Nothing is left to chance, whatever the seed."""
    population = kernel_files.Population(params.files)
    schedule = writer.Schedule()
    end = writer.one_after_another(schedule, params.cgroups, "cgroup {} has its caches")
    schedule.mark("all cgroups are gone", end)

    bases = [g * population.size for g in range(params.cgroups)]
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        for g in range(1, params.cgroups + 1):
            removed, slot = writer.first_round(g) + 2, bases[g - 1]
            if kernel_files.settle_in(out, schedule, population, g, slot, cpu, cpus):
                out.plain(population.close(slot))
            due = g - params.delay
            if due >= 1 and kernel_files.home(due, cpus) == cpu:
                _remove(out, population, bases[due - 1])
            out.round(removed, schedule.done_by(removed))
        out.round(end, schedule.done_by(end))
        if cpu == 0 and params.release:
            for g in range(max(1, params.cgroups - params.delay + 1), params.cgroups + 1):
                _remove(out, population, bases[g - 1])
        tapes.append(out.finish())
    return writer.workload(
        "churn", kernel_files.CACHES, schedule, tapes, slots=params.cgroups * population.size, cgroups=params.cgroups
    )


def _remove(out: writer.Tape, population: kernel_files.Population, slot: int) -> None:
    """Unlink a directory with all its files; its cgroup is gone."""
    out.section(tape.SECTION_DEAD_FREE, population.unlink(slot))
    out.plain(population.rmdir(slot))
