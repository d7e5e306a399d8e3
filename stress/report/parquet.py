"""The samples of a result as Parquet files: what launches measured, the latencies, and what was pinned over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stress.process.errors import UsageError
from stress.report.export import COLUMNS, block_rows
from stress.report.table import order
from stress.result.data import TAIL_STEPS, Result

if TYPE_CHECKING:
    import pyarrow

Columns = dict[str, list[Any]]
FILES = ("blocks.parquet", "latency.parquet", "over_time.parquet")


def write_parquet(result: Result, folder: Path) -> list[Path]:
    """Write `FILES` into the folder and return their paths.

    Every table names its run, so that those of many can be joined.
    Raises UsageError when pyarrow is not installed, OSError when a file cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed: pip install 'slab-stress[parquet]'"
        ) from None
    paths = []
    for name, (columns, types) in zip(FILES, (_blocks(result), _latency(result), _over_time(result)), strict=True):
        paths.append(folder / name)
        pyarrow.parquet.write_table(_table(pyarrow, columns, types), paths[-1])
    return paths


def _table(arrow: pyarrow, columns: Columns, types: dict[str, str]) -> pyarrow.Table:
    """Types are given, so that files of runs that lack a figure have the same columns."""
    kinds = {"text": arrow.string(), "whole": arrow.int64(), "real": arrow.float64(), "truth": arrow.bool_()}
    return arrow.table(
        {name: arrow.array(values, type=kinds[types.get(name, "real")]) for name, values in columns.items()}
    )


def _blocks(result: Result) -> tuple[Columns, dict[str, str]]:
    rows = list(block_rows(result))
    columns: Columns = {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}
    columns["warmup"] = [bool(value) for value in columns["warmup"]]
    whole = ("block", "pair", "involuntary_switches", "steal_ticks", "failed_allocations")
    return columns, dict.fromkeys(("run_id", "design", "grade", "reasons"), "text") | dict.fromkeys(whole, "whole") | {
        "warmup": "truth"
    }


def _latency(result: Result) -> tuple[Columns, dict[str, str]]:
    """A row per design, path and point of the tail: a share of the operations took longer than so many ns."""
    columns: Columns = {name: [] for name in ("run_id", "design", "path", "operations", "share_longer", "ns")}
    for design in order(result):
        for path, latency in result.designs[design].latency_ns.items():
            points = [(10 ** (-step / TAIL_STEPS), ns) for step, ns in enumerate(latency.tail)]
            for share, ns in (*points, (0.0, latency.max)):
                for name, value in zip(
                    columns, (result.run_id, design, path, latency.operations, share, ns), strict=True
                ):
                    columns[name].append(value)
    return columns, dict.fromkeys(("run_id", "design", "path"), "text") | {"operations": "whole"}


def _over_time(result: Result) -> tuple[Columns, dict[str, str]]:
    """A row per design and sample of its counted pass."""
    counts = ("dead_caches", "pages_pinned", "cgroups_pinned")
    columns: Columns = {name: [] for name in ("run_id", "design", "seconds", *counts)}
    for design in order(result):
        if (course := result.designs[design].over_time) is not None:
            columns["run_id"] += [result.run_id] * len(course.seconds)
            columns["design"] += [design] * len(course.seconds)
            for name in ("seconds", *counts):
                columns[name] += getattr(course, name)
    return columns, dict.fromkeys(("run_id", "design"), "text") | dict.fromkeys(counts, "whole")
