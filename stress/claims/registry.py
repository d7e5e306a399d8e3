"""The claims there are, in the words of those who made them, and what tests each."""

from __future__ import annotations

from functools import partial

from stress.claims import (
    dead_cost,
    fate,
    instructions,
    over_time,
    patches,
    pinning,
    reaper,
    recorded,
    speed,
    steps,
    storm,
)
from stress.claims.claim import Claim, Part

_ALLOCATORS = ("slub", "slab")
_DEFAULT = "offline-storm, the default run"

CLAIMS: dict[int, Claim] = {
    claim.id: claim
    for claim in (
        Claim(
            0,
            "The model leaves behind what real kernels left: dead caches and slabs after the same work.",
            "recorded: v1 keeps 1 dead cache with 4 slabs when a CPU frees that never used it, none with all CPUs "
            "marked",
            "censuses of Linux 3.16.0, with and without the series",
            (
                Part("remote, slub", "remote-dead, 10 phases", partial(recorded.remote, allocator="slub")),
                Part(
                    "leak, slub",
                    "leak",
                    partial(recorded.files, scenario="leak", tag="freed+60.00"),
                ),
                Part(
                    "churn, slub",
                    "churn",
                    partial(recorded.files, scenario="churn", tag="end+20.00"),
                ),
                Part(
                    "remote, slab",
                    "remote-dead, 10 phases, before the first reap",
                    partial(recorded.remote, allocator="slab"),
                ),
                Part("leak, slab", "leak, 60 s, CPUs idle", partial(over_time.over_time, scenario="leak")),
                Part("churn, slab", "churn, 20 s, CPUs busy", partial(over_time.over_time, scenario="churn")),
            ),
        ),
        Claim(
            1,
            "Without the series a cache that has a live object when its cgroup goes is leaked, with its memcg.",
            "–",
            "cover.1401457502.git.vdavydov@parallels.com",
            tuple(Part(a, "pinned, 64 B to 4 KiB", partial(fate.leaked, allocator=a)) for a in _ALLOCATORS),
        ),
        Claim(
            2,
            "Self-destruction alone (P2 and P3) is not enough, as allocators hoard empty slabs.",
            "–",
            "178605c7…, 6884cccb… (v2 1 and 2): destroyed when the last slab goes, which is not guaranteed",
            tuple(
                Part(a, "dead-free, 64 B to 4 KiB", partial(fate.half_is_not_enough, allocator=a)) for a in _ALLOCATORS
            ),
        ),
        Claim(
            3,
            "With the series nothing of a dead cache stays after its last free.",
            "SLUB: no lifetime was published; SLAB v1: ~4 s on each CPU (N4)",
            "cover letters of v1, v2 and v3; d6e0b7fa1186 (4.0); 23a736c9… (v1 8)",
            tuple(
                Part(f"{d}, slub", "dead-free, 64 B to 32 KiB", partial(fate.nothing_left, design=d, allocator="slub"))
                for d in ("v1", "v2", "v3", "linux-4.0")
            )
            + tuple(
                Part(f"{d}, slab", "dead-free, 60 s", partial(fate.nothing_left, design=d, allocator="slab"))
                for d in ("v1", "v2", "v3")
            ),
        ),
        Claim(
            4,
            f"The series has no noticeable impact on live caches: not more than {speed.MARGIN:.0%} slower, 64 B to 8 "
            "KiB.",
            "–",
            "cover letters of v1, v2 and v3: alloc and free paths of live caches stay as they are",
            tuple(
                Part(
                    f"{a}, counted",
                    "pairs and free-burst, operations on memory",
                    partial(steps.same_steps, allocator=a),
                )
                for a in _ALLOCATORS
            )
            + (Part("slub, instructions", "four loops, instruction by instruction", instructions.live),)
            + tuple(
                Part(f"{a}, timed", "pairs and free-burst", partial(speed.no_impact, allocator=a)) for a in _ALLOCATORS
            )
            + tuple(Part(f"{a}, the storm", _DEFAULT, partial(storm.no_impact, allocator=a)) for a in _ALLOCATORS),
        ),
        Claim(
            5,
            "Frees into dead caches cost SLUB a lock per slab, but SLAB v3 a lock per object.",
            "SLAB, dead against alive: 3.49, 3.45, 2.91, 2.28, 1.77 times slower for 64 to 1024 B on 24 CPUs (N2)",
            "20140602114741.GA1039 (SLUB, no number); 20140625134545.GB22340",
            (
                Part("slub", "dead-free by size and order", dead_cost.slub),
                Part("slub, instructions", "dead frees, instruction by instruction", instructions.dead),
                Part("slub, the storm", _DEFAULT, storm.dead_frees),
                Part("slab", "dead-free by size, timed", dead_cost.slab),
            ),
        ),
        Claim(
            6,
            "Re-parenting single slabs is too expensive, as it needs a list of full slabs.",
            "up to 25 % slower contended frees, 2 nodes (N1)",
            "20140519152437.GB25889",
            (
                Part("slub", "remote-free, timed", speed.full_tracking),
                Part("slub, the storm", _DEFAULT, storm.full_tracking),
            ),
        ),
        Claim(
            7,
            "Shrink never fails with P4: no cache leaks for want of memory.",
            "sort array usually below a page (N5)",
            "ac8907ca… (v1 4), alpine.DEB.2.10.1405300937560",
            (Part("slub", "leak, sort array's allocation failing", patches.shrink_never_fails),),
        ),
        Claim(
            8,
            "P6 matters little.",
            "–",
            "620d4218… (v1 6), dropped from v2 without a comment",
            (
                Part("slub", "remote-free, counted and timed", speed.patch_6),
                Part("slub, the storm", _DEFAULT, storm.patch_6),
            ),
        ),
        Claim(
            9,
            "P1 and P5 change no behaviour.",
            "–",
            "178605c7… (v2 1), d2bbd28a… (v1 5)",
            tuple(Part(a, "three scenarios, serial", partial(patches.no_change, allocator=a)) for a in _ALLOCATORS),
        ),
        Claim(
            10,
            "SLAB's aggressive reaper destroys dead caches within about 4 s, but its passes grow with their number.",
            "~4 s on each CPU (N4); recorded of a 3.16 kernel with the series: the last cache went after 20 to 30 s",
            "23a736c9… (v1 8); objections 20140612065842.GE19918 and 20140612204141.GA25829",
            (
                Part("lifetime", "dead-free by size, CPUs, nodes", reaper.time_to_destruction),
                Part("pass", "pinned, up to 1,000 dead caches", reaper.length_of_a_pass),
            ),
        ),
        Claim(
            11,
            "Dead caches pin their memcgs as long as objects live; linux-5.3 and linux-5.9 do not.",
            "dying cgroups per host on days 0 to 7: 56 … 1560 before, 23 … 69 with 5.3's series (N7)",
            "20190611231813.3148843-1, 20200623174037.3951353-1",
            tuple(
                Part(
                    d,
                    "churn, last five cgroups alive",
                    partial(pinning.pins, design=d, pins_while_alive=not d.startswith("linux-5")),
                )
                for d in ("linux-3.16", "v1", "v3", "linux-4.0", "linux-5.3", "linux-5.9")
            ),
        ),
    )
}
