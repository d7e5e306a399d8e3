"""What `results list` and `compare` print as JSON. Their versions change as that of a result does."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stress.report.compare import Comparison
from stress.result.data import Result, plain_value
from stress.result.folder import Run

SCHEMA_VERSION = "1"


class ListedRun(msgspec.Struct, kw_only=True, frozen=True):
    """One run. created: UTC, ISO 8601. damage: why its result cannot be read; then all below it is null."""

    id: str
    folder: str
    created: str
    damage: str | None = None
    scenario: str | None = None
    allocator: str | None = None
    designs: list[str] | None = None
    seconds: float | None = None
    partial: bool | None = None
    trust: str | None = None


class RunList(msgspec.Struct, kw_only=True, frozen=True):
    """The runs of a folder, the oldest first."""

    schema_version: str = SCHEMA_VERSION
    folder: str
    runs: list[ListedRun]


class ComparedRow(msgspec.Struct, kw_only=True, frozen=True):
    """A row of the table, set for people: its cells are in the order of the columns."""

    label: str
    cells: list[str]


class ComparedGroup(msgspec.Struct, kw_only=True, frozen=True):
    """Rows under a title."""

    title: str
    rows: list[ComparedRow]


class Compared(msgspec.Struct, kw_only=True, frozen=True):
    """A comparison of runs. results: the runs in the order they were named, whole; columns name them by number from 1."""

    schema_version: str = SCHEMA_VERSION
    columns: list[str]
    groups: list[ComparedGroup]
    differences: list[str]
    findings: list[str]
    results: list[Result]


def listed(runs: list[Run], out: Path) -> RunList:
    """The runs of a folder as data."""
    return RunList(folder=str(out), runs=[_listed(run) for run in runs])


def _listed(run: Run) -> ListedRun:
    known = {"id": run.id, "folder": str(run.folder), "created": run.created.isoformat(timespec="seconds")}
    of = run.summary
    if of is None:
        return ListedRun(**known, damage=run.damage)
    designs = sorted(of.designs, key=lambda name: name != of.baseline)
    return ListedRun(
        **known, scenario=of.scenario, allocator=of.allocator, designs=designs, seconds=of.seconds, partial=of.partial, trust=of.trust.grade
    )


def compared(comparison: Comparison) -> Compared:
    """A comparison as data."""
    return Compared(
        columns=list(comparison.columns),
        groups=[
            ComparedGroup(title=group.title, rows=[ComparedRow(label=row.label, cells=list(row.cells)) for row in group.rows])
            for group in comparison.groups
        ],
        differences=list(comparison.differences),
        findings=list(comparison.findings),
        results=list(comparison.results),
    )


def encode(data: RunList | Compared) -> str:
    """Indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(data, enc_hook=plain_value), indent=2).decode() + "\n"
