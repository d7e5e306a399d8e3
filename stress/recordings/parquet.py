"""The columns of a recording as a Parquet file: written chunk by chunk, and read again.

A row is an event, in the order of the recording; `line` is where it stood in the text. Lines that could not be read are
not in it. Texts are dictionary columns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scenarios.traces.errors import TraceError
from stress.process.errors import UsageError
from stress.recordings import rows as s

VERSION = b"1"
_TEXTS = {s.COMM: "comm", s.SITE: "call_site", s.GFP: "gfp_flags", s.NAME: "name"}
_NUMBERS = {
    s.TIME: ("time_ns", "int64"), s.CPU: ("cpu", "int32"), s.PID: ("pid", "int32"), s.PTR: ("ptr", "int64"),
    s.REQ: ("bytes_req", "int64"), s.ALLOC: ("bytes_alloc", "int64"), s.NODE: ("node", "int32"),
    s.ACCOUNTED: ("accounted", "int8"), s.IRQ: ("irq", "int8"), s.LINE: ("line", "int64"),
}  # fmt: skip
_BATCH = 1 << 18  # rows


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            "a Parquet recording needs pyarrow, which is not installed: pip install 'slab-stress[recordings]'"
        ) from None
    return pyarrow


class NamesLike(Protocol):
    """The table of names of `stress.recordings.reading`."""

    pool: np.ndarray
    starts: np.ndarray

    def text(self, number: int) -> str:
        """A name."""


class Store(Protocol):
    """What of a `Reader` goes into a file and comes out of it."""

    path: Path
    state: np.ndarray
    cpus_said: int
    overwritten: int

    @property
    def names(self) -> NamesLike: ...


class Writer:
    """Writes chunks to a file that is there whole or not at all: `close` puts it in its place, `drop` leaves nothing.

    Raises UsageError without pyarrow and OSError.
    """

    def __init__(self, path: Path, reader: Store) -> None:
        self.arrow, self.path, self.reader = _arrow(), path, reader
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.fchmod(handle, 0o644)
        os.close(handle)
        self.temporary = Path(temporary)
        self._writer: Any = None
        self._texts: list[str] = []
        self._events = self.arrow.array(s.EVENTS)

    def write(self, rows: np.ndarray) -> None:
        """Add rows[column, row]."""
        arrow = self.arrow
        for number in range(len(self._texts), int(self.reader.state[s.NAMES])):
            self._texts.append(self.reader.names.text(number))
        columns = {"event": arrow.DictionaryArray.from_arrays(rows[s.KIND].astype(np.int32), self._events)}
        for column, (name, kind) in _NUMBERS.items():
            columns[name] = arrow.array(rows[column].astype(kind))
        for column, name in _TEXTS.items():
            columns[name] = self._dictionary(rows[column])
        table = arrow.table(columns)
        if self._writer is None:
            said = {
                b"slab_stress": VERSION,
                b"cpus": str(self.reader.cpus_said).encode(),
                b"overwritten": str(self.reader.overwritten).encode(),
            }
            table = table.replace_schema_metadata(said)
            plain = ("time_ns", "ptr", "line")  # hardly a value twice: a dictionary would cost time and space
            self._writer = arrow.parquet.ParquetWriter(
                self.temporary, table.schema, compression="zstd",
                use_dictionary=[name for name in table.column_names if name not in plain],
                column_encoding={"time_ns": "DELTA_BINARY_PACKED", "line": "DELTA_BINARY_PACKED"},
            )  # fmt: skip
        self._writer.write_table(table.replace_schema_metadata(self._writer.schema.metadata))

    def _dictionary(self, numbers: np.ndarray) -> Any:
        used = np.zeros(len(self._texts) + 1, bool)
        used[numbers] = True
        used[-1] = False  # the place of -1, no text
        known = np.flatnonzero(used)
        place = np.full(len(used), 0, np.int32)
        place[known] = np.arange(len(known))
        texts = self.arrow.array([self._texts[i] for i in known], self.arrow.string())
        return self.arrow.DictionaryArray.from_arrays(self.arrow.array(place[numbers], mask=numbers < 0), texts)

    def close(self) -> None:
        """Put the file in its place."""
        if self._writer is not None:
            self._writer.close()
        os.replace(self.temporary, self.path)

    def drop(self) -> None:
        """Leave no trace of it."""
        if self._writer is not None:
            self._writer.close()
        self.temporary.unlink(missing_ok=True)


def read(reader: Store) -> Iterator[np.ndarray]:
    """The rows of a file that `Writer` wrote. Raises TraceError for another, UsageError without pyarrow."""
    arrow = _arrow()
    try:
        file = arrow.parquet.ParquetFile(reader.path)
        said = file.schema_arrow.metadata or {}
        if said.get(b"slab_stress") != VERSION:
            raise TraceError(reader.path, 0, "a Parquet file, but none of `python -m stress import`", "import the text")
        reader.cpus_said, reader.overwritten = (int(said.get(key, b"0")) for key in (b"cpus", b"overwritten"))
        known: dict[str, int] = {}
        for batch in file.iter_batches(batch_size=_BATCH):
            yield _rows(reader, batch, known)
    except (arrow.ArrowException, OSError, KeyError, ValueError, OverflowError) as error:
        if isinstance(error, TraceError):
            raise
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise TraceError(reader.path, 0, f"damaged Parquet: {text}", "import the text again") from None


def _rows(reader: Store, batch: Any, known: dict[str, int]) -> np.ndarray:
    rows = np.full((s.COLUMNS, batch.num_rows), s.ABSENT, np.int64)
    for column, (name, _) in _NUMBERS.items():
        rows[column] = batch.column(name).to_numpy(zero_copy_only=False)
    kinds = {name: number for number, name in enumerate(s.EVENTS)}
    events = batch.column("event").dictionary_encode() if not _is_dictionary(batch, "event") else batch.column("event")
    kind = np.array([kinds[text] for text in events.dictionary.to_pylist()] or [0], np.int64)
    rows[s.KIND] = kind[events.indices.to_numpy(zero_copy_only=False)]
    if ((rows[s.CPU] < 0) | (rows[s.CPU] >= s.MAX_CPU)).any():
        raise ValueError(f"a CPU that is not below {s.MAX_CPU}")
    if ((rows[s.REQ] > 1 << 40) | (rows[s.ALLOC] > 1 << 40)).any():
        raise ValueError("an object beyond 1 TiB")
    takes = (rows[s.KIND] >= s.KMALLOC) & (rows[s.KIND] <= s.CACHE_ALLOC_NODE)
    if (rows[s.ALLOC][takes] < 0).any() or (rows[s.REQ][takes] < 0).any():
        raise ValueError("an allocation without a size")
    for column, name in _TEXTS.items():
        texts = batch.column(name) if _is_dictionary(batch, name) else batch.column(name).dictionary_encode()
        numbers = np.array([_number(reader, known, text) for text in texts.dictionary.to_pylist()] or [0], np.int64)
        missing = texts.indices.is_null().to_numpy(zero_copy_only=False)
        places = texts.indices.fill_null(0).to_numpy(zero_copy_only=False)
        rows[column] = np.where(missing, -1, numbers[places])
    return rows


def _is_dictionary(batch: Any, name: str) -> bool:
    return _arrow().types.is_dictionary(batch.column(name).type)


def _number(reader: Store, known: dict[str, int], text: str) -> int:
    """The number of a text in the reader's names, which is new or known."""
    if text in known:
        return known[text]
    data, names, number = np.frombuffer(text.encode(), np.uint8), reader.names, len(known)
    if number >= s.MAX_NAMES:
        raise ValueError(f"more than {s.MAX_NAMES:,} different names")
    first = int(names.starts[number])
    while number + 2 > len(names.starts):
        names.starts = np.concatenate([names.starts, np.zeros_like(names.starts)])
    while first + len(data) > len(names.pool):
        names.pool = np.concatenate([names.pool, np.zeros_like(names.pool)])
    names.pool[first : first + len(data)] = data
    names.starts[number + 1] = first + len(data)
    reader.state[s.NAMES] = number + 1
    known[text] = number
    return number
