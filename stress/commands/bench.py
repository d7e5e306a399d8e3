"""`bench`: how fast the model itself is, beside C and other allocators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stress.commands.guarded import Format, guarded
from stress.process.errors import UsageError
from stress.process.usage import check_file, check_seconds, did_you_mean

if TYPE_CHECKING:
    from stress.bench.peers.measure import Plan


@guarded
def bench(
    peers: Annotated[
        bool,
        typer.Option(
            "--peers/--no-peers",
            help="Measure other allocators too, or only SLUB against C: two minutes, or ten seconds.",
        ),
    ] = True,
    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="B,B…|all",
            help="Object sizes of the comparison: powers of two from 8 to 8192. [default: 8,64,512,4096]",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="S", min=0.0, help="Time of each cell of the comparison: a workload, a size, a number of CPUs."
        ),
    ] = 2.5,
    library: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Where mimalloc, jemalloc or tcmalloc is, if the loader does not find it. Repeatable.",
        ),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the comparison there as a page with plots.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print the figures.")] = Format.text,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """How fast the model itself is, as ratios within one run: against hand-written C, the engine's own cost, and other
    allocators.

    The comparison plays the same tapes on SLUB, SLAB, SLOB, linux-6.18, linux-7.0, glibc's malloc, and on mimalloc,
    jemalloc and tcmalloc where they are installed.
    """
    from stress import bench as command

    if page is not None:
        if not peers:
            raise UsageError("--page shows the comparison with other allocators, so leave --no-peers out")
        check_file("--page", page)
    plan = _plan(sizes, seconds, library or ())  # with --no-peers too: what is typed wrong is said, used or not
    return command.main(format=format.value, quiet=quiet, page=page, plan=plan if peers else None)


def _plan(sizes: str | None, seconds: float, libraries: list[str] | tuple[()]) -> Plan:
    from stress.bench.peers.catalogue import PROGRAMS
    from stress.bench.peers.measure import ALL_SIZES, SIZES, Plan

    allowed = {str(size): size for size in ALL_SIZES}
    names = [] if sizes is None else list(allowed) if sizes == "all" else sizes.split(",")
    for name in names:
        if name not in allowed:
            raise UsageError(f"--sizes: {name!r} is not one of {', '.join(allowed)}, nor all")
    check_seconds("--seconds", seconds, "the time of a cell", "2.5")
    found = {}
    for text in libraries:
        name, equals, path = text.partition("=")
        known = [program.name for program in PROGRAMS.values() if program.library]
        if not equals or name not in known:
            near = f"; {near}?" if (near := did_you_mean(name, known)) else ""
            raise UsageError(f"--library {text}: it must be NAME=PATH with a NAME of {', '.join(known)}{near}")
        if not Path(path).is_file():
            raise UsageError(f"--library {text}: there is no such file")
        found[name] = str(Path(path).absolute())
    return Plan(sizes=tuple(sorted({allowed[name] for name in names})) or SIZES, libraries=found, cell_seconds=seconds)
