"""`report` and `results show`: a run that has ended, reported in any format."""

from __future__ import annotations

import sys
from pathlib import Path

from stress.errors import UsageError
from stress.report import render
from stress.result import read_result
from stress.results import find
from stress.streams import printing


def redraw(name: str, out: Path, format: str) -> None:
    """Print the run's report to stdout in one of `render.FORMATS`; html renews the page beside the result and prints its path.

    Raises UsageError when there is no such run, its result cannot be read, or the page cannot be written.
    """
    path = find(name, out)
    result = read_result(path)
    if format != "html":
        with printing():
            render.write(result, path, format, sys.stdout)
        return
    from stress.report.page import write_page

    try:
        page = write_page(result, path.parent)
    except OSError as error:
        raise UsageError(f"RUN {name}: the page cannot be written to {path.parent}: {error.strerror}") from None
    with printing():
        print(page)
