"""`import`: a recording of kernel events, checked, described and converted."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import Details, guarded


class ImportFormat(str, enum.Enum):
    text = "text"
    json = "json"


@guarded
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="ftrace text, `perf script`, `trace-cmd report`, trace.dat or perf.data, plain, gzip, zstd or xz; - "
            "reads a pipe.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write its events to a Parquet file, which `run --trace` plays too."
        ),
    ] = None,
    format: Annotated[ImportFormat, typer.Option(help="How to print what it holds.")] = ImportFormat.text,
    details: Details = False,
) -> int:
    """Read a recording of a kernel's allocations and frees, check it, and say what it holds and what a replay of it
    can show (docs/recordings.md).
    """
    from stress.recordings.command import main

    return main(file, out, format=format.value, details=details)
