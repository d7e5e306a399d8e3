"""R1, R2, R4: objects that go from some CPUs to others, and refills that go to other nodes."""

from __future__ import annotations

import dataclasses

from stress.claims.reports.report import Explanation, Measure, Pair, Report, Row, Setting, pair

_FLOW = (("pairing", "halves"), ("charged", "false"))


A_REQUEST = 16 / 36e6 * 1e9  # ns of one of 16 submitters, at 36 million requests a second of 6.19


def _ublk(size: int, objects: int = 1) -> Setting:
    text = f"{objects} object{'s' * (objects > 1)} of {size} B a request"
    settings = (*_FLOW, ("object_size", str(size)))
    return Setting(
        text, "one-way", settings, 32, nodes=8, memoryless=6, measure=Measure.FLOW, paced_ns=A_REQUEST / objects
    )


# The report does not tell the size of bios, and whether a request has an object beside its bio from the same path.
WAYS = ((128, 1), (256, 1), (512, 1), (256, 2))
UBLK = _ublk(256)
WITH_MEMORY = Setting("32 CPUs, 2 nodes with memory", "one-way", _FLOW, 32, nodes=2, measure=Measure.FLOW)
LARGER = Setting(
    "the same, sheaves of 56 objects, not 28", "one-way",
    (*_FLOW, ("object_size", "256"), ("sheaf_capacity", "56")), 32, nodes=8, memoryless=6, measure=Measure.FLOW,
)  # fmt: skip
BARN = "linux-7.0+F_BARNONLINE"


def _each(after: str) -> tuple[Pair, ...]:
    return tuple(pair("linux-6.18", after, _ublk(*way)) for way in WAYS)


R1 = Report(
    "R1",
    "ublk null: some CPUs allocate bios, others free them",
    "Ming Lei, 24 February to April 2026",
    "lkml.iu.edu 2602.3/00206, 02152, 02240, 2603.1/06654, 08305, 08960",
    "two-socket EPYC, 8 nodes online, 2 with memory; 16 submitters and 16 servers. Played: epyc-2022, 32 CPUs",
    (
        Row("7.0-rc3 over 6.19", 13 / 36, 13 / 34, _each("linux-7.0"), alone=True),
        Row(
            "7.0-rc3 with barns on all nodes over 6.19",
            24 / 36,
            24 / 34,
            _each(BARN),
            alone=True,
        ),
    ),
    explanations=(
        Explanation(
            "the CPU of a node without memory finds no barn, so sheaves are not used at all",
            "the developers",
            pair("linux-6.18", "linux-7.0", UBLK),
            pair("linux-6.18", BARN, UBLK),
        ),
        Explanation(
            "the CPU partial lists, which frees filled without a lock, are gone (played between two nodes that have "
            "memory, hence barns)",
            "Ming Lei",
            pair("linux-6.18", "linux-7.0", UBLK),
            pair("linux-6.18", "linux-7.0", dataclasses.replace(WITH_MEMORY, paced_ns=A_REQUEST)),
            stays=True,
        ),
        Explanation(
            "what is missing after the fix is the capacity of caches per CPU (played with sheaves twice as large)",
            "Harry Yoo, Vlastimil Babka",
            pair("linux-6.18", BARN, UBLK),
            pair("linux-6.18", BARN, UBLK, LARGER),
        ),
    ),
)

GATE = Setting(
    "32 CPUs, 2 nodes, no allocation may block", "one-way", (*_FLOW, ("may_not_block", "1")), 32, nodes=2,
    measure=Measure.FLOW,
)  # fmt: skip
TWO_CPUS = Setting("2 CPUs, 2 nodes", "one-way", (*_FLOW, ("may_not_block", "1"), ("batch", "2048")), 2, nodes=2)
R2 = Report(
    "R2",
    "the gate: who may not block refills no sheaf",
    "fb1091febd66, 5 March 2026",
    "its mail: it helps other benchmarks; no figure",
    "not told. Played: epyc-2022, 32 CPUs, 2 nodes",
    (Row("7.0 over 7.0-rc1", 1.0, None, (pair("linux-7.0-rc1", "linux-7.0", GATE),), native=TWO_CPUS),),
    explanations=(
        Explanation(
            "mempool users (bios) ask without direct reclaim first, and then take one object under list_lock (played "
            "with the same allocations that may block)",
            "fb1091febd66",
            pair("linux-7.0", "linux-7.0-rc1", GATE),
            pair("linux-7.0", "linux-7.0-rc1", WITH_MEMORY),
        ),
    ),
)

LKP = tuple(
    Setting(f"{cpus} CPUs, bursts of {burst}", "free-burst",
            (("objects", str(burst)), ("bursts", str(max(12, 500_000 // (burst * cpus)))), ("charged", "false")), cpus,
            nodes=2, untimed=4)
    for cpus, burst in ((64, 128), (64, 1024), (192, 512))
)  # fmt: skip
R4 = Report(
    "R4",
    "refill from all nodes: will-it-scale",
    "LKP, January 2026",
    "202601132136; 46dea1744498, mended by 40fd0acc45d0",
    "2 nodes; CPUs and test not told here. Played: epyc-2022, 2 nodes",
    (
        Row(
            "other nodes' list_lock taken, over only tried",
            1 - 0.465,
            1 - 0.465,
            tuple(pair("linux-7.0", "linux-7.0-F_REMOTETRY", one) for one in LKP),
        ),
    ),
)
