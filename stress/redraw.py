"""`report` and `results show`: the result of a run that has ended, in any format."""

from __future__ import annotations

import sys
from pathlib import Path

from stress.report import render
from stress.result import read_result
from stress.results import find
from stress.streams import printing


def redraw(name: str, out: Path, format: str) -> None:
    """Print the run's report to stdout, in one of `render.FORMATS`.

    Raises UsageError when there is no such run, or its result cannot be read.
    """
    path = find(name, out)
    result = read_result(path)
    with printing():
        render.write(result, path, format, sys.stdout)
