"""What is on disk: results by key, which studies share, and a study's catalogue. Both are SQLite in WAL mode.

A result is there whole or not at all (a transaction), and is written once (INSERT OR IGNORE). Which jobs of a study are
done is not noted anywhere: it is which of their keys have a result, so the two cannot disagree whoever is killed when.
SQLite's WAL needs shared memory between its users: keep these files on a local disk, not on a network's.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zstandard

from stress.campaign import jobs
from stress.campaign.outcome import KEPT, Reply
from stress.campaign.plan import Planned
from stress.process.errors import DamagedRun, UsageError

T = TypeVar("T")

CATALOGUE = "catalogue.sqlite"
STORE = "results.sqlite"
STUDY = "study.toml"
FORMAT = 1
_BUSY_SECONDS = 60.0
_KEPT_ROW = tuple[int, str, str, str, str, bytes, int, float]
_PAGE = 500  # jobs that are looked up at once
_NOT_KEPT = "failures f WHERE NOT EXISTS (SELECT 1 FROM store.results r WHERE r.key = f.key)"
_RESULTS = """
CREATE TABLE IF NOT EXISTS store.results (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, status TEXT NOT NULL, body BLOB NOT NULL,
    host INTEGER NOT NULL, seconds REAL NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS store.hosts (host INTEGER PRIMARY KEY, description TEXT NOT NULL UNIQUE);
"""
_CATALOGUE = """
CREATE TABLE jobs (number INTEGER PRIMARY KEY, key TEXT NOT NULL, job TEXT NOT NULL, point TEXT NOT NULL);
CREATE INDEX jobs_by_key ON jobs (key);
CREATE TABLE failures (key TEXT PRIMARY KEY, status TEXT NOT NULL, text TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE skipped (why TEXT PRIMARY KEY, points INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A job without a result, and why."""

    key: str
    status: str
    text: str
    job: jobs.Job


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A job and its result. body: the outcome as JSON."""

    number: int
    key: str
    job: jobs.Job
    point: dict[str, Any]
    status: str
    body: bytes
    host: int
    seconds: float


class FullDisk(DamagedRun):
    """There is no room for a result; everything before it is kept."""


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Says a full disk, or one that cannot be written, as what it is."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or "disk I/O" in text:
            raise FullDisk(
                f"{folder}: no room for results ({text}); what is done is kept: free some space, then "
                f"`python -m stress campaign resume {folder}`"
            ) from None
        raise DamagedRun(f"{folder}: {text}") from None


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Says what cannot be read of a catalogue or of results, whatever has changed in the file, as what it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):  # locked, or no room for it
            raise DamagedRun(f"{path}: {error}") from None
        raise DamagedRun(f"{path}: is damaged ({error}); put back a copy, or begin anew in another folder") from None
    except (msgspec.MsgspecError, zstandard.ZstdError, UnicodeError) as error:
        raise DamagedRun(f"{path}: is damaged ({error}); put back a copy, or begin anew in another folder") from None


class Campaign:
    """A study's folder. One process at a time may hold it for writing."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, store: Path) -> None:
        self.folder, self.store = folder, store
        self._db = connection
        self._pack = zstandard.ZstdCompressor(level=3)
        self._unpack = zstandard.ZstdDecompressor()

    @classmethod
    def create(
        cls, folder: Path, store: Path, text: bytes, planned: Iterable[Planned], facts: dict[str, str]
    ) -> Campaign:
        """A new one, there as a whole or not at all. Raises UsageError when the folder has one already."""
        if (folder / CATALOGUE).exists() and _has_jobs(folder / CATALOGUE):
            raise UsageError(
                f"{folder} has a campaign already: `python -m stress campaign resume {folder}` goes on with it, "
                "--out names another folder"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            store.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {folder}: cannot be made: {error.strerror}") from None
        for left in folder.glob(f"{CATALOGUE}*"):  # of one that was killed while it was made
            left.unlink()
        with _room(folder):
            made = cls(folder, _connect(folder / CATALOGUE, store), store)
            facts = facts | {"format": str(FORMAT), "store": os.path.relpath(store, folder), "study": text.decode()}
            with made._db:  # one transaction
                made._db.execute("BEGIN IMMEDIATE")
                for statement in filter(str.strip, _CATALOGUE.split(";")):
                    made._db.execute(statement)
                made._db.executemany(
                    "INSERT INTO jobs VALUES (?, ?, ?, ?)",
                    (
                        (one.number, one.key, jobs.encode(one.job).decode(), msgspec.json.encode(one.point).decode())
                        for one in planned
                    ),
                )
                made._db.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        (folder / STUDY).write_bytes(text)
        return made

    @classmethod
    def open(cls, folder: Path) -> Campaign:
        """One that exists. Raises UsageError when there is none."""
        path = folder / CATALOGUE
        if not path.is_file() or not _has_jobs(path):
            raise UsageError(
                f"{folder}: there is no campaign; `python -m stress campaign run STUDY --out {folder}` makes one"
            )
        with _whole(path), contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as db:
            facts = dict(msgspec.convert(db.execute("SELECT name, value FROM facts").fetchall(), list[tuple[str, str]]))
        if facts.get("format") != str(FORMAT):
            raise UsageError(f"{folder}: is of format {facts.get('format')}, this program reads {FORMAT}")
        if "\0" in facts.get("store", "\0"):
            raise DamagedRun(f"{path}: is damaged (it does not name its results)")
        store = (folder / facts["store"]).resolve()
        if not store.is_file():
            raise UsageError(f"{store}: is missing, and has the results of {folder}; put it back")
        return cls(folder, _connect(path, store), store)

    def close(self) -> None:
        self._db.close()

    def fact(self, name: str) -> str:
        """Something noted when the campaign was made: "study", "identity", "command"; "" if it was not."""
        rows = self._rows(tuple[str], "SELECT value FROM facts WHERE name = ?", name)
        return rows[0][0] if rows else ""

    def noted(self, name: str, kind: type[T], missing: str) -> T:
        """A fact that is JSON, of this type; `missing` where it was not noted. Raises DamagedRun."""
        with _whole(self.folder):
            return msgspec.json.decode(self.fact(name) or missing, type=kind)

    def note(self, **facts: object) -> None:
        """Note facts, over those of the same names."""
        with _room(self.folder), self._db:
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", [(n, str(v)) for n, v in facts.items()])

    def note_skipped(self, skipped: dict[str, int]) -> None:
        """Points that cannot be played, by why."""
        with _room(self.folder), self._db:
            self._db.executemany("INSERT OR REPLACE INTO skipped VALUES (?, ?)", skipped.items())

    def skipped(self) -> dict[str, int]:
        return dict(self._rows(tuple[str, int], "SELECT why, points FROM skipped ORDER BY points DESC, why"))

    def keep(self, replies: Iterable[Reply], kind: str) -> None:
        """Results and failures of one moment, in one transaction. Raises FullDisk."""
        with _room(self.folder), self._db:
            for reply in replies:
                if reply.status in KEPT:
                    self._db.execute(
                        "INSERT OR IGNORE INTO store.results VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (
                            reply.key,
                            kind,
                            reply.status,
                            self._pack.compress(reply.body),
                            self._host(reply.host),
                            reply.seconds,
                            time.time(),
                        ),
                    )
                    self._db.execute("DELETE FROM failures WHERE key = ?", (reply.key,))
                else:
                    self._db.execute(
                        "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)",
                        (reply.key, reply.status, reply.text, time.time()),
                    )

    def _host(self, description: dict[str, Any]) -> int:
        text = msgspec.json.encode(description, order="sorted").decode()
        self._db.execute("INSERT OR IGNORE INTO store.hosts (description) VALUES (?)", (text,))
        return self._db.execute("SELECT host FROM store.hosts WHERE description = ?", (text,)).fetchone()[0]

    def hosts(self) -> dict[int, dict[str, Any]]:
        """Descriptions of the machines that played jobs of this study, by number."""
        rows = self._rows(
            tuple[int, str],
            "SELECT DISTINCT h.host, h.description FROM jobs JOIN store.results USING (key)"
            " JOIN store.hosts h USING (host)",
        )
        with _whole(self.folder):
            return {host: msgspec.json.decode(text, type=dict[str, Any]) for host, text in rows}

    def forget_failures(self) -> int:
        """So that they are tried again; how many there were."""
        with _room(self.folder), self._db:
            return self._db.execute("DELETE FROM failures").rowcount

    def to_do(self) -> Iterator[tuple[int, str, bytes, dict[str, Any]]]:
        """(number, key, job, point) of the jobs without a result or a failure, in order, looked up as one goes on."""
        last = -1
        while page := self._rows(
            tuple[int, str, str, str],
            "SELECT number, key, job, point FROM jobs j WHERE number > ?"
            " AND NOT EXISTS (SELECT 1 FROM store.results r WHERE r.key = j.key)"
            " AND NOT EXISTS (SELECT 1 FROM failures f WHERE f.key = j.key) ORDER BY number LIMIT ?",
            last,
            _PAGE,
        ):
            for number, key, job, point in page:
                with _whole(self.folder):
                    decoded = msgspec.json.decode(point, type=dict[str, Any])
                yield number, key, job.encode(), decoded
            last = page[-1][0]

    def kept(self) -> Iterator[Kept]:
        """All jobs that have a result, in order."""
        with _whole(self.folder):
            rows = self._db.cursor().execute(
                "SELECT number, key, job, point, status, body, host, seconds FROM jobs JOIN store.results USING (key)"
                " ORDER BY number"
            )
        while True:
            with _whole(self.folder):
                if (row := rows.fetchone()) is None:
                    return
                number, key, job, point, status, body, host, seconds = msgspec.convert(row, _KEPT_ROW)
                kept = Kept(
                    number=number, key=key, job=jobs.decode(job.encode()), status=status, host=host, seconds=seconds,
                    point=msgspec.json.decode(point, type=dict[str, Any]), body=self._unpack.decompress(body),
                )  # fmt: skip
            yield kept

    def failures(self) -> list[Failure]:
        rows = self._rows(
            tuple[str, str, str, str],
            f"SELECT j.key, status, text, job FROM (SELECT * FROM {_NOT_KEPT}) JOIN jobs j USING (key)"
            " GROUP BY j.key ORDER BY number",
        )
        with _whole(self.folder):
            return [Failure(key=k, status=s, text=t, job=jobs.decode(j.encode())) for k, s, t, j in rows]

    def counts(self) -> dict[str, int]:
        """Jobs by what became of them: "done", "violated", the failures' names, and "all"."""
        found = {"all": self._one("SELECT count(*) FROM jobs")}
        for joined in ("store.results", f"(SELECT * FROM {_NOT_KEPT})"):
            query = f"SELECT status, count(*) FROM jobs JOIN {joined} USING (key) GROUP BY status"
            found |= dict(self._rows(tuple[str, int], query))
        return found

    def lately(self, seconds: float) -> tuple[int, float]:
        """How many results came in so many seconds before now, and the seconds since the first of them."""
        now = time.time()
        ((count, first),) = self._rows(
            tuple[int, float | None],
            "SELECT count(*), min(at) FROM jobs JOIN store.results USING (key) WHERE at > ?",
            now - seconds,
        )
        return count, 0.0 if first is None else now - first

    def mean_seconds(self) -> float | None:
        """That a job of this study took on its worker."""
        return self._one("SELECT avg(seconds) FROM jobs JOIN store.results USING (key)")

    def _one(self, query: str) -> Any:
        with _whole(self.folder):
            return self._db.execute(query).fetchone()[0]

    def _rows(self, kind: Any, query: str, *values: object) -> list[Any]:
        """All rows of a query, each a tuple of this type. Raises DamagedRun for what is not as it was written."""
        with _whole(self.folder):
            return msgspec.convert(self._db.execute(query, values).fetchall(), list[kind])


def seconds_by_kind(store: Path, kind: str) -> tuple[float, float, int] | None:
    """(mean seconds, mean bytes, how many) of results of a kind in a store; None if there are none."""
    if not store.is_file():
        return None
    with (
        _whole(store),
        contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as db,
    ):
        try:
            row = db.execute(
                "SELECT avg(seconds), avg(length(body)), count(*) FROM results WHERE kind = ?", (kind,)
            ).fetchone()
        except sqlite3.OperationalError:  # not made yet
            return None
    return row if row[2] else None


def have(store: Path, keys: Iterable[str]) -> int:
    """How many of these keys have a result in a store."""
    if not store.is_file():
        return 0
    with (
        _whole(store),
        contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as db,
    ):
        try:
            known = {key for (key,) in db.execute("SELECT key FROM results")}
        except sqlite3.OperationalError:
            return 0
    return sum(key in known for key in keys)


def _has_jobs(path: Path) -> bool:
    """A catalogue that was killed while it was made has no table."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as db:
            return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone() is not None
    except sqlite3.DatabaseError:
        return False


def _connect(path: Path, store: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        db.execute("ATTACH DATABASE ? AS store", (str(store),))
        for name in ("main", "store"):
            db.execute(f"PRAGMA {name}.journal_mode = WAL")
            db.execute(f"PRAGMA {name}.synchronous = FULL")  # what is committed outlives a power cut
        with db:
            db.executescript(_RESULTS)
    except sqlite3.DatabaseError as error:
        db.close()
        raise UsageError(f"{path} or {store}: is no catalogue of campaigns ({error})") from None
    return db
