"""What commands share: formats of most reports, --details, how a body ends, and the line that repeats it."""

from __future__ import annotations

import enum
import functools
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from stress.process.failures import as_stress_error
from stress.process.streams import printable, printing

P = ParamSpec("P")


def command_line() -> str:
    """What was typed, to repeat it from anywhere: `python -m stress …`."""
    return printable(shlex.join(["python", "-m", "stress", *sys.argv[1:]]))


class Format(str, enum.Enum):
    text = "text"
    json = "json"
    markdown = "markdown"


Details = Annotated[
    bool, typer.Option("--details", help="Print every row, sentence and finding, not only what fits on one screen.")
]


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """A command that leaves with the exit status its function returns; expected errors, and whatever the system
    refuses, become one line on stderr."""

    @functools.wraps(command)  # Typer reads options and help from what is wrapped
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        status = 0
        try:
            with printing():
                status = command(*args, **kwargs) or 0
        except KeyboardInterrupt:
            print("interrupted before there was anything to report", file=sys.stderr)
            status = 3
        except Exception as error:
            said = as_stress_error(error)
            if said is None:
                raise
            print(f"error: {said}", file=sys.stderr)
            status = said.exit_status
        raise typer.Exit(status)

    return run
