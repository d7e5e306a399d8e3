"""`python -m stress import`: read a recording, check and describe it, and convert it to Parquet."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TextIO

from scenarios.traces.errors import TraceError
from stress.process.errors import UsageError
from stress.process.streams import printing
from stress.recordings.describe import Described, describe
from stress.recordings.reading import Reader

CACHES_SHOWN = 15


def main(path: Path, out: Path | None, *, format: str, details: bool) -> int:
    """Describe the recording, and write it to `out` if that is given. Returns the exit status, 0.

    Raises UsageError for what cannot be read or written; then nothing is written.
    """
    from stress.recordings.parquet import Writer

    try:
        reader = Reader(path)
        writer = None if out is None else Writer(out, reader)
        try:
            for chunk in reader.chunks():
                if writer is not None:
                    writer.write(chunk.rows)
            if writer is not None:
                writer.close()
        except BaseException:
            if writer is not None:
                writer.drop()
            raise
    except TraceError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"-o {out}: cannot be written: {error.strerror or error}") from None
    found = describe(reader, None if out is None else str(out))
    with printing():
        write(found, format, details, sys.stdout)
    return 0


def write(found: Described, format: str, details: bool, stream: TextIO) -> None:
    """Print as `text` or `json`."""
    if format == "json":
        import msgspec

        stream.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return
    from rich import box
    from rich.table import Table

    from stress.show.terminal import item, make_console

    console = make_console(stream)
    of = ", ".join(filter(None, (found.format, found.packing)))
    console.print(f"{harmless(found.path)} ({of})", style="bold")
    for sentence in found.sentences:
        item(console, harmless(sentence))
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    drawn.add_column("cache")
    for title in ("bytes", "allocations", "frees", "in use"):
        drawn.add_column(title, justify="right")
    shown = found.caches if details else found.caches[:CACHES_SHOWN]
    for cache in shown:
        drawn.add_row(
            harmless(cache.name), *(f"{n:,}" for n in (cache.size, cache.allocations, cache.frees, cache.in_use))
        )
    console.print(drawn)
    if len(shown) < len(found.caches):
        console.print(f"… and {len(found.caches) - len(shown)} more caches (--details)")
    play = shlex.quote(harmless(found.written or found.path))
    console.print(f"Play it: python -m stress run --serial --trace {play}", soft_wrap=True)


def harmless(text: str) -> str:
    """A text from outside without what a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)
