"""What `results list` prints as JSON. Its version changes as that of a result does."""

from __future__ import annotations

from pathlib import Path

import msgspec

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


def listed(runs: list[Run], out: Path) -> RunList:
    """The runs of a folder as data."""
    return RunList(folder=str(out), runs=[_listed(run) for run in runs])


def _listed(run: Run) -> ListedRun:
    known = ListedRun(id=run.id, folder=str(run.folder), created=run.created.isoformat(timespec="seconds"))
    of = run.summary
    if of is None:
        return msgspec.structs.replace(known, damage=run.damage)
    designs = sorted(of.designs, key=lambda name: name != of.baseline)
    return msgspec.structs.replace(
        known,
        scenario=of.scenario,
        allocator=of.allocator,
        designs=designs,
        seconds=of.seconds,
        partial=of.partial,
        trust=of.trust.grade,
    )
