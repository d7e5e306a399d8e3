"""leak: cgroups that worked on CPU 0 and CPU 1 in turn are removed; later everything is unlinked on one CPU.

What the program behind the leak census of Linux 3.16 did: ten cgroups, each with 300 files on tmpfs, 20 pipes
and 20 pairs of sockets; all of them removed; then every second file unlinked and then the others, all
on CPU 1. Files are shared memory that outlives its cgroup, so their dentries and inodes keep two dead caches
per cgroup (see `scenarios.workloads.kernel_files` for what is recorded and what approximated).

Expect linux-3.16 to keep all 20 caches, each with the slabs that wait on CPU 1's partial list; v1 to keep the
10 of the cgroups that worked on CPU 0, whose removal told CPU 1 nothing (R12); all others none.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.parameters import MEGA
from scenarios.scenario import Scenario
from scenarios.settings import count
from scenarios.workloads import pacing


class Leak(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cgroups: Annotated[int, count(1, 65536, "cgroups, which work on CPU 0 and CPU 1 in turn")] = 10
    files: Annotated[int, count(1, MEGA, "files of each, unlinked after the removal")] = 300
    pipes: Annotated[int, count(0, 65536, "pipes of each, closed before the removal")] = 20
    socket_pairs: Annotated[int, count(0, 65536, "pairs of sockets of each, closed before the removal")] = 20
    free_cpu: Annotated[int, count(0, 1024, "the CPU that unlinks; the last one if there are fewer")] = 1
    pace: Annotated[pacing.Pace, pacing.PACE] = "none"
    boot: Annotated[float, pacing.BOOT] = 1.1
    timers: Annotated[float, pacing.TIMERS] = 1.0

    def planned_operations(self, cpus: int) -> int:
        return 2 * self.cgroups * (2 * self.files + 6 * self.pipes + 8 * self.socket_pairs + 16)


SCENARIO = Scenario(
    "leak",
    "Ten cgroups with files, pipes and sockets are removed, then all is unlinked on CPU 1: recorded of Linux 3.16.",
    Leak,
    f"{__name__}.tapes",
    order=80,
)
