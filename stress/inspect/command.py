"""`python -m stress inspect`: read, judge, print."""

from __future__ import annotations

import sys
from pathlib import Path

from stress.inspect.cgroups import read_cgroups
from stress.inspect.parse import parse
from stress.inspect.report import inspect, write
from stress.process.errors import UsageError
from stress.process.streams import printing


def main(files: list[Path], *, hours: float | None, format: str, details: bool, cgroups: Path | None = None) -> int:
    """Print what the files say; two are taken as one machine's at two times, in that order. Returns 0.

    cgroups: /sys/fs/cgroup or a list of its folders, which tells dead children from live ones. hours: between two
    files; None takes the times at which they were written. Raises UsageError.
    """
    if hours is not None and not hours > 0:
        raise UsageError(f"--hours {hours:g}: must be above 0")
    states = [parse(path) for path in files]
    if hours is None and len(files) == 2:
        apart = (files[1].stat().st_mtime - files[0].stat().st_mtime) / 3600
        hours = apart if apart > 0 else None
    found = inspect(states, hours, None if cgroups is None else read_cgroups(cgroups))
    with printing():
        write(found, format, details, sys.stdout)
    return 0
