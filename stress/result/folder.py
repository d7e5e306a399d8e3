"""A folder of results: which runs are in it, how one of them is named, and removing old ones.

A run's folder is one that holds a `result.json`; everything else in the folder is let alone, and links
are not followed.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from stress.process.errors import UsageError
from stress.process.files import read_input
from stress.process.usage import did_you_mean
from stress.result.data import Trust
from stress.result.files import BAD_JSON, FILE_NAME

LAST = "last"
TURNS_FILES = ("turns.parquet", "turns.npz")  # every turn of a run; see `stress.measure.turns_file`
OWN_FILES = frozenset(
    {FILE_NAME, "report.html", "blocks.parquet", "latency.parquet", "over_time.parquet", *TURNS_FILES}
)


class Summary(msgspec.Struct, kw_only=True, frozen=True):
    """The part of a result that a list shows; the rest of the file is skipped."""

    created: str = ""
    scenario: str
    allocator: str
    baseline: str
    designs: dict[str, msgspec.Raw]
    seconds: float
    partial: bool
    trust: Trust


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run's folder. created: when it ended. summary: None when the result cannot be read; `damage` says why."""

    folder: Path
    created: datetime.datetime
    summary: Summary | None
    damage: str = ""

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.folder.name


@dataclasses.dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` removed, or would remove, and what it left although it was asked to, with the reason."""

    removed: list[Run]
    kept: list[tuple[Run, str]]


def runs(out: Path) -> list[Run]:
    """All runs in a results folder, the oldest first.

    Raises UsageError when there is no such folder or it cannot be read.
    """
    try:
        folders = [entry for entry in out.iterdir() if not entry.is_symlink() and (entry / FILE_NAME).is_file()]
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be read: {error.strerror}; give the folder that runs wrote to") from None
    return sorted(map(_read, folders), key=lambda run: (run.created, run.id))


def _read(folder: Path) -> Run:
    path = folder / FILE_NAME
    written = datetime.datetime.fromtimestamp(0, datetime.UTC)
    try:
        written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
        summary = msgspec.json.decode(read_input(path), type=Summary)
    except (OSError, UsageError, ValueError, OverflowError, *BAD_JSON) as error:
        return Run(folder, written, None, str(error))
    try:
        created = datetime.datetime.fromisoformat(summary.created)
    except ValueError:
        created = written
    return Run(folder, created if created.tzinfo else written, summary)


def find(name: str, out: Path) -> Path:
    """The `result.json` that a user means by a path, a run id, the unique beginning or end of one, or `last`.

    Raises UsageError when nothing, or more than one run, goes by that name.
    """
    for path in (Path(name), Path(name) / FILE_NAME):
        try:
            if path.is_file():
                return path
        except OSError:  # too long for a file's name, or in a folder that may not be searched: perhaps a run's id
            pass
    known = runs(out) if out.is_dir() else []
    if name == LAST and known:
        return known[-1].folder / FILE_NAME
    meant = [run for run in known if run.id == name] or [
        run for run in known if run.id.startswith(name) or run.id.endswith(name)
    ]
    if len(meant) == 1:
        return meant[0].folder / FILE_NAME
    if meant:
        which = _some([run.id for run in meant])
        raise UsageError(f"RUN {name!r} fits {len(meant)} runs in --out {out}: {which}; give more of the id")
    where = f"--out {out} has {_some([run.id for run in reversed(known)])}" if known else f"--out {out} has no runs"
    near = f"; {near}?" if (near := did_you_mean(name, [run.id for run in known])) else ""
    raise UsageError(f"RUN {name!r}: no such file, folder or run; {where}{near}")


def _some(names: Sequence[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def prune(
    out: Path,
    *,
    keep: int | None = None,
    older_than_days: float | None = None,
    dry_run: bool = False,
    now: datetime.datetime | None = None,
) -> Pruned:
    """Remove runs: all but the newest `keep`, or those older than so many days, or those that are both.

    A folder that holds anything but what a run writes stays, as does one that cannot be removed, and one whose
    result cannot be read, which may be another program's; such a one does not count among the newest. dry_run:
    only say what would go. Raises UsageError when neither limit is given, one is negative, or there is no such folder.
    """
    if keep is None and older_than_days is None:
        raise UsageError(
            "say what may go: --keep N leaves the newest N runs, --older-than DAYS those of the last DAYS days"
        )
    for option, value in (("--keep", keep), ("--older-than", older_than_days)):
        if value is not None and not 0 <= value < 1e5:
            raise UsageError(f"{option} {value}: must be a number from 0 to 99999")
    known = runs(out)
    ours = [run for run in known if run.summary is not None]
    newest = {run.id for run in ours[max(0, len(ours) - keep) :]} if keep is not None else set()
    candidates = [run for run in known if run.id not in newest]
    if older_than_days is not None:
        limit = (now or datetime.datetime.now(datetime.UTC)) - datetime.timedelta(days=older_than_days)
        candidates = [run for run in candidates if run.created < limit]
    result = Pruned([], [])
    remove: Callable[[Path], str] = _obstacle if dry_run else _remove
    for run in candidates:
        if why := remove(run.folder) if run.summary is not None else f"its {FILE_NAME} cannot be read as a run's":
            result.kept.append((run, why))
        else:
            result.removed.append(run)
    return result


def _foreign(folder: Path) -> str:
    """What is in a run's folder that no run writes there, for people, or ""; a run writes plain files, no links."""
    foreign = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in OWN_FILES or entry.is_symlink() or not entry.is_file()
    )
    return f"it also holds {_some(foreign)}" if foreign else ""


def _obstacle(folder: Path) -> str:
    """Why a run's folder is not to be removed, or ""."""
    try:
        return _foreign(folder)
    except OSError as error:
        return f"it cannot be removed: {error.strerror}"


def _remove(folder: Path) -> str:
    """Remove a run's folder; why it was not removed, or ""."""
    try:
        if why := _foreign(folder):
            return why
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == FILE_NAME):
            entry.unlink()  # the result last: what is left of a removal that breaks off is still a run
        folder.rmdir()
    except OSError as error:
        return f"it cannot be removed: {error.strerror}"
    return ""
