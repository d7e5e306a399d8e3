"""`conform`: the recorded steps of a real kernel, compared counter by counter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import with_plugins


@with_plugins
def conform(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Recorded steps of a real kernel, as CSV.")],
) -> int:
    """Play the recorded deterministic steps of a real kernel and compare every counter after each of them."""
    from stress.play import conform as command
    from stress.process.files import read_input

    read_input(file)  # says what is no plain file before somebody waits for it

    return command.main(file)
