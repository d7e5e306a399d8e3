"""`campaign`: studies of thousands of jobs, on this machine or on a cluster of Dask's."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import command_line, guarded, with_plugins


class StatusFormat(str, enum.Enum):
    text = "text"
    json = "json"


class ReportFormat(str, enum.Enum):
    text = "text"
    markdown = "markdown"
    html = "html"


class Kind(str, enum.Enum):
    serial = "serial"
    simulate = "simulate"
    explore = "explore"
    timed = "timed"


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a campaign.")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Scheduler of a Dask cluster, such as tcp://host:8786.  [default: a cluster of processes on this machine]",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=512, help="Worker processes of the cluster on this machine.  [default: its CPUs]"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]

campaign = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Studies: grids of thousands of jobs, on one machine or many, on Dask (needs the extra `campaign`).",
    epilog="Examples: `campaign new study.toml`, `campaign run study.toml --dry-run`, `campaign run study.toml`, "
    "`campaign report campaigns/STUDY --format html`.",
)


@campaign.command(
    short_help="Play a study.",
    epilog="Examples: `campaign run examples/sizes.toml`, `campaign run study.toml --scheduler tcp://10.0.0.1:8786`.",
)
@with_plugins
def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study's TOML file (`campaign new` writes one).")],
    scheduler: Scheduler = None,
    workers: Workers = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the campaign.  [default: campaigns/NAME]")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Results, which studies share; on a local disk.  [default: results.sqlite beside DIR]",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many jobs, how long and how much disk; play nothing.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Check a study, plan its jobs and play those of which no result is there yet.

    Ctrl-C, a killed worker, client or scheduler lose nothing that is done: `resume` goes on. Exit status: 0 done, 1 an
    invariant was violated, 2 bad usage, 3 jobs failed or are left to do.
    """
    from stress.campaign import command

    many = workers or command.default_workers()
    if dry_run:
        return command.dry_run(study, out, store, many)
    return command.run(study, out, store, scheduler, many, quiet, command_line())


@campaign.command(short_help="Go on with a campaign that was stopped.")
@with_plugins
def resume(folder: Folder, scheduler: Scheduler = None, workers: Workers = None, quiet: Quiet = False) -> int:
    """Play what is left of a campaign. Nothing that has a result runs again."""
    from stress.campaign import command

    return command.resume(folder, scheduler, workers or command.default_workers(), quiet)


@campaign.command(short_help="Try again what failed.")
@with_plugins
def retry(folder: Folder, scheduler: Scheduler = None, workers: Workers = None, quiet: Quiet = False) -> int:
    """As `resume`, and the jobs that failed, hung or were lost are tried again."""
    from stress.campaign import command

    return command.resume(folder, scheduler, workers or command.default_workers(), quiet, retry=True)


@campaign.command(short_help="How far a campaign is.")
@guarded
def status(
    folder: Folder,
    format: Annotated[StatusFormat, typer.Option(help="How to print it.")] = StatusFormat.text,
) -> int:
    """Jobs, rate, time left, and failures with the commands that repeat them; while it runs, and afterwards."""
    from stress.campaign import looking

    return looking.show_status(folder, format.value)


@campaign.command(
    name="report",
    short_help="The grid, the cells that differ, and what failed.",
    epilog="Example: `campaign report campaigns/sizes --format html`.",
)
@guarded
def report_(
    folder: Folder,
    format: Annotated[
        ReportFormat, typer.Option(help="How to print it; html writes report.html there and prints its path.")
    ] = ReportFormat.text,
) -> int:
    """Lay the grid out as small tables, name the cells that differ from the rest, and renew the Parquet data set. Each
    cell of the page links the command that repeats it. May be asked while the campaign runs."""
    from stress.campaign import looking

    return looking.show_report(folder, format.value)


@campaign.command(
    short_help="Write a commented example of a study.", epilog="Example: `campaign new study.toml --kind explore`."
)
@guarded
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes; an existing file is not touched.")],
    kind: Annotated[Kind, typer.Option(help="What its jobs are.")] = Kind.serial,
) -> int:
    """Write an example of a study, with a comment on every key, and say what to type next."""
    from stress.campaign import example

    return example.write(file, kind.value)
