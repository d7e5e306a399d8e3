"""`python -m stress bench`: how fast the model itself is, as ratios within one run.

    speed      ours against C, malloc and no allocator at all, in one process (tapes: `stress.play.warm`); uses
               programs (the other allocators), reference (the C)
    peers      all our allocators beside those that people would use instead, each in a process of its own
    scaling    two CPUs against one, with the run's own workers, and how soon those are ready
    measure    all of it, and `--help`
    goal, result, watch      a promise, the figures and their trust, what disturbed
    report, page             printing, and the comparison with other allocators as HTML

A goal that is missed is said, and is no error: what the machine allows is not for us to judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stress.bench.peers.measure import Plan


def main(format: str, quiet: bool, page: Path | None = None, plan: Plan | None = None) -> int:
    """Measure, then print as text, markdown or json. Returns the exit status, 0.

    page: write the comparison with other allocators there as HTML. plan: what of it is measured; None leaves it out.
    Raises DamagedRun when a worker dies or hangs, or the reference does not compile, and UsageError for a library
    that cannot be loaded or a page that cannot be written.
    """
    from stress.bench.measure import measure
    from stress.bench.report import print_report
    from stress.play.worker import Lost
    from stress.process.errors import DamagedRun
    from stress.show.progress import Progress

    with Progress(quiet) as progress:
        try:
            found = measure(progress.phase, plan)
        except (Lost, TimeoutError) as error:
            raise DamagedRun(f"the benchmark broke off: {error}") from None
    if page is not None and found.peers is not None:
        from stress.bench.page import write_page

        write_page(found, page)
    print_report(found, format)
    return 0
