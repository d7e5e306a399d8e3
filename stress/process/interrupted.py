"""Ctrl-C before there is anything to report. Imports next to nothing, so that it is there when it is needed."""

from __future__ import annotations

import signal
import sys

from stress.process.statuses import DAMAGED

program = False  # this process is the command line's own, which nothing comes after


def deaf() -> None:
    """Where this process is the program's own: ignore SIGINT and SIGTERM from now on. Call it in the main thread.

    An impatient user's next Ctrl-C would end the program with a traceback while it says that it was interrupted.
    """
    if program:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def interrupted() -> int:
    """Say that Ctrl-C came before there was anything to report, and ignore the next one; the exit status."""
    deaf()
    print("interrupted before there was anything to report", file=sys.stderr)
    return DAMAGED
