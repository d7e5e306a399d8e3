"""The command line. What a command needs is imported inside it, so that `--help` answers at once.

Exit status of every command: 0 done; 1 an invariant was violated or a comparison failed; 2 bad usage or
input; 3 the run was damaged or is incomplete.
"""

from __future__ import annotations

import enum
import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from stress.play import options as opt
from stress.commands.bench import bench
from stress.commands.calibrate import calibrate
from stress.commands.explore import explore, replay
from stress.commands.results import compare, report, results
from stress.commands.guarded import Format, guarded
from stress.commands.run import LogLevel, RUN_EXAMPLES

# Without Rich markup Typer does not import Rich: half of the time of `--help`.
app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Do the slab caches of a removed memory cgroup really die, how long does it take, and what does it cost?",
    epilog="Start with `python -m stress run`. Exit status: 0 done, 1 an invariant was violated, 2 bad usage or input, "
    "3 the run was damaged or is incomplete.",
)


class What(str, enum.Enum):
    allocators = "allocators"
    designs = "designs"
    scenarios = "scenarios"
    races = "races"


@app.command(short_help="Remove cgroups while CPUs allocate and free; compare designs.", epilog=RUN_EXAMPLES)
def run(
    scenario: Annotated[
        Optional[str],
        typer.Option(
            metavar="NAME", help=f"Workload to play (see `list scenarios`).  [default: {opt.DEFAULT_SCENARIO}]"
        ),
    ] = None,
    set_: Annotated[
        Optional[list[str]],
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the scenario, such as cgroups=64. Repeatable."),
    ] = None,
    trace: Annotated[
        Optional[Path],
        typer.Option(
            metavar="FILE", help="Replay a kernel's recorded events (.csv or .csv.zst) instead of a scenario."
        ),
    ] = None,
    allocator: Annotated[
        str, typer.Option(metavar="NAME", help="Allocator under test (see `list allocators`).")
    ] = "slub",
    before: Annotated[
        str,
        typer.Option(
            metavar="DESIGN",
            help="Design that the others are compared with (see `list designs`); edit one with + and -: v1-P7, "
            "linux-3.16+P2+P3.",
        ),
    ] = opt.DEFAULT_BEFORE,
    after: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="DESIGN",
            help=f"Design to compare with it. Repeatable.  [default: {' '.join(opt.DEFAULT_AFTER)}; on slob, which no design "
            f"changes, {' '.join(opt.DEFAULT_AFTER_SLOB)}]",
        ),
    ] = None,
    cpus: Annotated[
        Optional[int],
        typer.Option(
            metavar="N",
            help="CPUs of the model, each a worker process (with --serial: all stepped by one); more than can be pinned to "
            "share them, which the report says.  [default: as many as can be pinned to; 4 with --serial]",
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(metavar="N", help="NUMA nodes of the model; CPUs are spread over them.")] = 1,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Time to measure, in seconds, all designs together.")
    ] = opt.DEFAULT_SECONDS,
    margin: Annotated[
        float,
        typer.Option(metavar="X", help="How near to 1 a ratio of throughputs counts as equivalent, as a fraction: 0.02 is 2 %."),
    ] = opt.DEFAULT_MARGIN,
    until_sure: Annotated[
        bool,
        typer.Option(
            "--until-sure",
            help="Stop before --seconds are spent if by then every design is surely equivalent, faster or slower and its ratio known to "
            "within the margin. It looks at five planned moments, so its intervals are of 99 %.",
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of everything random; the same seed plays the same work.")
    ] = opt.DEFAULT_SEED,
    time_scale: Annotated[
        Optional[float],
        typer.Option(
            metavar="X",
            help="Kernel seconds per real second: 10 lets a kernel's timers run ten times as fast.  "
            "[default: 20 for SLAB, whose reaper works in seconds, else 1]",
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(metavar="S", help="Kernel seconds that SLAB's reaper has after the last free to let dead caches die."),
    ] = opt.DEFAULT_SETTLE,
    memory: Annotated[
        Optional[str],
        typer.Option(
            metavar="SIZE",
            help="Memory that the model's slabs live in, such as 512M or 2G. Pages are taken as touched.",
        ),
    ] = None,
    serial: Annotated[
        bool,
        typer.Option(
            "--serial",
            help="Step all CPUs in one process in a seeded order: counts are exactly repeatable, speed is unknown.",
        ),
    ] = False,
    check_blocks: Annotated[
        bool, typer.Option("--check-blocks", help="Check the invariants between blocks too, not only at the end.")
    ] = False,
    fail: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="WHAT",
            help="Let allocations fail on purpose: shrink-alloc (kmem_cache_shrink's sort array) or page-alloc:P (each page "
            "allocation with probability P). Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for results; each run gets a folder of its own in it.")
    ] = Path("results"),
    format: Annotated[
        Format, typer.Option(help="How to print the report. json prints the result and nothing else on stdout.")
    ] = Format.text,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    log_level: Annotated[
        LogLevel, typer.Option(help="Log of the coordinator and its workers, on stderr.")
    ] = LogLevel.warning,
    log_file: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="Write that log to a file; warnings still show on stderr.")
    ] = None,
) -> None:
    """Take cgroups offline while CPUs allocate and free, under a design before and others after, and compare.

    Without options: a storm of cgroup removals on SLUB of Linux 3.16 against two versions of the series
    that lets dead caches destroy themselves. Prints one table and what it says, and writes
    results/<run id>/result.json and a page to look at, report.html, beside it.
    """

    def body() -> int:
        options = opt.make_options(
            scenario=scenario,
            settings=set_ or (),
            trace=trace,
            allocator=allocator,
            before=before,
            after=after or None,
            cpus=cpus,
            nodes=nodes,
            seconds=seconds,
            seed=seed,
            margin=margin,
            until_sure=until_sure,
            time_scale=time_scale,
            settle=settle,
            memory=memory,
            serial=serial,
            check_blocks=check_blocks,
            fail=fail or (),
            command=shlex.join(["python", "-m", "stress", *sys.argv[1:]]),
        )
        opt.check_out(out)
        from stress.commands.run import run_job

        return run_job(options, out=out, format=format.value, quiet=quiet, log_level=log_level.value, log_file=log_file)

    guarded(body)


