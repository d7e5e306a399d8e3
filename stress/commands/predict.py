"""`predict`: a recording that begins in mid-life, replayed from its recorded state."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import with_plugins


class PredictFormat(str, enum.Enum):
    text = "text"
    json = "json"


@with_plugins
def predict(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A recording with the state that it begins in.")],
    design: Annotated[
        list[str] | None, typer.Option(metavar="DESIGN", help="Repeatable.  [default: linux-6.18]")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, max=100, help="How often to draw what was not recorded.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the first draw.")] = 1,
    format: Annotated[PredictFormat, typer.Option(help="How to print it.")] = PredictFormat.text,
) -> int:
    """Replay a recording from the state it begins in, and compare the slabs of every cache with the kernel's own at
    each snapshot. Which slab has which holes is drawn, several times.
    """
    import sys

    from allocators.designs import DesignError, parse_design
    from stress.play.predict import predict
    from stress.play.predicted import as_data, write
    from stress.process.errors import UsageError
    from stress.show.progress import Progress

    try:
        designs = [parse_design(text) for text in design or ["linux-6.18"]]
    except DesignError as error:
        raise UsageError(f"--design: {error}") from None
    with Progress() as progress:
        found = predict(trace, designs, draws, seed, progress)
    if format is PredictFormat.json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(as_data(str(trace), found)), indent=2).decode() + "\n")
    else:
        write(found, sys.stdout)
    return 0
