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

from typing import Annotated

import msgspec

from scenarios.parameters import MEGA
from scenarios.scenario import Scenario
from scenarios.settings import count
from scenarios.workloads import pacing


class CgroupChurn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cgroups: Annotated[int, count(1, 65536, "cgroups one after another, on CPU 0 and CPU 1 in turn")] = 40
    files: Annotated[int, count(1, MEGA, "files of each")] = 120
    delay: Annotated[int, count(1, 65536, "cgroups that come before its files are unlinked")] = 5
    release: Annotated[bool, msgspec.Meta(description="unlink those of the last ones too, at the end")] = True
    pace: Annotated[pacing.Pace, pacing.PACE] = "none"
    boot: Annotated[float, pacing.BOOT] = 2.0
    timers: Annotated[float, pacing.TIMERS] = 1.0

    def planned_operations(self, cpus: int) -> int:
        return 2 * self.cgroups * (2 * self.files + 16)


SCENARIO = Scenario(
    "churn",
    "Forty cgroups come and go, files are unlinked five cgroups later: recorded of Linux 3.16.",
    CgroupChurn,
    f"{__name__}.tapes",
    order=90,
)
