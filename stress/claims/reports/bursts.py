"""R3, R5, R6, R8, R9: CPUs that allocate and free by themselves; how many objects at a time is not told."""

from __future__ import annotations

from stress.claims.reports.report import Explanation, Pair, Report, Row, Setting, pair

OPERATIONS = 1_000_000
LEAST_BURSTS = 12
UNTIMED = 4  # allocations and frees of the first two bursts, for which there are no slabs yet
MAPLE = (("object_size", "256"), ("charged", "false"))


def burst(
    objects: int, cpus: int, nodes: int, machine: str = "epyc-2022", think: int = 0, **settings: object
) -> Setting:
    """Each CPU allocates so many objects and frees them; about as many operations in all, whatever the CPUs. think: ns
    of other work with each of them."""
    times = min(4096, max(LEAST_BURSTS, OPERATIONS // (2 * objects * cpus)))
    chosen = {"objects": objects, "bursts": times, "object_size": 256, "charged": "false"} | settings
    text = f"{cpus} CPU{'s' * (cpus > 1)}, bursts of {objects}"
    if chosen["object_size"] != 256:
        text += f" of {chosen['object_size']} B"
    if think:
        text += f", {think} ns of other work an operation"
    return Setting(
        text, "free-burst", tuple((k, str(v)) for k, v in chosen.items()), cpus, nodes, machine=machine, think_ns=think,
        untimed=UNTIMED if int(str(chosen["bursts"])) > UNTIMED else 0,
    )  # fmt: skip


def both_layers(before: str, after: str, objects: int, cpus: int, nodes: int, **more: object) -> Pair:
    """Two kernels where the cache asks for sheaves of 32, as the vma and maple caches do."""
    return pair(before, after, burst(objects, cpus, nodes, sheaf_capacity=32, **more))  # type: ignore[arg-type]


def against_none(after: str, objects: int, cpus: int, think: int) -> Pair:
    """A kernel against 6.18 whose cache asks for no sheaves: the kernel before."""
    return pair(
        "linux-6.18",
        after,
        burst(objects, cpus, 2, think=think),
        burst(objects, cpus, 2, think=think, sheaf_capacity=32),
    )


# Bursts: within two sheaves of 32, beyond them; other work: none, or about that of a short system call.
FEW = ((96, 0), (96, 1000))
WAYS = ((48, 0), (48, 1000), (96, 0), (96, 1000), (384, 1000))

R3 = Report(
    "R3",
    "sheaves with and without CPU slabs: will-it-scale, maple nodes",
    "Hao Li, January 2026",
    "the series' v4 and 2602.0/06001, 30 January 2026",
    "EPYC, 2 nodes, 384 threads; 64, 128 and 192 processes. Played: epyc-2022 (192 cores), sheaves of 32 objects",
    tuple(
        Row(
            f"6.19-rc5 over the kernel before sheaves, {cpus} processes",
            ratio,
            ratio,
            tuple(against_none("linux-6.18", size, cpus, think) for size, think in ways),
        )
        for cpus, ratio, ways in ((64, 1.315, FEW), (128, 1.343, FEW), (192, 1.354, WAYS))
    )
    + tuple(
        Row(
            f"7.0 over the kernel before sheaves, {cpus} processes",
            ratio,
            ratio,
            tuple(against_none("linux-7.0", size, cpus, think) for size, think in ways),
            same=True,
        )
        for cpus, ratio, ways in ((64, 0.988, FEW), (128, 0.987, FEW), (192, 0.958, WAYS))
    )
    + (
        Row(
            "7.0 over 6.19-rc5, 192 processes",
            0.958 / 1.354,
            0.979 / 1.337,
            tuple(both_layers("linux-6.18", "linux-7.0", size, 192, 2, think=think) for size, think in WAYS),
        ),
    ),
    explanations=tuple(
        Explanation(
            f"a second layer of cache came and went (played with sheaves of 64 in 7.0, bursts of {size}, {think} ns of "
            "other work)",
            "Vlastimil Babka, Hao Li",
            both_layers("linux-6.18", "linux-7.0", size, 192, 2, think=think),
            pair(
                "linux-6.18",
                "linux-7.0",
                burst(size, 192, 2, think=think, sheaf_capacity=32),
                burst(size, 192, 2, think=think, sheaf_capacity=64),
            ),
        )
        for size, think in ((96, 0), (96, 1000))
    ),
)


def _fork(machine: str) -> tuple[Pair, ...]:
    return tuple(both_layers("linux-6.18", "linux-7.0", size, 1, 1, machine=machine) for size in (32, 96, 256, 1024))


R5 = Report(
    "R5",
    "Arm Fastpath: fork, execve, kvfree_rcu",
    "26 March 2026, 7.0-rc1 to rc5 against 6.19",
    "Arm's mail of that day; changes in percent over the rcs",
    "Sapphire Rapids and Graviton3. Played: epyc-2022 and neoverse-n1 (80 cores of the generation before), one CPU",
    (
        Row("fork, Sapphire Rapids", 1 - 0.112, 1 - 0.090, _fork("epyc-2022")),
        Row("execve, Sapphire Rapids", 1 - 0.079, 1 - 0.065, _fork("epyc-2022")),
        Row("fork, Graviton3", 1 - 0.072, 1 - 0.064, _fork("neoverse-n1")),
        Row(
            "kvfree_rcu, Sapphire Rapids",
            1 - 0.106,
            1 - 0.035,
            tuple(
                pair("linux-6.18", "linux-7.0", burst(size, 1, 1, kfree_rcu=1, object_size=64)) for size in (96, 1024)
            ),
        ),
    ),
    explanations=(
        Explanation(
            "the vma and maple caches had sheaves and CPU slabs, double the caching (played with sheaves of 64 in 7.0, "
            "bursts of 96)",
            "Vlastimil Babka",
            both_layers("linux-6.18", "linux-7.0", 96, 1, 1),
            pair("linux-6.18", "linux-7.0", burst(96, 1, 1, sheaf_capacity=32), burst(96, 1, 1, sheaf_capacity=64)),
        ),
        Explanation(
            "the same, bursts of 256",
            "Vlastimil Babka",
            both_layers("linux-6.18", "linux-7.0", 256, 1, 1),
            pair("linux-6.18", "linux-7.0", burst(256, 1, 1, sheaf_capacity=32), burst(256, 1, 1, sheaf_capacity=64)),
        ),
    ),
)

R6 = Report(
    "R6",
    "Tegra: graphics tests",
    "Jon Hunter, 8 and 9 April 2026",
    "his mails; first bad e47c897a2949, confirmed by its revert",
    "Tegra, some Arm cores. Played: neoverse-n1, 8 CPUs, objects of 64 to 1024 B",
    (
        Row(
            "7.0 over 6.19",
            1 / 1.25,
            1 / 1.25,
            tuple(
                pair("linux-6.18", "linux-7.0", burst(objects, 8, 1, "neoverse-n1", object_size=size))
                for objects, size in ((64, 64), (512, 64), (64, 1024), (512, 1024))
            ),
        ),
    ),
)

R8 = Report(
    "R8",
    "gains of 7.2: batch detach, deferred freelist",
    "0fc52deec106, dc795d4c0282 (third-party digest)",
    "the commits' texts as digested",
    "not told. Played: epyc-2022",
    (
        Row(
            "will-it-scale mmap, 7.2 over 7.1",
            1.02,
            1.05,
            tuple(
                pair("linux-7.1", "linux-7.2", burst(size, 192, 2, think=think))
                for size, think in ((384, 0), (384, 1000))
            ),
        ),
        Row(
            "new slabs, allocated and freed (the commit's own microbenchmark: −42.6 to −70.5 % ns an object)",
            None,
            None,
            (pair("linux-7.1", "linux-7.2", burst(65536, 1, 1, bursts=2)),),
        ),
    ),
)

R9 = Report(
    "R9",
    "an emptied main sheaf becomes the spare",
    "4b038a967015; LKP (a gain), Zhao Liu (a loss on two sockets of three sub-nodes each)",
    "their mails, no ratio",
    "–",
    lacking="there is no switch that takes this one commit out of 7.0, and no ratio was published",
)
