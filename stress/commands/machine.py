"""`machine`: what this machine's accesses cost, as a profile to simulate with."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import guarded


class MachineFormat(str, enum.Enum):
    text = "text"
    toml = "toml"
    json = "json"


@guarded
def machine(
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the profile goes; a profile that is there is replaced.")
    ] = Path("machine.toml"),
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Time of all measurements together, once their loops are compiled.")
    ] = 10.0,
    cpus: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="CPUs to measure on, such as 0-3,8.  [default: all that can be pinned to]"),
    ] = None,
    format: Annotated[
        MachineFormat, typer.Option(help="How to print what was measured; toml is the profile itself.")
    ] = MachineFormat.text,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Measure what accesses, atomics, caches, memory, interrupts and wake-ups cost on this machine, and write that as a
    profile, a small file that a simulation takes (docs/machines.md).

    Leave the machine alone meanwhile: what varies is said, and lowers the grade.
    """
    from stress.machine.options import make_options

    options = make_options(out=out, seconds=seconds, cpus=cpus)
    from stress.machine.command import main

    return main(options, format=format.value, quiet=quiet)
