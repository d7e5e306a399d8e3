"""`python -m stress simulate`: play all points in virtual time, and print what they say.

Exit status: 0 done; 1 an invariant was violated; 2 bad usage; 3 interrupted, or a point is missing, got
stuck or ran out of memory.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stress.simulate.options import SimulateOptions

if TYPE_CHECKING:
    from stress.show.progress import Progress
    from stress.simulate.result import Simulation


def main(options: SimulateOptions, *, format: str, quiet: bool, details: bool = False) -> int:
    """Simulate, then print as text (details: all of it), markdown or json. Returns the exit status.

    Raises UsageError and DamagedRun when there is nothing to print.
    """
    from stress.play.session import session
    from stress.process import ending
    from stress.process.files import write_atomically
    from stress.process.statuses import DAMAGED, DONE
    from stress.process.streams import printing

    with session(quiet=quiet, log_level="warning", intervals=False) as progress:
        from stress.simulate import report
        from stress.simulate.study import simulate

        found = simulate(options, progress)
        trace = _trace(options, found, progress) if options.perfetto is not None else b""
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
        if options.perfetto is not None and trace:
            try:
                write_atomically(options.perfetto, trace)
                if not quiet:
                    print(f"trace written to {options.perfetto}; open it at https://ui.perfetto.dev", file=sys.stderr)
            except OSError as error:
                print(f"--perfetto {options.perfetto}: cannot be written: {error.strerror}", file=sys.stderr)
    with printing():
        report.write(found, format, sys.stdout, page, details=details)
    return exit_status(found) or (DAMAGED if options.perfetto is not None and not trace else DONE)


def _trace(options: SimulateOptions, found: Simulation, progress: Progress) -> bytes:
    """What --perfetto writes: it plays again. b"", which is said, where Ctrl-C came before or comes now."""
    from stress.simulate import tracing
    from stress.simulate.study import largest

    if not found.partial:
        about = {"command": options.command, "machine": options.profile.name}
        try:
            progress.phase("playing again for --perfetto")
            return tracing.encode(largest(options, progress), about)
        except KeyboardInterrupt:
            pass
    print(f"--perfetto {options.perfetto}: not written, as the simulation was ended", file=sys.stderr)
    return b""


def exit_status(found: Simulation) -> int:
    """A violated invariant outweighs the rest."""
    from stress.process.statuses import DAMAGED, DONE, VIOLATED
    from stress.simulate.sentences import sound

    if any(point.violations for point in found.points):
        return VIOLATED
    return DAMAGED if found.partial or not all(map(sound, found.points)) else DONE
