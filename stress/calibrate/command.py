"""`python -m stress calibrate`: compare a design with itself many times, and print how often that went wrong."""

from __future__ import annotations

import os
import sys

from stress.calibrate.options import CalibrateOptions


def main(options: CalibrateOptions, *, format: str, quiet: bool) -> int:
    """Measure, then print as text, markdown or json. Returns the exit status: 0, or 3 when it was broken off.

    Raises UsageError and DamagedRun when there is nothing to print.
    """
    # BLAS threads of NumPy and SciPy would be forked over; nothing here needs them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from stress.process import ending
    from stress.judge import ratio as statistics
    from stress.calibrate import report
    from stress.calibrate.gather import gather
    from stress.calibrate.samples import read_samples
    from stress.calibrate.table import calibration
    from stress.show.progress import Progress
    from stress.process.streams import printing

    broken_off = False
    with ending.interruptible():
        if options.samples is not None and options.runs == 0:
            samples = read_samples(options.samples)
        else:
            with Progress(quiet) as progress:
                statistics.warm_up()
                samples, broken_off = gather(options, progress)
        ending.ignore_further()
        found = calibration(samples, options.margin)
    with printing():
        report.write(found, format, sys.stdout)
    return 3 if broken_off else 0
