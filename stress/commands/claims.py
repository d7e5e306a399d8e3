"""`claims`: what was claimed about the series, tested claim by claim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import Format, command_line, with_plugins
from stress.play import options as opt
from stress.process.usage import check_out


@with_plugins
def claims(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", help="Numbers of claims; all of them without.")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", help="Time of each timed comparison.")] = 3.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of everything random.")] = opt.DEFAULT_SEED,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for results.")] = Path("results"),
    format: Annotated[Format, typer.Option(help="How to print the claims.")] = Format.text,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny workloads: shows that all works, not what is true.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Run what each claim needs and print a row: what was run, figures, verdict, the published number.

    A verdict (holds, does not hold, cannot tell) never changes the exit status. Writes claims.json and
    a page to look at, claims.html, into a folder of their own in --out.
    """
    check_out(out)
    from stress.claims.command import main

    return main(
        ids or (),
        seconds=seconds,
        seed=seed,
        out=out,
        format=format.value,
        quick=quick,
        quiet=quiet,
        command=command_line(),
    )
