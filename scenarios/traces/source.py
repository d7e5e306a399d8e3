"""Where the rows of a trace come from: a .csv or .csv.zst file and the metadata beside it.

Files are read as a stream: one block of compressed bytes, the lines in it, the next block. Memory
stays bounded whatever the file contains: a compressed block is small enough that even the best
compression unpacks to `UNPACK_BOUND` bytes, a line is at most `LINE_LIMIT`, and the whole at most
`limit` bytes unpacked.

A row is a list of bytes fields; only lines with a quote go through the csv module (all quoted text
stands on one line), the others are split at commas.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import zstandard

from scenarios.traces.errors import RowError, TraceError

UNPACKED_LIMIT = 2 << 30  # bytes
META_LIMIT = 64 << 20  # bytes
MAX_NUMBER = 1 << 53  # in metadata
LINE_LIMIT = 1 << 16  # bytes
PLAIN_BLOCK = 1 << 18  # bytes read at once
PACKED_BLOCK = 1 << 9  # bytes; a zstd block holds at most 128 KiB and takes at least 4 bytes
UNPACK_BOUND = PACKED_BLOCK // 4 * (128 << 10)
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

Progress = Callable[[int, int], None]
T = TypeVar("T")


class Source:
    """One trace file, read once from its header to its end.

    progress is called with (bytes read, bytes in the file), about a hundred times in all.
    Raises TraceError for everything that can be wrong with a file.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, limit: int = UNPACKED_LIMIT, progress: Progress | None = None
    ) -> None:
        self.path = Path(path)
        self.limit = limit
        self.progress = progress
        self._lines = self._read_lines()

    def header(self) -> str:
        """The first line. Call it once, before `rows`."""
        first = next(self._lines, None)
        if first is None:
            raise TraceError(self.path, 1, "the file is empty")
        return first.decode("utf-8", "replace")

    def rows(self) -> Iterator[tuple[int, list[bytes]]]:
        """(line number, fields) of every line after the header."""
        for number, text in enumerate(self._lines, start=2):
            yield number, (self._quoted(number, text) if b'"' in text else text.split(b","))

    def fail(self, line: int, problem: str, remedy: str | None = None) -> TraceError:
        """The error to raise for a line of this file."""
        return TraceError(self.path, line, problem, remedy or "correct the line, or record the trace again")

    def explain(self, line: int, row: list[bytes], error: Exception, columns: dict[str, int]) -> TraceError:
        """The error to raise where taking `row` apart failed with `error`.

        columns: name of each column -> base of the number in it, 0 where it holds none.
        """
        if isinstance(error, RowError):
            return self.fail(line, str(error))
        if len(row) != len(columns):
            return self.fail(line, f"{len(row)} columns instead of {len(columns)} ({','.join(columns)})")
        for (name, base), field in zip(columns.items(), row):
            if base:
                try:
                    int(field, base)
                except ValueError:
                    return self.fail(line, f"column {name} is {shown(field)}, which is no number of base {base}")
        return self.fail(line, f"malformed: {shown(b','.join(row))}")

    def check_rows(self, line: int, expected: int) -> None:
        """The file must have held as many rows as were recorded; `line` is its last."""
        if line - 1 < expected:
            raise TraceError(
                self.path,
                line,
                f"truncated: the file ends after {line - 1} of {expected} events",
                "fetch the file again",
            )
        if line - 1 > expected:
            raise TraceError(
                self.path, expected + 2, f"more events than the {expected} of its metadata",
                "put the metadata of this very recording beside it",
            )  # fmt: skip

    def _quoted(self, number: int, text: bytes) -> list[bytes]:
        try:
            (fields,) = csv.reader([text.decode()], strict=True)
        except (csv.Error, UnicodeDecodeError, ValueError):
            raise self.fail(number, f"quotes that do not pair: {shown(text)}") from None
        return [field.encode() for field in fields]

    def _read_lines(self) -> Iterator[bytes]:
        """All lines, without their newlines."""
        number, rest = 0, b""
        for block in self._unpacked():
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if len(rest) > LINE_LIMIT:
                raise self.fail(number + len(lines) + 1, f"a line longer than {LINE_LIMIT} bytes", "is this a trace?")
            number += len(lines)
            yield from lines
        if rest:
            raise TraceError(
                self.path, number + 1, "truncated: the last line does not end in a newline", "fetch the file again"
            )

    def _unpacked(self) -> Iterator[bytes]:
        """Blocks of the decompressed file."""
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                packed = file.read(len(ZSTD_MAGIC)) == ZSTD_MAGIC
                file.seek(0)
                blocks = self._zstd(file) if packed else iter(lambda: file.read(PLAIN_BLOCK), b"")
                total, reported = 0, 0
                for block in blocks:
                    total += len(block)
                    if total > self.limit:
                        raise TraceError(
                            self.path, 0, f"larger than {self.limit} bytes unpacked", "cut the recording into pieces"
                        )
                    if self.progress and file.tell() - reported >= size // 100:
                        reported = file.tell()
                        self.progress(reported, size)
                    yield block
                if self.progress:
                    self.progress(size, size)
        except OSError as error:
            raise TraceError(self.path, 0, f"cannot be read: {error.strerror or error}", "check the path") from None

    def _zstd(self, file: BinaryIO) -> Iterator[bytes]:
        context = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        frame = context.decompressobj()
        try:
            while packed := file.read(PACKED_BLOCK):
                while packed:
                    if frame.eof:
                        frame = context.decompressobj()
                    if block := frame.decompress(packed):
                        yield block
                    packed = frame.unused_data if frame.eof else b""
        except zstandard.ZstdError as error:
            raise TraceError(self.path, 0, f"damaged: {error}", "fetch the file again") from None
        # A stream that is cut short shows as a last line without its end, or as missing rows.


