"""The claims there are, in the words of those who made them, and what tests each."""

from __future__ import annotations

from functools import partial

from stress.claims import fate, recorded
from stress.claims.claim import Claim, Part

_ALLOCATORS = ("slub", "slab")

CLAIMS: dict[int, Claim] = {
    claim.id: claim
    for claim in (
        Claim(
            0,
            "The model leaves behind what real kernels left: dead caches and slabs after the same work.",
            "recorded: v1 keeps 1 dead cache with 4 slabs when a CPU frees that never used it, none with all CPUs marked",
            "censuses of Linux 3.16.0, with and without the series",
            (
                Part("remote, slub", "remote-dead, 10 phases", partial(recorded.remote, allocator="slub")),
                Part("leak, slub", "leak", partial(recorded.files, scenario="leak", allocator="slub", times=(("freed+60.00", 0.0),))),
                Part("churn, slub", "churn", partial(recorded.files, scenario="churn", allocator="slub", times=(("end+20.00", 0.0),))),
                Part("remote, slab", "remote-dead, 10 phases, before the first reap", partial(recorded.remote, allocator="slab")),
                Part("leak, slab", "leak, 0 to 60 s later", partial(recorded.files, scenario="leak", allocator="slab",
                     times=(("freed+0.00", 0.0), ("freed+10.00", 10.0), ("freed+30.00", 30.0), ("freed+60.00", 60.0)))),
                Part("churn, slab", "churn, 0 to 20 s later", partial(recorded.files, scenario="churn", allocator="slab",
                     times=(("end+0.00", 0.0), ("end+10.00", 10.0), ("end+20.00", 20.0)))),
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
            tuple(Part(a, "dead-free, 64 B to 4 KiB", partial(fate.half_is_not_enough, allocator=a)) for a in _ALLOCATORS),
        ),
        Claim(
            3,
            "With the series nothing of a dead cache stays after its last free.",
            "SLUB: no lifetime was published; SLAB v1: ~4 s on each CPU (N4)",
            "cover letters of v1, v2 and v3; d6e0b7fa1186 (4.0); 23a736c9… (v1 8)",
            tuple(Part(f"{d}, slub", "dead-free, 64 B to 32 KiB", partial(fate.nothing_left, design=d, allocator="slub"))
                  for d in ("v1", "v2", "v3", "linux-4.0"))
            + tuple(Part(f"{d}, slab", "dead-free, 60 s", partial(fate.nothing_left, design=d, allocator="slab")) for d in ("v1", "v2", "v3")),
        ),
    )
}  # fmt: skip
