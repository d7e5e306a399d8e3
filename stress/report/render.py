"""One result in one format, also of a run that has ended. What a format needs is imported when it is asked for."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TextIO

from stress.process.errors import UsageError
from stress.process.streams import printing
from stress.result.data import Result
from stress.result.files import read_result
from stress.result.folder import find

# Those that go to a stream; html and parquet are files beside the result.
USUAL = Path("results")
FORMATS = ("text", "markdown", "json", "csv", "benchstat", "mmtests")


def check_details(details: bool, format: str) -> None:
    """--details is of the text alone. Raises UsageError."""
    if details and format != "text":
        raise UsageError(
            f"--details is for --format text; {format} has everything without it: leave out --details or --format"
        )


def write(
    result: Result,
    path: Path,
    format: str,
    stream: TextIO,
    page: Path | None = None,
    *,
    details: bool = False,
    again: str = "",
) -> None:
    """Write the result at `path` to the stream in one of `FORMATS`; json is the content of that file.

    page: where the result's page is, for formats that say so. details: text with everything. again: how the user
    named this run, for the text without.
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

        if details:
            text.print_details(result, stream, path, page)
        else:
            text.print_short(result, stream, path, page, named(path, again))


def named(path: Path, name: str) -> str:
    """How commands name the run of this result: as it was named if it is in the usual folder, else by its folder."""
    folder = path.parent
    return shlex.quote((name or folder.name) if folder.parent == USUAL else str(folder))


def redraw(name: str, out: Path, format: str, details: bool = False) -> None:
    """Print a run's report in one of `FORMATS`, or write html or parquet beside its result and print the paths.

    details: text with everything.
    Raises UsageError when there is no such run, its result cannot be read, or a file cannot be written.
    """
    from stress.report.page import PAGE_NAME

    check_details(details, format)
    path = find(name, out)
    result = read_result(path)
    if format in FORMATS:
        page = path.with_name(PAGE_NAME)
        with printing():
            write(result, path, format, sys.stdout, page if page.exists() else None, details=details, again=name)
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
