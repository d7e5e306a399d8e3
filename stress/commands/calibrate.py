"""`calibrate`: how often comparisons are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allocators.catalogue import DEFAULT
from stress.commands.guarded import Format, command_line, with_plugins
from stress.play import options as opt
from stress.process.usage import check_file


@with_plugins
def calibrate(
    runs: Annotated[
        int, typer.Option(metavar="N", help="Comparisons of each kind; 0 only prints what --samples has.")
    ] = 10,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Time of each comparison, as of a run.")
    ] = opt.DEFAULT_SECONDS,
    slowdown: Annotated[
        list[float] | None,
        typer.Option(
            metavar="PERCENT",
            help="Slow frees of one side down by so much, those into live caches and those into dead ones each in a "
            "comparison of its own; with 0 one program is compared with itself too. Repeatable.  "
            "[default: 0 1 2 3 5 10]",
        ),
    ] = None,
    scenario: Annotated[
        str, typer.Option(metavar="NAME", help="Workload to play (see `list scenarios`).")
    ] = opt.DEFAULT_SCENARIO,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter of the scenario. Repeatable.",
        ),
    ] = None,
    allocator: Annotated[str, typer.Option(metavar="NAME", help="Allocator (see `list allocators`).")] = DEFAULT,
    design: Annotated[
        str, typer.Option(metavar="DESIGN", help="Design that is compared with itself.")
    ] = opt.DEFAULT_BEFORE,
    cpus: Annotated[
        int | None, typer.Option(metavar="N", help="CPUs of the model.  [default: as many as can be pinned to]")
    ] = None,
    neighbour: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Let another process burn one of the CPUs for this share of the time, such as 0.5."
        ),
    ] = 0.0,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that the slabs of a world live in.  [default: 512M]")
    ] = None,
    margin: Annotated[
        float, typer.Option(metavar="X", help="Margin of equivalence, as a fraction: 0.02 is 2 %.")
    ] = opt.DEFAULT_MARGIN,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of everything random.")] = opt.DEFAULT_SEED,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Add the comparisons to this file (made if missing), and report all that are in it."
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print the table.")] = Format.text,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Compare a design with itself, and with itself slowed down by a known share, many times over, as `run` does.

    Prints how often like was called unlike (false alarms) and a slowdown was found (power), with intervals. Ctrl-C
    keeps what is done. A goal that is missed never changes the exit status.
    """
    from stress.calibrate.options import make_options

    options = make_options(
        runs=runs,
        seconds=seconds,
        slowdowns=slowdown or (),
        scenario=scenario,
        settings=set_ or (),
        allocator=allocator,
        design=design,
        cpus=cpus,
        neighbour=neighbour,
        memory=memory,
        margin=margin,
        seed=seed,
        samples=samples,
        command=command_line(),
    )
    if samples is not None:
        check_file("--samples", samples)
    from stress.calibrate.command import main

    return main(options, format=format.value, quiet=quiet)
