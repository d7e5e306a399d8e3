"""The commands that look at interleavings: `explore` and `replay`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import Format, with_plugins
from stress.play import options as opt
from stress.process.errors import UsageError


class Strategy(str, enum.Enum):
    dfs = "dfs"
    random = "random"
    pct = "pct"


class MemoryModel(str, enum.Enum):
    sc = "sc"
    tso = "tso"


Full = Annotated[bool, typer.Option("--full", help="Print every access with its source line, not only functions.")]
Page = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write a page of the failing schedule there, to walk through; it needs no network."
    ),
]
Perfetto = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the failing schedule there as a trace that the Perfetto viewer opens."),
]


@with_plugins
def explore(
    model: Annotated[
        str | None, typer.Argument(metavar="RACE|MODEL", help="What to explore (see `list races`).")
    ] = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all", help="Every race of the catalogue: in the design that has it and in the one that mends it."
        ),
    ] = False,
    designs: Annotated[
        str | None,
        typer.Option(
            metavar="all|DESIGN,…",
            help="With --all: every model in each of these designs that it fits, and what is found beyond the "
            "catalogue, with our judgement.",
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Explore what went wrong in a run (its folder results/<run id>, its result.json, its id, or `last`): "
            "its allocator and the designs that violated an invariant or left dead caches. MODEL and --design narrow "
            "it.",
        ),
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(
            metavar="DESIGN", help="Design to explore, edited with + and - as elsewhere.  [default: the model's]"
        ),
    ] = None,
    allocator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Allocator, where the model is of more than one.  [default: the model's]"),
    ] = None,
    cpus: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=8, help="CPUs beside the kworker's.  [default: the model's]")
    ] = None,
    strategy: Annotated[
        Strategy, typer.Option(help="Depth-first with a bound, a random walk, or PCT of depth 3.")
    ] = Strategy.dfs,
    preemptions: Annotated[int, typer.Option(metavar="K", min=0, max=200, help="Bound of the depth-first search.")] = 3,
    memory_model: Annotated[
        MemoryModel | None, typer.Option(help="Sequential consistency or x86-TSO.  [default: the model's]")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="Limit of time (with --all and --like: of each search).  [default: 60; with --like 10]",
        ),
    ] = None,
    schedules: Annotated[int, typer.Option(metavar="N", min=0, help="Limit of schedules; 0: none.")] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes: they share one depth-first search, and which of several schedules with the fewest "
            "preemptions is found first is then a matter of chance, but with 1; random and pct get a seed each, --all "
            "and --like a search each.  [default: the CPUs at hand]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of everything random.")] = opt.DEFAULT_SEED,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the failing schedule goes (with --all: the table; with --like: a folder for them).  [default: "
            "MODEL.schedule.json]",
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="How to print: text or json; the table of --all also as markdown.")
    ] = Format.text,
    full: Full = False,
    page: Page = None,
    perfetto: Perfetto = None,
) -> int:
    """Run the allocators' own functions under a scheduler that owns every step, until something goes wrong.

    What is found is made small and told in ten lines, then printed by function, a column per CPU; its schedule is
    written to a file that `replay` runs again.
    """
    from stress.explore import command
    from stress.explore.showing import Files

    chosen = memory_model.value if memory_model else None
    processes = jobs or command.default_jobs()
    if like is None:
        return command.main(
            model,
            all_=all_,
            allocator=allocator,
            design=design,
            cpus=cpus,
            strategy=strategy.value,
            preemptions=preemptions,
            memory_model=chosen,
            budget=budget,
            schedule_count=schedules,
            jobs=processes,
            seed=seed,
            out=out,
            format=format.value,
            full=full,
            designs=designs,
            files=Files(page, perfetto),
        )
    from stress.explore import like as like_command

    if all_ or allocator or designs:
        raise UsageError(
            "--like takes the allocator from the run and chooses the models: leave out --all, --designs and --allocator"
        )
    if page or perfetto:
        raise UsageError(
            "--page and --perfetto are of one schedule: give them to `replay` with what --like has written"
        )
    if format is not Format.text:
        raise UsageError(f"--format {format.value}: --like prints text; leave it out")
    command.check(model, design, None, budget)
    options = like_command.Options(
        model, design, cpus, chosen, strategy.value, preemptions,
        like_command.DEFAULT_BUDGET if budget is None else budget, schedules, processes, seed, full,
    )  # fmt: skip
    return like_command.main(like, options, out)


@with_plugins
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A schedule that `explore` wrote.")],
    full: Full = False,
    page: Page = None,
    perfetto: Perfetto = None,
) -> int:
    """Run one schedule again and print it; exit status 1 when it fails as it did."""
    from stress.explore import command
    from stress.explore.showing import Files

    return command.replay(file, full, Files(page, perfetto))
