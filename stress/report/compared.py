"""What `compare` prints as JSON. Its version changes as that of a result does."""

from __future__ import annotations

import msgspec

from stress.report.compare import Comparison
from stress.result.data import Result
from stress.result.listed import SCHEMA_VERSION


class ComparedRow(msgspec.Struct, kw_only=True, frozen=True):
    """A row of the table, set for people: its cells are in the order of the columns."""

    label: str
    cells: list[str]


class ComparedGroup(msgspec.Struct, kw_only=True, frozen=True):
    """Rows under a title."""

    title: str
    rows: list[ComparedRow]


class Compared(msgspec.Struct, kw_only=True, frozen=True):
    """A comparison of runs. results: the runs in the order they were named, whole; columns name them by number from 1."""  # noqa: E501

    schema_version: str = SCHEMA_VERSION
    columns: list[str]
    groups: list[ComparedGroup]
    differences: list[str]
    findings: list[str]
    results: list[Result]


def compared(comparison: Comparison) -> Compared:
    """A comparison as data."""
    return Compared(
        columns=list(comparison.columns),
        groups=[
            ComparedGroup(
                title=group.title, rows=[ComparedRow(label=row.label, cells=list(row.cells)) for row in group.rows]
            )
            for group in comparison.groups
        ],
        differences=list(comparison.differences),
        findings=list(comparison.findings),
        results=list(comparison.results),
    )
