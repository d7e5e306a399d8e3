"""`run`: take cgroups offline while CPUs allocate and free, under a design before and others after, and compare."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allocators.catalogue import DEFAULT, SLOB, SLUB
from stress.commands.guarded import Details, Format, command_line, with_plugins
from stress.judge.margin import DEFAULT_MARGIN
from stress.play import options as opt
from stress.process.errors import DamagedRun
from stress.process.usage import check_file, check_out, parse_size

if TYPE_CHECKING:
    from stress.play.passes import Passes
    from stress.result import Result


class LogLevel(str, enum.Enum):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


EXAMPLES = """\b
Examples:
  run --after v3 --seconds 30
  run --after v3 --details              (every row, sentence and finding)
  run --after v3 --until-sure --seconds 300 --margin 0.01
  run --scenario dead-free --set object_size=256 --set free_order=random
  run --serial --cpus 32 --format json
  run --trace boot.csv.zst --serial --after v1
  run --before v3 --after v3-F_OBO      (v3 without one of its switches)
"""


@with_plugins
def run(
    scenario: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=f"Workload to play (see `list scenarios`).  [default: {opt.DEFAULT_SCENARIO}]"
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the scenario, such as cgroups=64. Repeatable."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Replay a kernel's recorded events instead of a scenario: ftrace text, `perf script`, `trace-cmd "
            "report`, trace.dat, perf.data, packed or not, - for a pipe, or the laboratory's own .csv.zst.",
        ),
    ] = None,
    cgroups_by: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="How a recording's objects come to cgroups: by its cgroup `events`, or each task has one, by `comm` "
            "or `pid`, that goes offline when the task ends.",
        ),
    ] = "events",
    allocator: Annotated[
        str, typer.Option(metavar="NAME", help="Allocator under test (see `list allocators`).")
    ] = DEFAULT,
    before: Annotated[
        str,
        typer.Option(
            metavar="DESIGN",
            help="Design that the others are compared with (see `list designs`); edit one with + and -: v1-P7, "
            "linux-3.16+P2+P3; set its numbers behind a colon: linux-7.0:sheaf_capacity=64,barn_sheaves=20.",
        ),
    ] = opt.DEFAULT_BEFORE,
    after: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DESIGN",
            help=f"Design to compare with it. Repeatable.  [default: {' '.join(SLUB.default_after)}; on {SLOB.name}, "
            f"which no design changes, {' '.join(SLOB.default_after)}]",
        ),
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="CPUs of the model, each a worker process (with --serial: all stepped by one); more than can be "
            "pinned to share them, which the report says. Up to 128, or 512 with --serial.  [default: as many as can "
            "be pinned to; 4 with --serial]",
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(metavar="N", help="NUMA nodes of the model; CPUs are spread over them.")] = 1,
    memoryless: Annotated[
        int, typer.Option(metavar="N", help="So many of the nodes, the last ones, have CPUs and no memory.")
    ] = 0,
    sheaf_capacity: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Objects in a sheaf, for designs that do not set it.  [default: as the design has it]",
            show_default=False,
        ),
    ] = 0,
    barn_sheaves: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Full sheaves that the barn of a node keeps, and empty ones, for designs that do not set it.",
        ),
    ] = 10,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Time to measure, in seconds, all designs together.")
    ] = opt.DEFAULT_SECONDS,
    launches: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Launches to divide that time into: new processes, memory and tapes each, and code at another place. "
            "[default: one every 1.5 seconds or sooner, at least 5]",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            metavar="X", help="How near to 1 a ratio of throughputs counts as equivalent, as a fraction: 0.02 is 2 %."
        ),
    ] = DEFAULT_MARGIN,
    until_sure: Annotated[
        bool,
        typer.Option(
            "--until-sure",
            help="Stop before --seconds are spent if by then every design is surely equivalent, faster or slower and "
            "its ratio known to within the margin, or surely beyond it. It looks at a few planned moments, and its "
            "intervals are so much wider that looking again does no harm.",
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of everything random; the same seed plays the same work.")
    ] = opt.DEFAULT_SEED,
    time_scale: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Kernel seconds per real second: 10 lets a kernel's timers run ten times as fast.  "
            "[default: 20 for SLAB, whose reaper works in seconds, else 1]",
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            metavar="S", help="Kernel seconds that SLAB's reaper has after the last free to let dead caches die."
        ),
    ] = opt.DEFAULT_SETTLE,
    memory: Annotated[
        str | None,
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
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Let allocations fail on purpose: shrink-alloc (kmem_cache_shrink's sort array) or page-alloc:P "
            "(each page allocation with probability P). Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for results; each run gets a folder of its own in it.")
    ] = Path("results"),
    perfetto: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the counted pass of every design as a trace that the Perfetto viewer opens: bursts of "
            "each CPU, up to 20,000 first operations one by one, what the kworker did, and dead caches over time.",
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="How to print the report. json prints the result and nothing else on stdout.")
    ] = Format.text,
    details: Details = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    log_level: Annotated[
        LogLevel, typer.Option(help="Log of the coordinator and its workers, on stderr.")
    ] = LogLevel.warning,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write that log to a file; warnings still show on stderr.")
    ] = None,
) -> int:
    """Take cgroups offline while CPUs allocate and free, under a design before and others after, and compare.

    Without options: a storm of cgroup removals on SLUB of Linux 3.16 against two versions of the series
    that lets dead caches destroy themselves. Prints the answer on one screen (--details: all of it), and writes
    results/<run id>/result.json and a page to look at, report.html, beside it.
    """
    from stress.report import render

    options = opt.make_options(
        scenario=scenario,
        settings=set_ or (),
        trace=trace,
        cgroups_by=cgroups_by,
        before=before,
        after=after or None,
        world=opt.World(
            allocator,
            cpus,
            nodes,
            None if memory is None else parse_size(memory),
            time_scale,
            settle,
            memoryless,
            sheaf_capacity,
            barn_sheaves,
        ),
        measuring=opt.Measuring(seconds, seed, margin, until_sure, serial, check_blocks, launches),
        fail=fail or (),
        command=command_line(),
    )
    render.check_details(details, format.value)
    check_out(out)
    if perfetto is not None:
        check_file("--perfetto", perfetto)
    return run_job(
        options,
        out=out,
        format=format.value,
        details=details,
        quiet=quiet,
        log_level=log_level.value,
        log_file=log_file,
        perfetto=perfetto,
    )


def run_job(
    options: opt.RunOptions,
    *,
    out: Path,
    format: str = "text",
    details: bool = False,
    quiet: bool = False,
    log_level: str = "warning",
    log_file: Path | None = None,
    perfetto: Path | None = None,
) -> int:
    """Do one run and report it; `exit_status` says how it ended. All but the report goes to stderr.

    perfetto: where a trace of its counted passes goes.

    Raises UsageError or DamagedRun when there is nothing to report.
    """
    from stress.play.session import session
    from stress.process import ending
    from stress.process.streams import printing

    try:
        intervals = options.measuring.gives_intervals
        with session(quiet=quiet, log_level=log_level, log_file=log_file, intervals=intervals) as progress:
            from stress.measure.evaluation import measure
            from stress.measure.turns_file import write_turns
            from stress.play import coordinator
            from stress.play.passes import Passes
            from stress.report import render
            from stress.result import write_result
            from stress.result.folder import LAST

            passes = None if perfetto is None else Passes()
            record = coordinator.run(options, progress, passes)
            progress.close()
            ending.ignore_further()
            result, path = write_result(measure(record), out)
            write_turns(record.launches, list(record.switches), result.run_id, path.parent)
            page = draw_page(result, path.parent)
            if perfetto is not None and passes is not None:
                write_trace(passes, result, perfetto, quiet)
    except OSError as error:
        raise DamagedRun(f"the result could not be written to --out {out}: {error}") from None
    with printing():
        render.write(result, path, format, sys.stdout, page, details=details, again=LAST)
    if format != "text" and not quiet:
        print(f"result: {path}", file=sys.stderr)
    return exit_status(result)


def draw_page(result: Result, folder: Path) -> Path | None:
    """Write the result's page beside it. The result is what counts: without room for a page one is told so, no more."""
    from stress.report.page import write_page

    try:
        return write_page(result, folder)
    except OSError as error:
        print(f"the page could not be written to {folder}: {error}", file=sys.stderr)
        return None


def write_trace(passes: Passes, result: Result, path: Path, quiet: bool) -> None:
    """Write what the counted passes did, where `--perfetto` asks for it, and say so; without room one is told so."""
    from stress.process.files import write_atomically

    if not passes.passes:
        print(f"--perfetto {path}: is not written, as no counted pass came to its end", file=sys.stderr)
        return
    about = {"run": result.run_id, "command": result.command, "sources": str(result.machine.get("sources", ""))}
    try:
        write_atomically(path, passes.encode(about))
    except OSError as error:
        print(f"--perfetto {path}: cannot be written: {error.strerror}", file=sys.stderr)
        return
    if not quiet:
        print(f"trace written to {path}; open it at https://ui.perfetto.dev", file=sys.stderr)


def exit_status(result: Result) -> int:
    """1 if an invariant was violated, 3 if the run is incomplete, else 0. A violation outweighs the rest."""
    from stress.process.statuses import DAMAGED, DONE, VIOLATED

    if result.invariants.violated:
        return VIOLATED
    return DAMAGED if result.partial else DONE
