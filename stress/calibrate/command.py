"""`python -m stress calibrate`: compare a design with itself many times, and print how often that went wrong."""

from __future__ import annotations

import sys

from stress.calibrate.options import CalibrateOptions


def main(options: CalibrateOptions, *, format: str, quiet: bool) -> int:
    """Measure, then print as text, markdown or json. Returns the exit status: 0, or 3 when it was broken off.

    Raises UsageError and DamagedRun when there is nothing to print.
    """
    from stress.play.session import session
    from stress.process import ending
    from stress.process.statuses import DAMAGED, DONE
    from stress.process.streams import printing

    broken_off = False
    with session(quiet=quiet, log_level="warning") as progress:
        from stress.calibrate import report
        from stress.calibrate.gather import gather
        from stress.calibrate.samples import read_samples
        from stress.calibrate.table import calibration

        if options.samples is not None and options.runs == 0:
            samples = read_samples(options.samples)
        else:
            samples, broken_off = gather(options, progress)
        progress.close()
        ending.ignore_further()
        found = calibration(samples, options.margin)
    with printing():
        report.write(found, format, sys.stdout)
    return DAMAGED if broken_off else DONE
