"""The commands that work on results that exist: `results`, `report` and `compare`."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import Details, guarded
from stress.commands.nearest import Command, Group

OUT = Path("results")
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that runs write their results to.")]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, its beginning or end, its folder or result.json, or `last`.")
]


class ReportFormat(str, enum.Enum):
    text = "text"
    markdown = "markdown"
    json = "json"
    html = "html"
    csv = "csv"
    benchstat = "benchstat"
    mmtests = "mmtests"
    parquet = "parquet"


class CompareFormat(str, enum.Enum):
    text = "text"
    markdown = "markdown"
    html = "html"
    json = "json"


class ListFormat(str, enum.Enum):
    text = "text"
    json = "json"


results = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    help="List, show and remove the runs of a results folder, or write a page of them; without a command it lists.",
    epilog="Examples: `results`, `results show last`, `results prune --keep 20 --dry-run`.",
)


@results.callback(invoke_without_command=True)
def _list_by_default(context: typer.Context, out: Out = OUT) -> None:
    context.obj = out
    if context.invoked_subcommand is None:
        list_(context, format=ListFormat.text)


def _folder(context: typer.Context, out: Path | None) -> Path:
    """--out may stand before or after the command."""
    return out if out is not None else context.obj


@results.command(
    cls=Command,
    name="list",
    short_help="A line per run, the oldest first.",
    epilog="Example: `results list --format json`.",
)
@guarded
def list_(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of results.")] = None,
    format: Annotated[
        ListFormat, typer.Option(help="How to print the list; json is described by stress/runs.schema.json.")
    ] = ListFormat.text,
) -> None:
    """List the runs of the folder, the oldest first."""
    from stress.process.streams import printing
    from stress.result.folder import runs

    folder = _folder(context, out)
    found = runs(folder)
    if format is ListFormat.json:
        from stress.result.files import encode
        from stress.result.listed import listed

        with printing():
            sys.stdout.write(encode(listed(found, folder)).decode())
        return
    from stress.report.runs import print_runs

    with printing():
        print_runs(found, folder, sys.stdout)


@results.command(cls=Command, short_help="The report of one run.")
@guarded
def show(
    context: typer.Context,
    run: RunName,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of results.")] = None,
    details: Details = False,
) -> None:
    """Print the report of one run as its end printed it. Other formats: `report RUN --format …`."""
    from stress.report.render import redraw

    redraw(run, _folder(context, out), "text", details)


@results.command(
    cls=Command,
    short_help="A page of all runs.",
    epilog="Example: `results index --out results`, then open results/index.html.",
)
@guarded
def index(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of results.")] = None,
) -> None:
    """Write index.html into the folder: all runs, filters, how designs went from run to run, any two side by side."""
    from stress.process.errors import UsageError
    from stress.process.streams import printing
    from stress.report.index import write_index
    from stress.result.folder import runs

    folder = _folder(context, out)
    try:
        path = write_index(runs(folder), folder)
    except OSError as error:
        raise UsageError(f"--out {folder}: no page can be written there: {error.strerror}") from None
    with printing():
        sys.stdout.write(f"{path}\n")


@results.command(
    cls=Command,
    short_help="Remove old runs.",
    epilog="Example: `results prune --keep 20 --older-than 30` removes runs that are both.",
)
@guarded
def prune(
    context: typer.Context,
    keep: Annotated[int | None, typer.Option("--keep", metavar="N", help="Leave the newest N runs.")] = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", help="Leave the runs of the last DAYS days.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of results.")] = None,
) -> None:
    """Remove the folders of old runs, without asking, and say which. A folder that holds other files too is left."""
    from stress.process.streams import printing
    from stress.result.folder import prune

    folder = _folder(context, out)
    done = prune(folder, keep=keep, older_than_days=older_than, dry_run=dry_run)
    from stress.report.runs import print_pruned

    with printing():
        print_pruned(done, folder, dry_run, sys.stdout)


@guarded
def report(
    run: RunName,
    out: Out = OUT,
    format: Annotated[
        ReportFormat,
        typer.Option(
            help="html renews report.html beside the result and prints its path; parquet (needs the extra `parquet`) "
            "writes the samples there; csv and benchstat print what each launch measured, csv in a row per design "
            "(pair is the number of the launch); mmtests prints columns as mmtests' compare does."
        ),
    ] = ReportFormat.text,
    details: Details = False,
) -> None:
    """Report a run that has ended, in any format. The text fits on one screen; --details prints all of it."""
    from stress.report.render import redraw

    redraw(run, out, format.value, details)


@guarded
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Two runs or more: ids, their beginnings or ends, folders or files, `last`."
        ),
    ],
    out: Out = OUT,
    format: Annotated[
        CompareFormat,
        typer.Option(
            help="How to print the comparison; html is a whole page; json is described by "
            "stress/comparison.schema.json."
        ),
    ] = CompareFormat.text,
) -> None:
    """Put runs of the same scenario and parameters beside each other: other designs, machines or sources.

    Runs that did different work are refused, with the reason.
    """
    from stress.process.streams import printing
    from stress.report.compare import compare_runs

    comparison = compare_runs(runs, out)
    from stress.report import comparison as reporting

    with printing():
        reporting.write(comparison, format.value, sys.stdout)
