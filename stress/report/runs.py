"""What `results` prints: the runs of a folder as a table, and what was pruned."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from rich import box
from rich.table import Table

from stress.result.folder import Pruned, Run
from stress.show import units
from stress.show.terminal import make_console

COLUMNS = ("run", "allocator", "designs", "took", "trust", "")


def print_runs(runs: list[Run], out: Path, stream: TextIO) -> None:
    """A line per run, the oldest first."""
    printer = make_console(stream)
    if not runs:
        printer.print(f"{out} has no runs: `python -m stress run --out {out}` makes one", soft_wrap=True)
        return
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in COLUMNS:
        drawn.add_column(title, justify="right" if title == "took" else "left", no_wrap=title == "run", overflow="fold")
    for run in runs:
        drawn.add_row(run.id, *_cells(run))
    printer.print(drawn)
    for run in (run for run in runs if run.summary is None):
        printer.print(f"{run.id}: {run.damage}", soft_wrap=True, style="yellow")


def _cells(run: Run) -> tuple[str, ...]:
    of = run.summary
    if of is None:
        return ("", "", "", "", "unreadable")
    designs = sorted(of.designs, key=lambda name: name != of.baseline)
    return of.allocator, " ".join(designs), units.seconds(of.seconds), of.trust.grade, "partial" if of.partial else ""


def print_pruned(pruned: Pruned, out: Path, dry_run: bool, stream: TextIO) -> None:
    """What was removed, a line each, what was left and why, and the sum."""
    printer = make_console(stream)
    did = "would remove" if dry_run else "removed"
    for run in pruned.removed:
        printer.print(f"{did} {run.folder}", soft_wrap=True)
    for run, why in pruned.kept:
        printer.print(f"left {run.folder}: {why}", soft_wrap=True, style="yellow")
    printer.print(f"{did} {units.plural(len(pruned.removed), 'run')} of {out}", soft_wrap=True)
