"""`simulate`: how designs scale, in virtual time on a machine that need not be here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allocators.catalogue import DEFAULT, SLOB, SLUB
from stress.commands.guarded import Details, Format, command_line, with_plugins

EXAMPLES = """\b
Examples:
  simulate                                (1 to 256 CPUs of two EPYCs, frees by another CPU)
  simulate --after linux-7.0 --cpus 1,16,64,192 --machine xeon-2014
  simulate --scenario offline-storm --set cgroups=64 --page storm.html
  simulate --allocator slab --after v3 --cpus 1,8 --nodes 1 --format json
  simulate --trace boot.csv.zst --after v1
  simulate --machine machine.toml         (a machine that `machine` has measured)
  simulate --details                      (where all time goes, latencies, locks and lines)
"""


@with_plugins
def simulate(
    scenario: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Workload to play (see `list scenarios`).  [default: remote-free]"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A parameter of the scenario, the same at every point. Repeatable."
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Play a recording, of any format that `import` reads, on the CPUs it was recorded on; only what waits "
            "for another CPU's object keeps its order.",
        ),
    ] = None,
    allocator: Annotated[
        str, typer.Option(metavar="NAME", help="Allocator under test (see `list allocators`).")
    ] = DEFAULT,
    before: Annotated[
        str, typer.Option(metavar="DESIGN", help="Design that the others are compared with (see `list designs`).")
    ] = "linux-3.16",
    after: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DESIGN",
            help=f"Design to compare with it. Repeatable.  [default: {' '.join(SLUB.default_after)}; on {SLOB.name}, "
            f"which no design changes, {' '.join(SLOB.default_after)}]",
        ),
    ] = None,
    cpus: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Numbers of CPUs, a point each, up to 512.  [default: 1,2,4,8,16,32,64,128,256]"
        ),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="NUMA nodes of every point.  [default: as many as its CPUs fill of the machine]"
        ),
    ] = None,
    memoryless: Annotated[
        int, typer.Option(metavar="N", help="So many of the nodes (--nodes), the last ones, have no memory.")
    ] = 0,
    machine: Annotated[
        str,
        typer.Option(metavar="PROFILE", help="Machine to play on: a name of `list machines`, or a file."),
    ] = "epyc-2022",
    operations: Annotated[
        int,
        typer.Option(
            metavar="N", help="Operations of a point, about, all CPUs together, where the scenario can be sized."
        ),
    ] = 400_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of everything random; all repeats exactly for it.")] = 1,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Memory that the model's slabs live in, such as 512M or 2G.  [default: 512M]"
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(metavar="S", help="Kernel seconds that timers have after the last operation."),
    ] = 60.0,
    step: Annotated[
        str,
        typer.Option(
            metavar="STEP",
            help="What a CPU does before it may be another one's turn: an access of memory, or what takes it a few "
            "nanoseconds (access); a whole operation (operation), up to twice as fast, but what many CPUs want at once "
            "comes out far too cheap; exact: an access, and no CPU is ever ahead.",
        ),
    ] = "access",
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with pictures there; it needs no network.")
    ] = None,
    perfetto: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what each CPU does, operation by operation, as a trace that the Perfetto viewer opens: of "
            "every design on the most CPUs, the first 20,000 steps.",
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="How to print the report. json prints the result and nothing else on stdout.")
    ] = Format.text,
    details: Details = False,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Points to play at once.  [default: as many as there are CPUs here]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Play a workload in virtual time on 1 to 512 CPUs of a machine that need not be here, and show how each design
    scales and where its time goes (docs/simulate.md).

    Nothing is timed here: every access, lock and interrupt costs what the machine's profile says, so results repeat
    exactly. They are as good as the profile and the model (docs/scale.md).
    """
    from stress.report.render import check_details
    from stress.simulate.options import make_options

    check_details(details, format.value)
    options = make_options(
        scenario=scenario, settings=set_ or (), trace=trace, allocator=allocator, before=before, after=after,
        cpus=cpus, nodes=nodes, memoryless=memoryless, operations=operations, seed=seed, memory=memory, settle=settle,
        machine=machine, step=step,
        page=page, perfetto=perfetto, jobs=jobs, command=command_line(),
    )  # fmt: skip
    from stress.simulate.command import main

    return main(options, format=format.value, quiet=quiet, details=details)
