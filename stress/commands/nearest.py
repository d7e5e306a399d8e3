"""Commands whose errors of usage name what is nearest to what was typed.

Typer names it for a command; for an option it lists several, for a choice all.
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

from stress.process.usage import did_you_mean

_CHOICE = re.compile(r"'(?P<typed>.*)' is not one of (?P<allowed>'.*')", re.DOTALL)
_OPTION = re.compile(r"No such option:? (?P<typed>\S+)", re.IGNORECASE)


class Command(TyperCommand):
    """A command that does."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            name_nearest(error, self)
            raise


class Group(TyperGroup):
    """A group that does for its own options."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            name_nearest(error, self)
            raise


def name_nearest(error: Exception, command: Any) -> None:
    """Say in an error of usage which good option or choice comes nearest; other errors stay as they are.

    Typer takes its error classes from Click or from a copy of its own, by its version; both keep the text in `message`.
    """
    message = getattr(error, "message", None)
    if not isinstance(message, str) or "did you mean" in message.lower():
        return
    message = message.removeprefix("Value error, ")
    if found := _CHOICE.search(message):
        near = did_you_mean(found["typed"], re.findall(r"'([^']*)'", found["allowed"]))
    elif found := _OPTION.match(message):
        names = [name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)]
        near = did_you_mean(found["typed"], [name for name in names if name.startswith("--")])
        if near and hasattr(error, "possibilities"):
            error.possibilities = None  # it would list all that are somewhat alike
    else:
        return
    error.message = f"{message.removesuffix('.')}; {near}?" if near else message  # type: ignore[attr-defined]
