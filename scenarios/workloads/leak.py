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

ROUNDS_PER_CGROUP = 3  # first use, populate and close, removal


def build(params: Leak, cpus: int, seed: int) -> tape.Workload:
    """Nothing is left to chance, whatever the seed."""
    population = kernel_files.Population(params.files, params.pipes, params.socket_pairs)
    schedule = writer.Schedule()
    for g in range(1, params.cgroups + 1):
        first = _first_round(g)
        schedule.create(g, first)
        schedule.mark(f"cgroup {g} has its caches", first + 1)
        schedule.offline(g, first + 2)
    half = _first_round(params.cgroups + 1)
    schedule.mark("all cgroups are gone", half)
    schedule.mark("half of the files are unlinked", half + 1)

    unlinker = min(params.free_cpu, cpus - 1)
    bases = [g * population.size for g in range(params.cgroups)]
    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        for g in range(1, params.cgroups + 1):
            first, slot = _first_round(g), bases[g - 1]
            mine = (g - 1) % min(2, cpus) == cpu
            out.round(first, schedule.done_by(first))
            if mine:
                out.plain(kernel_files.first_use(g, slot))
            out.round(first + 1, schedule.done_by(first + 1))
            if mine:
                out.section(tape.SECTION_ALLOC, population.allocations(g, slot))
                out.section(tape.SECTION_LIVE_FREE, population.close(slot))
            out.round(first + 2, schedule.done_by(first + 2))
        for r, files in ((half, slice(0, None, 2)), (half + 1, slice(1, None, 2))):
            out.round(r, schedule.done_by(r))
            for base in bases if cpu == unlinker else ():
                out.section(tape.SECTION_DEAD_FREE, population.unlink(base, files))
                if r == half + 1:
                    out.plain(population.rmdir(base))
        tapes.append(out.finish())
    return tape.Workload(
        name="leak",
        caches=kernel_files.CACHES,
        tapes=tuple(tapes),
        events=schedule.events,
        slots=params.cgroups * population.size,
        cgroups=params.cgroups,
        marks=schedule.marks,
    )


def _first_round(cgroup: int) -> int:
    return 1 + (cgroup - 1) * ROUNDS_PER_CGROUP
