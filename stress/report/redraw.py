"""`report` and `results show`: a run that has ended, reported in any format."""

from __future__ import annotations

import sys
from pathlib import Path

from stress.process.errors import UsageError
from stress.report import render
from stress.result.files import read_result
from stress.result.folder import find
from stress.process.streams import printing


def redraw(name: str, out: Path, format: str) -> None:
    """Print the run's report to stdout in one of `render.FORMATS`; html and parquet write files beside the result and print their paths.

    Raises UsageError when there is no such run, its result cannot be read, or a file cannot be written.
    """
    path = find(name, out)
    result = read_result(path)
    if format in render.FORMATS:
        with printing():
            render.write(result, path, format, sys.stdout)
        return
    try:
        if format == "html":
            from stress.report.page import write_page

            written = [write_page(result, path.parent)]
        else:
            from stress.report.parquet import write_parquet

            written = write_parquet(result, path.parent)
    except OSError as error:
        raise UsageError(f"RUN {name}: {format} cannot be written to {path.parent}: {error.strerror or error}") from None
    with printing():
        print(*written, sep="\n")
