"""What launches measured, for other programs: CSV, and the text format of Go benchmarks that benchstat reads."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from stress.report.table import order
from stress.result.data import BlockSample, Result

RATES = ("live", "dead", "alloc", "mixed")
BENCHMARKS = {"live": "Free/live", "dead": "Free/dead", "alloc": "Alloc", "mixed": "Mixed"}
COLUMNS = (
    "run_id", "block", "design", "pair", "warmup", "wall_seconds", "frees_per_second_live", "frees_per_second_dead",
    "frees_per_second_all", "alloc_per_second", "mixed_per_second", "involuntary_switches", "steal_ticks",
    "waited_seconds", "failed_allocations", "grade", "reasons",
)  # fmt: skip


def samples_csv(result: Result) -> str:
    """A row per launch and design in the order of play, warm-up included; what was not measured is empty.

    pair: the number of the launch from 0, or of a pair of blocks in old results; wall_seconds: of the design's turns.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(block_rows(result))
    return stream.getvalue()


def block_rows(result: Result) -> Iterator[tuple[object, ...]]:
    """The values of `COLUMNS` for each launch and design; None where something was not measured."""
    for number, block in enumerate(result.blocks):
        frees, others = block.frees_per_second, block.operations_per_second
        yield (
            result.run_id, number, block.design, block.pair, int(block.warmup), block.wall_seconds,
            frees.live, frees.dead, frees.all, others.alloc, others.mixed,
            block.involuntary_switches, block.steal_ticks, block.waited_seconds, block.failed_allocations,
            block.grade, "; ".join(block.reasons),
        )  # fmt: skip


def benchstat(result: Result) -> str:
    """A line per launch, design and kind of section, for `benchstat -col /design`.

    As in Go's parallel benchmarks ns/op is time over the operations of all CPUs together, and the number
    behind the name that of CPUs. The count of iterations is 1: a line is a launch.
    """
    keys = {
        "cpu": result.machine.get("cpu", ""), "kernel": result.machine.get("kernel", ""),
        "allocator": result.allocator, "scenario": result.scenario,
    }  # fmt: skip
    lines = [f"{key}: {' '.join(str(value).split())}" for key, value in keys.items() if value]
    lines += [
        f"Benchmark{_name(kind, design)}-{result.cpus} 1 {1e9 / rate:.4f} ns/op"
        for design, kind, rate in _measured(result)
    ]
    return "\n".join(lines) + "\n"


def _measured(result: Result) -> Iterator[tuple[str, str, float]]:
    """(design, kind, operations per second), all launches of a kind and design together."""
    for kind in RATES:
        for design in order(result):
            for block in result.blocks:
                rate = rate_of(block, kind)
                if block.design == design and not block.warmup and rate:
                    yield design, kind, rate


def rate_of(block: BlockSample, kind: str) -> float | None:
    """A launch's rate of one of `RATES`, operations per second."""
    return getattr(block.frees_per_second if kind in ("live", "dead") else block.operations_per_second, kind)


def _name(kind: str, design: str) -> str:
    """A benchmark's name, which a space would end and a slash divide."""
    return f"{BENCHMARKS[kind]}/design={re.sub(r'[^A-Za-z0-9_.+=-]', '_', design)}"
