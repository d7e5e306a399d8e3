"""What commands share: formats of most reports, --details, how a body ends, and the line that repeats it."""

from __future__ import annotations

import enum
import functools
import inspect
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer

from stress.process.failures import as_stress_error
from stress.process.interrupted import interrupted
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
        from stress.process import ending

        status = 0
        try:
            with ending.interruptible(), printing():
                status = command(*args, **kwargs) or 0
        except KeyboardInterrupt:
            status = interrupted()
        except Exception as error:
            said = as_stress_error(error)
            if said is None:
                raise
            print(f"error: {said}", file=sys.stderr)
            status = said.exit_status
        raise typer.Exit(status)

    return run


PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="Load switches, designs or a scenario of your own: a .py file, or a scenario as .toml. Repeatable "
        "(docs/your-patch.md).",
    ),
]


def with_plugins(command: Callable[P, int | None]) -> Callable[..., None]:
    """As `guarded`, with the option --plugin; plugins are loaded before the command looks at its other options."""

    @functools.wraps(command)
    def loading(*args: Any, plugin: list[Path] | None = None, **kwargs: Any) -> int | None:
        from stress.plugins.load import load_all

        load_all(plugin or ())
        return command(*args, **kwargs)

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=PluginFiles)
    run = guarded(loading)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    return run
