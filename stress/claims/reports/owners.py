"""R7: one cgroup's objects that go from node to node, and the stocks of charged bytes."""

from __future__ import annotations

from stress.claims.reports.report import Explanation, Report, Row, Setting, pair

ONE_SLOT = "linux-7.1-F_STOCKMEMCG"
SHARED = (("charged", "true"), ("object_size", "256"))
SWITCH = Setting(
    "224 CPUs, 2 nodes, objects of one cgroup freed on any CPU",
    "offline-storm",
    (
        ("cgroups", "1"), ("active", "1"), ("rounds", "24"), ("burst", "1"), ("remote_share", "1"), ("root_share", "0"),
        ("cpuset_share", "0"), ("lifetime", "0.5"), ("tail", "10"), ("caches", "kmalloc-256"), ("operations", "2048"),
    ),
    224,
    nodes=2,
    paced_ns=5849,  # a switch: an object allocated and freed
)  # fmt: skip
TWO = Setting(
    "2 CPUs, 2 nodes, each frees what the other allocated, one at a time",
    "remote-free",
    (*SHARED, ("batch", "1"), ("rounds", "4096")),
    2,
    nodes=2,
)

R7 = Report(
    "R7",
    "an owner per node: stress-ng.switch",
    "LKP, May 2026; 01b9da291c49",
    "LKP's report and the answers to it",
    "two nodes; 38.29 M switches a second of 5,849 ns each (12.36 M of 18,145 ns after) make 224 at a time. Played: "
    "epyc-2022, 224 CPUs",
    (
        Row("per-node owners over the kernel before", 12.36 / 38.29, 12.36 / 38.29,
            (pair("linux-7.0", ONE_SLOT, SWITCH),), alone=True),
        Row("the stopgap (7.1) over the kernel before", 37.74 / 38.29, 37.74 / 38.29,
            (pair("linux-7.0", "linux-7.1", SWITCH),), same=True),
        Row("two CPUs alone, per-node owners", None, None, (pair("linux-7.0", ONE_SLOT, TWO),), native=TWO),
    ),
    explanations=(
        Explanation(
            "the one-slot stock is drained on every operation (played with a slot for all of a memcg's owners)",
            "the developers",
            pair("linux-7.0", ONE_SLOT, SWITCH),
            pair("linux-7.0", "linux-7.1", SWITCH),
        ),
        Explanation(
            "five slots are enough (7.2)",
            "the developers",
            pair("linux-7.0", ONE_SLOT, SWITCH),
            pair("linux-7.0", "linux-7.2", SWITCH),
        ),
    ),
)  # fmt: skip
