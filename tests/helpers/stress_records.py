"""Made-up run records: the shape the coordinator fills, with figures that tests choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from allocators.catalogue import SLUB
from scenarios.tape import SECTIONS
from stress.engine import PATHS
from stress.measure.records import Block, Census, Latencies, Pinned, RunRecord, SectionSum
from stress.measure.turns import Turns

SWITCHES = {
    "linux-3.16": ["F_OBO"],
    "v1": ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "F_OBO"],
    "v3": ["P1", "P2", "P3v3", "P4v3", "P7v3", "F_OBO", "F_NP", "F_RCU"],
}
MS = 1_000_000


def block(
    design: str, pair: int, live_ns: float = 10.0, dead_ns: float = 20.0, *, cpus: int = 2, **fields: Any
) -> Block:
    """A block in which every CPU freed 1000 live objects in live_ns each and 100 dead ones in dead_ns each."""
    sections = {
        "live": [SectionSum(1000, 1000 * live_ns, 10) for _ in range(cpus)],
        "dead": [SectionSum(100, 100 * dead_ns, 5) for _ in range(cpus)],
        "alloc": [SectionSum() for _ in range(cpus)],
        "mixed": [SectionSum() for _ in range(cpus)],
    }
    return Block(
        **{"design": design, "pair": pair, "warmup": False, "wall_ns": 100 * MS, "sections": sections, **fields}
    )


def launch(
    *, designs: int = 3, cpus: int = 2, storms: int = 3, turns: int = 4, interrupted: int = 0, seed: int = 0
) -> Turns:
    """The turns of a launch in which each takes about 1 ms, all sections of frees; of 96 such, `interrupted` under the
    first design were left out."""
    shape = (storms, designs, cpus, turns)
    of_frees = np.array([kind in ("live", "dead") for kind in SECTIONS])
    noise = np.random.default_rng(seed).uniform(0.95, 1.05, (*shape, 1))
    left_out = np.zeros(shape, np.int64)
    left_out[0, 0, 0, 0] = interrupted
    return Turns(
        nanoseconds=1e5 * noise * of_frees,
        operations=np.tile(1000 * of_frees, (cpus, turns, 1)),
        sections=np.tile(2 * of_frees, (cpus, turns, 1)),
        left_out=left_out,
        switches=left_out,
        took=np.full((storms, designs, turns), 1.0 * MS),
        position=np.zeros((storms, designs, turns), np.int64),
    )


def latencies(ns: float) -> Latencies:
    """Ten thousand operations around `ns`, and a few that took long."""
    return Latencies({ns / 10: 1000, ns: 8000, 5 * ns: 989, 100 * ns: 10, 4e6: 1}, 4.1e6)


def curve(dead: int, pages: int = 0, cgroups: int = 0) -> list[Pinned]:
    """What is dead and pinned over 200 ms, in the end so much."""
    return [*(Pinned(10 * i * MS, 2 * i, 9 * i, i) for i in range(20)), Pinned(200 * MS, dead, pages, cgroups)]


def census(design: str, **fields: Any) -> Census:
    """One counted pass with 41 dead caches, all destroyed, and 1,000,000 frees."""
    given: dict[str, Any] = {
        "design": design,
        "offlined": 41,
        "destroyed": 41,
        "left": 0,
        "lifetimes_ns": [i * MS for i in range(1, 42)],
        "empty_slabs": {"cpu_slab": 0, "cpu_partial": 0, "node_partial": 0},
        "slabs_left": 0,
        "pages_left": 0,
        "frees": 1_000_000,
        "dead_frees": 50_000,
        "allocations": 1_000_000,
        "failed_allocations": 0,
        "stats": dict.fromkeys(SLUB.statistics, 0)
        | {"free_fastpath": 900_000, "free_slowpath": 100_000, "free_frozen": 12_345},
        "operations": {
            "list_lock": 20_000,
            "list_lock_contended": 10,
            "page_cas": 110_000,
            "page_cas_failed": 7,
            "ipi": 3,
        },
        "checked": ["I1", "I2", "pages"],
        "violated": [],
        "cgroups_pinned": 0,
        "latencies": {path: latencies(20.0 * (number + 1)) for number, path in enumerate(PATHS)},
        "clock_ns": 9.2,
        "pinned": curve(0),
    }
    return Census(**{**given, **fields})


def leak(design: str = "linux-3.16", left: int = 41, **fields: Any) -> Census:
    """A counted pass in which `left` of 41 dead caches stay, with 118 empty slabs."""
    given: dict[str, Any] = {
        "destroyed": 41 - left,
        "left": left,
        "lifetimes_ns": [i * MS for i in range(1, 42 - left)],
        "empty_slabs": {"cpu_slab": 0, "cpu_partial": 100, "node_partial": 18},
        "slabs_left": 118,
        "pages_left": 236,
        "cgroups_pinned": 9,
        "pinned": curve(left, 236, 9),
    }
    return census(design, **{**given, **fields})


def record(
    *,
    pairs: int = 8,
    live_ns: dict[str, float] | None = None,
    noise: Sequence[float] = (1.0, 1.01, 0.99),
    **fields: Any,
) -> RunRecord:
    """A whole run: before leaks, v1 leaves 3, v3 none; every design took live_ns per free of a live object.

    Unless fields say otherwise each pair of its blocks is a launch; without launches it is a record of old.

    noise: factors of time, one per pair in turn, the same for all designs of a pair.
    """
    live_ns, switches = live_ns or {}, fields.get("switches", SWITCHES)
    blocks = [block(design, -1, warmup=True) for design in switches]
    for pair in range(pairs):
        slow = noise[pair % len(noise)]
        blocks += [block(design, pair, live_ns.get(design, 10.0) * slow, 20.0 * slow) for design in switches]
    given: dict[str, Any] = {
        "scenario": "offline-storm",
        "parameters": {"cgroups": 64},
        "allocator": "slub",
        "seed": 1,
        "cpus": 2,
        "nodes": 1,
        "serial": False,
        "baseline": "linux-3.16",
        "switches": SWITCHES,
        "blocks": blocks,
        "censuses": [
            leak(),
            leak("v1", 3, empty_slabs={"cpu_slab": 0, "cpu_partial": 5, "node_partial": 0}, slabs_left=5),
            census("v3"),
        ],
        "seconds": 21.5,
        "command": "python -m stress run",
        "machine": {
            "cpu": "Model CPU",
            "kernel": "Linux 6.1",
            "python": "CPython 3.11",
            "numba": "0.61",
            "numpy": "2.0",
        },
    }
    record = RunRecord(**{**given, **fields})
    if "launches" not in fields and not record.serial:
        numbers = {block.pair for block in record.blocks if not block.warmup}
        record.launches = [launch(designs=len(record.switches), seed=number) for number in sorted(numbers)]
    return record


TRACE = {
    "format": "linux-3.16 slab events",
    "operations": 1_234_567,
    "fast_slow_agreement": 0.99731,
    "caches_total": 120,
    "caches_within_1": 118,
    "slabs": {"created": [5000, 5003], "discarded": [4000, 3990]},
    "marks": [{"name": "boot", "predicted": 900, "recorded": 901}],
    "worst": [{"cache": "dentry", "predicted": 70, "recorded": 75}],
    "unplaced": {"free before the trace began": 17},
}
