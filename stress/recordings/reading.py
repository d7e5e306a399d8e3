"""A recording, chunk by chunk: columns of its events, the names in them, and what could not be read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenarios.traces.errors import TraceError
from stress.recordings import pair as p
from stress.recordings import rows as s
from stress.recordings.compiled import compiled
from stress.recordings.source import Source

LINE_LIMIT = 1 << 16  # bytes
ROWS = 1 << 17  # of a chunk, at most
MAX_NAME_BYTES = 1 << 27
MAX_KEYS = 1 << 15
MAX_LIVE = 1 << 28
_CPUS = re.compile(rb"#P:(\d{1,4})|^cpus=(\d{1,4})\s*$|^# nrcpus online : (\d{1,4})", re.M)
_ENTRIES = re.compile(rb"entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
_HEAD = 1 << 16


@dataclasses.dataclass(slots=True)
class Problem:
    """Lines that could not be read: what was expected there, how many, and the first."""

    expected: str
    count: int
    line: int


class Names:
    """Texts of a recording by number, in the order in which they were met."""

    def __init__(self) -> None:
        self.pool = np.zeros(1 << 20, np.uint8)
        self.starts = np.zeros(1 << 14, np.int64)
        self.slots = np.full(1 << 15, -1, np.int64)

    def grow(self, path: Path, line: int, names: int) -> None:
        """Make room. Raises TraceError when a recording has more names than any kernel."""
        if len(self.starts) >= s.MAX_NAMES or len(self.pool) >= MAX_NAME_BYTES:
            raise TraceError(path, line, f"more than {s.MAX_NAMES:,} different names up to here", "cut it into pieces")
        self.pool = np.concatenate([self.pool, np.zeros_like(self.pool)])
        self.starts = np.concatenate([self.starts, np.zeros_like(self.starts)])
        self.slots = np.full(2 * len(self.slots), -1, np.int64)
        compiled("rehash")(self.pool, self.starts, self.slots, names)

    def text(self, number: int) -> str:
        """A name, "" for none."""
        if number < 0:
            return ""
        return bytes(self.pool[self.starts[number] : self.starts[number + 1]]).decode("utf-8", "replace")


@dataclasses.dataclass(slots=True)
class Chunk:
    """Events in their order. rows: [column of `scan`, event]; fate and objects: see `pair.pair`."""

    rows: np.ndarray
    fate: np.ndarray
    objects: np.ndarray


class Reader:
    """Reads a recording once, with bounded memory: `chunks`, and then what is known of the whole.

    Raises TraceError for what cannot be read at all; a line that cannot is counted (`problems`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = Source(path)
        self.names = Names()
        self.state = np.zeros(s.STATE, np.int64)
        self.counts = np.zeros(p.COUNTS, np.int64)
        self.keys = np.zeros((MAX_KEYS, p.KEYS), np.int64)
        self.cpus_said = 0
        self.overwritten = 0
        self.by_kind = np.zeros(len(s.EVENTS), np.int64)
        self.first_time = self.last_time = -1
        self.cpus: set[int] = set()
        self.lost: dict[int, list[int]] = {}  # cpu -> [places, events known, places without a number]
        self.backward = 0
        self._problems = np.zeros((len(s.PROBLEMS), 2), np.int64)
        self._key_slots = np.full(4 * MAX_KEYS, -1, np.int64)
        self._table = _empty(1 << 14)
        self._classes = np.zeros(0, np.int64)
        self._room = np.empty((s.COLUMNS, ROWS), np.int64)

    @property
    def problems(self) -> list[Problem]:
        """Lines that could not be read, by what was expected."""
        return [Problem(s.PROBLEMS[i], int(n), int(line)) for i, (n, line) in enumerate(self._problems) if n]

    @property
    def events(self) -> int:
        """Events of allocation and free so far."""
        return int(self.by_kind[s.KMALLOC : s.CACHE_FREE + 1].sum())

    def chunks(self) -> Iterator[Chunk]:
        """All events. Raises TraceError at the end if there was none."""
        from stress.recordings import parquet

        for rows in parquet.read(self) if self.source.kind == "parquet" else self._scanned():
            yield self._paired(rows)
        if self.events and not self.counts[p.ALLOCATIONS] + self.counts[p.FREE_EVENTS]:
            raise TraceError(
                self.path, 0, f"every address is 0 in {self.events:,} events",
                "record as root, with kernel.kptr_restrict 0 or no such filter between",
            )  # fmt: skip
        if not self.events:
            first = min(self.problems, key=lambda problem: problem.line, default=None)
            line, seen = (first.line, f"; expected {first.expected}") if first else (0, "")
            raise TraceError(
                self.path, line, f"no event of an allocation or a free in {int(self.state[s.LINES]):,} lines{seen}",
                "give what ftrace, `perf script` or `trace-cmd report` print of kmem:kmalloc, kmem_cache_alloc, kfree "
                "and kmem_cache_free, with the option context-info on, latency-format off",
            )  # fmt: skip

    def _scanned(self) -> Iterator[np.ndarray]:
        scan = compiled("scan")
        rest, begun = b"", False
        found = np.empty(s.COLUMNS, np.int64)
        for block in self.source.blocks():
            data = bytearray(rest)
            data += block
            if not begun:
                begun = True
                self._header(bytes(data[:_HEAD]))
            whole = data.rfind(b"\n") + 1
            rest = bytes(data[whole:])
            if len(rest) > LINE_LIMIT:
                raise TraceError(
                    self.path,
                    int(self.state[s.LINES]) + 1,
                    f"a line longer than {LINE_LIMIT} bytes",
                    "is this a recording?",
                )
            yield from self._block(scan, np.frombuffer(data, np.uint8)[:whole], found)
        if rest:
            yield from self._block(scan, np.frombuffer(bytearray(rest), np.uint8), found)

    def _block(self, scan, text: np.ndarray, found: np.ndarray) -> Iterator[np.ndarray]:
        rows = self._room
        at = 0
        while at < len(text):
            names = self.names
            part = text[at:]
            row, read, status = scan(
                part, len(part), rows, found, names.pool, names.starts, names.slots, self.state, self._problems
            )
            if row:
                yield np.ascontiguousarray(rows[:, :row])
            at += read
            if status == s.FULL_NAMES:
                names.grow(self.path, int(self.state[s.LINES]) + 1, int(self.state[s.NAMES]))

    def _header(self, head: bytes) -> None:
        for match in _CPUS.finditer(head):
            self.cpus_said = max(self.cpus_said, *(int(number) for number in match.groups() if number))
        if entries := _ENTRIES.search(head):
            self.overwritten = max(0, int(entries[2]) - int(entries[1]))

    def _paired(self, rows: np.ndarray) -> Chunk:
        kinds = rows[s.KIND]
        size = rows.shape[1]
        traced = kinds <= s.LAST_TRACED
        self.by_kind += np.bincount(kinds, minlength=len(s.EVENTS))
        times = rows[s.TIME][traced]
        if len(times):
            if self.first_time < 0:
                self.first_time = int(times[0])
            self.backward += int(np.count_nonzero(np.diff(times) < 0)) + (self.last_time > times[0])
            self.last_time = int(times[-1])
            self.cpus.update(np.unique(rows[s.CPU][traced]).tolist())
        for at in np.flatnonzero(kinds == s.LOST).tolist():
            places = self.lost.setdefault(int(rows[s.CPU, at]), [0, 0, 0])
            number = int(rows[s.PTR, at])
            places[0] += 1
            places[1] += max(number, 0)
            places[2] += number < 0
        self._classify()
        fate, objects = np.empty(size, np.int64), np.empty((3, size), np.int64)
        at, pairing = 0, compiled("pair")
        while at < size:
            at, status = pairing(
                rows, at, size, self._classes, self._table, self._key_slots, self.keys, self.counts, fate, objects
            )
            if status == p.FULL:
                if len(self._table) >= MAX_LIVE:
                    raise TraceError(self.path, 0, "more than 134 million objects in use at once", "cut it into pieces")
                larger = _empty(2 * len(self._table))
                compiled("move")(self._table, larger)
                self._table = larger
            elif status == p.FULL_KEYS:
                raise TraceError(
                    self.path,
                    int(rows[s.LINE, at]),
                    f"more than {MAX_KEYS} sorts of objects up to here",
                    "is this a trace?",
                )
        return Chunk(rows, fate, objects)

    def _classify(self) -> None:
        """Which names are flags of an allocation of another kind of kmalloc cache."""
        known, names = len(self._classes), int(self.state[s.NAMES])
        if names == known:
            return
        new = np.zeros(names, np.int64)
        new[:known] = self._classes
        for number in range(known, names):
            text = self.names.text(number)
            if "GFP" in text:
                words = text.split("|")
                new[number] = 1 if "GFP_DMA" in words or "__GFP_DMA" in words else 2 * ("RECLAIMABLE" in text)
        self._classes = new


def _empty(places: int) -> np.ndarray:
    table = np.zeros((places, p.LIVE), np.int64)
    table[:, p.OBJECT] = -1
    return table
