"""`python -m stress simulate`: play all points in virtual time, and print what they say.

Exit status: 0 done; 1 an invariant was violated; 2 bad usage; 3 interrupted, or a point is missing, got
stuck or ran out of memory.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stress.simulate.options import SimulateOptions

if TYPE_CHECKING:
    from stress.simulate.result import Simulation


def main(options: SimulateOptions, *, format: str, quiet: bool) -> int:
    """Simulate, then print as text, markdown or json. Returns the exit status.

    Raises UsageError and DamagedRun when there is nothing to print.
    """
    from stress.play.session import session
    from stress.process import ending
    from stress.process.files import write_atomically
    from stress.process.streams import printing

    with session(quiet=quiet, log_level="warning") as progress:
        from stress.simulate import report
        from stress.simulate.study import simulate

        found = simulate(options, progress)
        progress.close()
        ending.ignore_further()
        page = options.page
        if page is not None:
            from stress.simulate.page import render

            try:
                write_atomically(page, render(found))
            except OSError as error:
                print(f"--page {page}: cannot be written: {error.strerror}", file=sys.stderr)
                page = None
        if options.perfetto is not None:
            from stress.simulate import tracing
            from stress.simulate.study import largest

            about = {"command": options.command, "machine": options.profile.name}
            try:
                write_atomically(options.perfetto, tracing.encode(largest(options, progress), about))
            except OSError as error:
                print(f"--perfetto {options.perfetto}: cannot be written: {error.strerror}", file=sys.stderr)
    with printing():
        report.write(found, format, sys.stdout, page)
    return exit_status(found)


def exit_status(found: Simulation) -> int:
    """A violated invariant outweighs the rest."""
    from stress.play.session import DAMAGED, DONE, VIOLATED
    from stress.simulate.sentences import sound

    if any(point.violations for point in found.points):
        return VIOLATED
    return DAMAGED if found.partial or not all(map(sound, found.points)) else DONE
