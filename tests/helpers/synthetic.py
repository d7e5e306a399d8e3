"""Run records with chosen numbers for any options: what claims see without anything being played."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from allocators.catalogue import SLUB
from allocators.designs import parse_design
from stress.judge.ratio import Ratio
from stress.measure.records import Block, Census, RunRecord, SectionSum
from stress.play.options import RunOptions
from stress.show.progress import Progress

MS = 1_000_000


def census(design: str, **fields: Any) -> Census:
    """A counted pass of 16 dead caches; fields replace what it holds."""
    sums = {"frees": 1000, "list_lock": 100, "list_lock_contended": 0, "page_cas": 1000, "page_cas_failed": 0}
    given: dict[str, Any] = dict(
        design=design, offlined=16, destroyed=16, left=0, lifetimes_ns=[MS] * 16,
        empty_slabs={"cpu_slab": 0, "cpu_partial": 0, "node_partial": 0}, slabs_left=0, pages_left=0,
        frees=1000, dead_frees=500, allocations=1000, failed_allocations=0,
        stats=dict.fromkeys(SLUB.statistics, 0) | {"cpu_partial_node": 30},
        operations={
            "list_lock": 100, "page_cas": 1000, "this_cpu_cas": 90, "reaper_passes": 10, "reaper_cycles": 10_000,
        },
        checked=["accounting"], violated=[], free_sections={"live": dict(sums), "dead": dict(sums)},
    )  # fmt: skip
    return Census(**given | fields)


def blocks(design: str, pairs: int, factor: float = 1.0) -> list[Block]:
    """Timed blocks whose every operation takes `factor` times 10 ns."""
    sums = {kind: [SectionSum(1000, 1e4 * factor, 1)] * 2 for kind in ("live", "dead", "alloc", "mixed")}
    return [Block(design=design, pair=pair, warmup=False, wall_ns=10 * MS, sections=sums) for pair in range(pairs)]


def record(
    options: RunOptions, *, pairs: int = 6, factors: dict[str, float] | None = None, **of_design: dict[str, Any]
) -> RunRecord:
    """A whole run; of_design: census fields by design (names with underscores for - and +)."""
    names = [options.before, *options.after]
    timed = [b for name in names for b in blocks(name, pairs, (factors or {}).get(name, 1.0))]
    return RunRecord(
        scenario=options.scenario, parameters={}, allocator=options.world.allocator, seed=options.measuring.seed,
        cpus=options.world.cpus or 2,
        nodes=options.world.nodes, serial=options.measuring.serial, baseline=options.before,
        switches={name: parse_design(name).ordered_switches() for name in names},
        blocks=[] if options.measuring.serial else timed,
        censuses=[census(name, **of_design.get(re.sub(r"[-+.]", "_", name), {})) for name in names],
        command=options.command,
    )  # fmt: skip


class StandIn:
    """In the place of `stress.play.coordinator.run`: keeps the options, hands out what `answer` makes of them."""

    def __init__(self, answer: Callable[[RunOptions], RunRecord] = record) -> None:
        self.answer = answer
        self.seen: list[RunOptions] = []

    def __call__(self, options: RunOptions, progress: Progress) -> RunRecord:
        self.seen.append(options)
        progress.phase("playing")
        progress.update(0.5, 1, 2, 3e6, options.before)
        return self.answer(options)


def ratio(low: float, high: float) -> Ratio:
    return Ratio(estimate=(low * high) ** 0.5, low=low, high=high, pairs=8)
