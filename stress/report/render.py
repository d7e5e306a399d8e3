"""One result in one format, also of a run that has ended. What a format needs is imported when it is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from stress.process.errors import UsageError
from stress.process.streams import printing
from stress.result.data import Result
from stress.result.files import read_result
from stress.result.folder import find

# Those that go to a stream; html and parquet are files beside the result.
FORMATS = ("text", "markdown", "json", "csv", "benchstat", "mmtests")


def write(result: Result, path: Path, format: str, stream: TextIO, page: Path | None = None) -> None:
    """Write the result at `path` to the stream in one of `FORMATS`; json is the content of that file.

    page: where the result's page is, for formats that say so.
    """
    if format == "json":
        from stress.result.files import encode

        stream.write(encode(result).decode())
    elif format == "markdown":
        from stress.report import markdown

        stream.write(markdown.render(result, path))
    elif format == "csv":
        from stress.report import export

        stream.write(export.samples_csv(result))
    elif format == "benchstat":
        from stress.report import export

        stream.write(export.benchstat(result))
    elif format == "mmtests":
        from stress.report import mmtests

        stream.write(mmtests.compare_columns(result))
    else:
        from stress.report import text

        text.print_report(result, stream, path, page)


def redraw(name: str, out: Path, format: str) -> None:
    """Print a run's report in one of `FORMATS`, or write html or parquet beside its result and print the paths.

    Raises UsageError when there is no such run, its result cannot be read, or a file cannot be written.
    """
    path = find(name, out)
    result = read_result(path)
    if format in FORMATS:
        with printing():
            write(result, path, format, sys.stdout)
        return
    try:
        if format == "html":
            from stress.report.page import write_page

            written = [write_page(result, path.parent)]
        else:
            from stress.report.parquet import write_parquet

            written = write_parquet(result, path.parent)
    except OSError as error:
        raise UsageError(
            f"RUN {name}: {format} cannot be written to {path.parent}: {error.strerror or error}"
        ) from None
    with printing():
        print(*written, sep="\n")
