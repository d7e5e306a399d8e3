"""What commands share: the formats of most reports, and how a body ends (exit status, expected errors as one line)."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from typing import Optional

import typer

from stress.process.errors import StressError


class Format(str, enum.Enum):
    text = "text"
    json = "json"
    markdown = "markdown"


def guarded(command: Callable[[], Optional[int]]) -> None:
    """Run a command's body and leave with its exit status; expected errors become one line on stderr."""
    try:
        status = command() or 0
    except StressError as error:
        print(f"error: {error}", file=sys.stderr)
        status = error.exit_status
    except KeyboardInterrupt:
        print("interrupted before there was anything to report", file=sys.stderr)
        status = 3
    raise typer.Exit(status)
