"""What every command that plays shares: threads, log, signals, progress, and the exit status at its end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from stress.process import ending
from stress.process.log import close_logging, setup_logging
from stress.show.progress import Progress


@contextlib.contextmanager
def session(*, quiet: bool, log_level: str, log_file: Path | None = None, intervals: bool = True) -> Iterator[Progress]:
    """Within it blocks may be played: the log is set up, signals end what goes on, and the progress yielded is shown.

    intervals: of ratios may be worked out in the end.
    Enter it before anything imports NumPy: BLAS threads would be forked over, and nothing here needs them.
    Whoever has all that it wants calls `ending.ignore_further` before it writes.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from stress.judge import ratio

    setup_logging(log_level, log_file)
    try:
        with ending.interruptible(), Progress(quiet=quiet) as progress:
            progress.phase("preparing")
            if intervals:
                ratio.warm_up()  # now, so that Ctrl-C later need not wait for it
            yield progress
    finally:
        close_logging()