def shown(field: bytes) -> str:
    """A field as an error message shows it."""
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")


class Metadata:
    """NAME.meta.json beside NAME.csv or NAME.csv.zst, with checked access.

    Raises TraceError when the file is missing, is no JSON, or lacks what is asked for.
    """

    def __init__(self, trace: str | os.PathLike[str]) -> None:
        trace = Path(trace)
        name = trace.name.removesuffix(".zst").removesuffix(".csv")
        self.path = trace.with_name(name + ".meta.json")
        try:
            with open(self.path, "rb") as file:
                text = file.read(META_LIMIT + 1)
        except OSError as error:
            raise TraceError(
                trace, 0, f"its metadata {self.path.name} cannot be read: {error.strerror or error}",
                "put the file of that name beside the trace",
            ) from None  # fmt: skip
        if len(text) > META_LIMIT:
            raise TraceError(self.path, 0, f"larger than {META_LIMIT} bytes")
        try:
            self.content = json.loads(text)
        except json.JSONDecodeError as error:
            raise TraceError(self.path, error.lineno, f"no JSON: {error.msg}") from None
        except (UnicodeDecodeError, RecursionError):
            raise TraceError(self.path, 0, "no JSON") from None
        if not isinstance(self.content, dict):
            raise TraceError(self.path, 0, "no JSON object")

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """content[key], which must be a `kind`; `default` (if not None) where it is absent."""
        return self.entry(self.content, key, kind, "", default)

    def cpus(self, most: int, default: int | None = None) -> int:
        """Number of CPUs of the recorded kernel, at most so many; `default` (if not None) where it is absent."""
        cpus = self.get("ncpu", int, default)
        if not 1 <= cpus <= most:
            raise TraceError(self.path, 0, f"ncpu is {cpus}, possible are 1 to {most}")
        return cpus

    def entry(self, table: Mapping[str, Any], key: str, kind: type[T], where: str, default: T | None = None) -> T:
        """table[key] as `get` does it; `where` names the table in messages."""
        value = table.get(key, default) if isinstance(table, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool) and kind is int:
            found = "is missing" if value is None else f"is {str(value)[:40]!r}"
            raise TraceError(self.path, 0, f"{where}{key} {found}, a {kind.__name__} is expected")
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise TraceError(self.path, 0, f"{where}{key} is beyond {MAX_NUMBER}")
        return value
