"""What commands share: formats of most reports, --details, how a body ends, and the line that repeats it."""

from __future__ import annotations

import enum
import functools
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from stress.process.errors import StressError

P = ParamSpec("P")


def command_line() -> str:
    """What was typed, to repeat it from anywhere: `python -m stress …`."""
    return shlex.join(["python", "-m", "stress", *sys.argv[1:]])


class Format(str, enum.Enum):
    text = "text"
    json = "json"
    markdown = "markdown"


Details = Annotated[
    bool, typer.Option("--details", help="Print every row, sentence and finding, not only what fits on one screen.")
]


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """A command that leaves with the exit status its function returns; expected errors become one line on stderr."""

    @functools.wraps(command)  # Typer reads options and help from what is wrapped
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            status = command(*args, **kwargs) or 0
        except StressError as error:
            print(f"error: {error}", file=sys.stderr)
            status = error.exit_status
        except KeyboardInterrupt:
            print("interrupted before there was anything to report", file=sys.stderr)
            status = 3
        raise typer.Exit(status)

    return run
