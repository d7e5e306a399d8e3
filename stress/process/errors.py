"""Errors that end a command with a message instead of a traceback."""

from __future__ import annotations

from stress.process.statuses import DAMAGED, USAGE


class StressError(Exception):
    """Base of the errors below; the text is shown to the user as it is."""

    exit_status = DAMAGED


class UsageError(StressError):
    """An option or an input file is wrong. The text names it, what is allowed and what to do (exit 2)."""

    exit_status = USAGE


class DamagedRun(StressError):
    """The run broke down so early that there is nothing to report (exit 3)."""

    exit_status = DAMAGED
