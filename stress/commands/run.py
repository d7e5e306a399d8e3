"""The main job from options to exit status: run, measure, write the result, report.

Everything a user reads but the report goes to stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stress.process.errors import DamagedRun
from stress.play.options import RunOptions
from stress.process.streams import printing
import enum

if TYPE_CHECKING:
    from stress.result.data import Result

DONE, VIOLATED, USAGE, DAMAGED = 0, 1, 2, 3


def run_job(
    options: RunOptions,
    *,
    out: Path,
    format: str = "text",
    quiet: bool = False,
    log_level: str = "warning",
    log_file: Path | None = None,
) -> int:
    """Do one run and report it; the exit status tells how it ended (see `exit_status`).

    Raises UsageError or DamagedRun when there is nothing to report.
    """
    # BLAS threads of NumPy and SciPy would be forked over; nothing here needs them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from stress.play import coordinator
    from stress.process import ending
    from stress.judge import ratio as statistics
    from stress.process.log import close_logging, setup_logging
    from stress.measure.evaluation import measure
    from stress.show.progress import Progress
    from stress.report import render
    from stress.result.files import write_result

    setup_logging(log_level, log_file)
    try:
        with ending.interruptible():
            with Progress(quiet=quiet) as progress:
                progress.phase("preparing")
                statistics.warm_up()  # now, so that Ctrl-C later need not wait for it
                record = coordinator.run(options, progress)
            ending.ignore_further()
            result, path = write_result(measure(record), out)
            page = draw_page(result, path.parent)
    except OSError as error:
        raise DamagedRun(f"the result could not be written to --out {out}: {error}") from None
    finally:
        close_logging()
    with printing():
        render.write(result, path, format, sys.stdout, page)
    if format != "text" and not quiet:
        print(f"result: {path}", file=sys.stderr)
    return exit_status(result)


def draw_page(result: Result, folder: Path) -> Path | None:
    """Write the result's page beside it. The result is what counts: without room for a page one is told so, and goes on."""
    from stress.report.page import write_page

    try:
        return write_page(result, folder)
    except OSError as error:
        print(f"the page could not be written to {folder}: {error}", file=sys.stderr)
        return None


def exit_status(result: Result) -> int:
    """1 if an invariant was violated, 3 if the run is incomplete, else 0. A violation outweighs the rest."""
    if result.invariants.violated:
        return VIOLATED
    return DAMAGED if result.partial else DONE


class LogLevel(str, enum.Enum):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


RUN_EXAMPLES = """\b
Examples:
  run --after v3 --seconds 30
  run --after v3 --until-sure --seconds 300 --margin 0.01
  run --scenario dead-free --set object_size=256 --set free_order=random
  run --serial --cpus 32 --format json
  run --trace boot.csv.zst --serial --after v1
  run --before v3 --after v3-F_OBO      (v3 without one of its switches)
"""