@app.command(name="list", short_help="Allocators, designs, scenarios and races.")
def list_(
    what: Annotated[Optional[What], typer.Argument(help="One kind only; all of them without it.")] = None,
) -> None:
    """What there is to run: allocators, designs, scenarios and races, a line each."""

    def body() -> None:
        from stress.commands.listing import print_listing

        print_listing(None if what is None else what.value)

    guarded(body)


@app.command(
    short_help="Compare with the recorded steps of a real kernel.",
    epilog="Example: `conform tests/data/linux-3.16-slub-steps.csv`.",
)
def conform(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Recorded steps of a real kernel, as CSV.")],
) -> None:
    """Play the recorded deterministic steps of a real kernel and compare every counter after each of them."""

    def body() -> Optional[int]:
        from stress.play import conform as command

        return command.main(file)

    guarded(body)


app.command(
    short_help="How fast the model itself is, beside C and other allocators.",
    epilog="Examples: `bench --no-peers` (ten seconds), `bench --sizes all --page bench.html`, "
    "`bench --library mimalloc=/opt/lib/libmimalloc.so.2`.",
)(bench)


app.command(
    short_help="How often comparisons are wrong: false alarms and power.",
    epilog="Examples: `calibrate --runs 20 --seconds 10`, `calibrate --slowdown 0 --slowdown 3 --scenario free-burst`, "
    "`calibrate --runs 5 --samples samples.json` (again and again), `calibrate --runs 0 --samples samples.json --format markdown`.",
)(calibrate)


@app.command(
    short_help="Test what was claimed about the series, claim by claim.",
    epilog="Examples: `claims`, `claims 1 3 --seconds 5`, `claims --format markdown`.",
)
def claims(
    ids: Annotated[Optional[list[int]], typer.Argument(metavar="ID", help="Numbers of claims; all of them without.")] = None,
    seconds: Annotated[float, typer.Option(metavar="S", help="Time of each timed comparison.")] = 3.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of everything random.")] = opt.DEFAULT_SEED,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for results.")] = Path("results"),
    format: Annotated[Format, typer.Option(help="How to print the claims.")] = Format.text,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny workloads: shows that all works, not what is true.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run what each claim needs and print a row: what was run, figures, verdict, the published number.

    A verdict (holds, does not hold, cannot tell) never changes the exit status. Writes claims.json and
    a page to look at, claims.html, into a folder of their own in --out.
    """

    def body() -> int:
        opt.check_out(out)
        from stress.claims.command import main

        return main(
            ids or (), seconds=seconds, seed=seed, out=out, format=format.value, quick=quick, quiet=quiet,
            command=shlex.join(["python", "-m", "stress", *sys.argv[1:]]),
        )  # fmt: skip

    guarded(body)


app.command(
    short_help="Look for races in every interleaving of the same source.",
    epilog="Examples: `explore R12`, `explore R12 --design v1+F_ALLCPU`, `explore offline-vs-free --design v2 --strategy pct`, "
    "`explore --all`, `explore --like results/RUN`. Exit status: 0 nothing found (says whether exhaustively), 1 found, 2 bad usage; with --all: 0 when every "
    "race is as catalogued.",
)(explore)
app.command(short_help="Run a schedule again that `explore` wrote.", epilog="Example: `replay R12.schedule.json`.")(replay)
app.command(
    short_help="Report a run again, in any format.", epilog="Examples: `report last --format html`, `report RUN --format csv > blocks.csv`."
)(report)
app.command(
    short_help="Runs of the same work side by side.", epilog="Example: `compare 4c0c d964 --format html > compared.html`."
)(compare)
app.add_typer(results, name="results", short_help="List, show and remove results.")
