"""`check`: what a reviewer would ask of a patch, in one go."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import guarded
from stress.process.errors import UsageError


class CheckFormat(str, enum.Enum):
    text = "text"
    json = "json"


@guarded
def check(
    file: Annotated[
        str, typer.Argument(metavar="PLUGIN", help="The patch: a .py file, or the name of an installed package.")
    ],
    before: Annotated[
        str | None,
        typer.Option(metavar="DESIGN", help="Design to compare with.  [default: the plugin's BASE, or linux-3.16]"),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="DESIGN", help="Design with the patch.  [default: that one and the plugin's switches]"),
    ] = None,
    allocator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Allocator under test.  [default: the first switch's first]")
    ] = None,
    steps: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recorded steps to conform to.  [default: the clone's tests/data]"),
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", min=0.1, help="Time to measure frees in.")] = 15.0,
    budget: Annotated[float, typer.Option(metavar="S", min=0.1, help="Limit of time of each search.")] = 10.0,
    preemptions: Annotated[int, typer.Option(metavar="K", min=0, max=200, help="Bound of each search.")] = 2,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of everything random.")] = 1,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes.  [default: the CPUs at hand]")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report to a file, too.")] = None,
    format: Annotated[CheckFormat, typer.Option(help="How to print it, and to write it.")] = CheckFormat.text,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Do what a reviewer would ask of a patch, and print a report for a mail (docs/your-patch.md).

    Conformance with a recorded kernel where the patch says that it changes nothing, invariants under the storm, every
    model of the explorer with and without it, live and dead frees with intervals, scaling in virtual time to 64 CPUs,
    and what becomes of dead caches. Takes some minutes.
    """
    from stress.plugins.load import load_all, load_file
    from stress.plugins.registered import LOADED
    from stress.process import host

    load_all()
    plugin = LOADED.get(file) or load_file(Path(file))
    if out is not None and not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: it must name a file in a folder that exists")
    from stress.check import command
    from stress.check.plan import make_plan

    plan = make_plan(
        plugin, before=before, after=after, allocator=allocator, steps=steps, seconds=seconds, budget=budget,
        preemptions=preemptions, seed=seed, jobs=jobs or len(host.available_cpus()),
    )  # fmt: skip
    return command.main(plan, quiet=quiet, out=out, format=format.value)
