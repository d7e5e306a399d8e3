"""The command line. What a command needs is imported inside it, so that `--help` answers at once.

Exit status of every command: 0 done; 1 an invariant was violated or a comparison failed; 2 bad usage or
input; 3 the run was damaged or is incomplete.
"""

from __future__ import annotations

from typing import Annotated

import typer

from stress.commands import run as running
from stress.commands.bench import bench
from stress.commands.calibrate import calibrate
from stress.commands.campaign import campaign
from stress.commands.check import check
from stress.commands.claims import claims
from stress.commands.conform import conform
from stress.commands.explore import explore, replay
from stress.commands.import_ import import_
from stress.commands.inspect import inspect
from stress.commands.listing import list_
from stress.commands.machine import machine
from stress.commands.nearest import Command, Group
from stress.commands.new import new
from stress.commands.predict import predict
from stress.commands.record import record
from stress.commands.results import compare, report, results
from stress.commands.simulate import EXAMPLES as SIMULATIONS
from stress.commands.simulate import simulate

DISTRIBUTION = "slab-stress"

# Without Rich markup Typer does not import Rich: half of the time of `--help`.
app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Do the slab caches of a removed memory cgroup really die, how long does it take, and what does it cost?",
    epilog="Start with `python -m stress run`. Exit status: 0 done, 1 an invariant was violated, 2 bad usage or input, "
    "3 the run was damaged or is incomplete.",
)


def _print_version(asked: bool) -> None:
    if not asked:
        return
    from importlib import metadata

    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        version = "of a checkout that is not installed"
    print(f"{DISTRIBUTION} {version}")
    raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command(
    cls=Command, short_help="Remove cgroups while CPUs allocate and free; compare designs.", epilog=running.EXAMPLES
)(running.run)
app.command(
    cls=Command,
    name="import",
    short_help="Check, describe and convert a recording of kernel events.",
    epilog="Examples: `import trace.txt`, `import trace.txt.zst -o trace.parquet`, `perf script | … import -`.",
)(import_)
app.command(
    cls=Command,
    short_help="What slab files of a machine say: /proc/slabinfo, dmesg, cgroup.stat.",
    epilog="Examples: `inspect /proc/slabinfo`, `inspect monday.slabinfo tuesday.slabinfo --hours 24`.",
)(inspect)
app.command(
    cls=Command,
    short_help="Replay a recording from the state it begins in, beside the kernel's own counts.",
    epilog="Example: `predict linux-6.18-mixed.csv.zst --draws 10 --design linux-6.18 --design linux-5.9`.",
)(predict)
app.command(
    cls=Command,
    short_help="Record this machine's allocations and frees (root).",
    epilog="Example: `record --seconds 5 -o trace.txt`.",
)(record)
app.command(name="list", cls=Command, short_help="Allocators, designs, scenarios, races and machines.")(list_)
app.command(
    cls=Command,
    short_help="Compare with the recorded steps of a real kernel.",
    epilog="Example: `conform tests/data/linux-3.16-slub-steps.csv`.",
)(conform)
app.command(
    cls=Command,
    short_help="How fast the model itself is, beside C and other allocators.",
    epilog="Examples: `bench --no-peers` (ten seconds), `bench --sizes all --page bench.html`, "
    "`bench --library mimalloc=/opt/lib/libmimalloc.so.2`.",
)(bench)
app.command(
    cls=Command,
    short_help="What this machine's accesses cost, as a profile to simulate with.",
    epilog="Examples: `machine`, `machine --out big.toml --seconds 30`, `machine --cpus 0-7 --format json`. "
    "Profiles that come along: `list machines`.",
)(machine)
app.command(cls=Command, short_help="How designs scale to 512 CPUs, in virtual time.", epilog=SIMULATIONS)(simulate)
app.command(
    cls=Command,
    short_help="How often comparisons are wrong: false alarms and power.",
    epilog="Examples: `calibrate --runs 20 --seconds 10`, `calibrate --slowdown 0 --slowdown 3 --scenario "
    "free-burst`, `calibrate --runs 5 --samples samples.json` (again and again), `calibrate --runs 0 --samples "
    "samples.json --format markdown`.",
)(calibrate)
app.command(
    cls=Command,
    short_help="Test what was claimed about the series, claim by claim.",
    epilog="Examples: `claims`, `claims 1 3 --seconds 5`, `claims --format markdown`.",
)(claims)
app.command(
    cls=Command,
    short_help="Look for races in every interleaving of the same source.",
    epilog="Examples: `explore R12`, `explore R12 --design v1+F_ALLCPU`, `explore offline-vs-free --design v2 "
    "--strategy pct`, `explore --all`, `explore --all --designs all`, `explore --like results/RUN`. Exit status: "
    "0 nothing found (says whether exhaustively), 1 found, 2 bad usage; with --all: 0 when every race is as "
    "catalogued; with --designs: 0 when every find beyond the catalogue is judged.",
)(explore)
app.command(
    cls=Command,
    short_help="What a reviewer would ask of your patch, in one go.",
    epilog="Examples: `check my_patch.py`, `check my_patch.py --before v3-P7v3 --seconds 60 --out report.txt`. Exit "
    "status: 1 when something fails that did not before.",
)(check)
app.command(
    cls=Command,
    short_help="A switch or scenario of your own, for a start.",
    epilog="Examples: `new switch MY_PATCH`, `new scenario my-storm --out storms`.",
)(new)
app.command(
    cls=Command, short_help="Run a schedule again that `explore` wrote.", epilog="Example: `replay R12.schedule.json`."
)(replay)
app.command(
    cls=Command,
    short_help="Report a run again, in any format.",
    epilog="Examples: `report last --details`, `report last --format html`, `report RUN --format csv > launches.csv`.",
)(report)
app.command(
    cls=Command,
    short_help="Runs of the same work side by side.",
    epilog="Example: `compare 4c0c d964 --format html > compared.html`.",
)(compare)
app.add_typer(results, name="results", short_help="List, show and remove results.")
app.add_typer(campaign, name="campaign", short_help="Studies of thousands of jobs, on one machine or many.")
