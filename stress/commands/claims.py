"""`claims`: what was claimed about the series, tested claim by claim."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import Format, command_line, with_plugins
from stress.play import options as opt
from stress.process.errors import UsageError
from stress.process.usage import check_out


class Set(str, enum.Enum):
    series = "series"
    sheaves = "sheaves"


@with_plugins
def claims(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Numbers of claims, or names of reports (R1, storm); all of them without."),
    ] = None,
    set_: Annotated[
        Set, typer.Option("--set", help="Claims about the series of 2014, or reports of sheaves, 2026.")
    ] = Set.series,
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
    a page to look at, claims.html, into a folder of their own in --out. With --set sheaves: what was reported of
    kernels 6.18 to 7.3, played in virtual time on as many CPUs; reproduced, not, or cannot tell (docs/sheaves.md).
    """
    check_out(out)
    given = ids or ()
    if set_ is Set.sheaves:
        from stress.claims.reports.command import main as predict

        return predict(
            given, seconds=seconds, seed=seed, out=out, format=format.value, quick=quick, quiet=quiet,
            command=command_line(),
        )  # fmt: skip
    from stress.claims.command import main

    return main(
        [_number(one) for one in given], seconds=seconds, seed=seed, out=out, format=format.value, quick=quick,
        quiet=quiet, command=command_line(),
    )  # fmt: skip


def _number(text: str) -> int:
    """A claim's number; UsageError for anything else."""
    if not text.isdecimal():
        raise UsageError(f"ID: {text!r} is no number of a claim; reports have names, and need --set sheaves")
    return int(text)
