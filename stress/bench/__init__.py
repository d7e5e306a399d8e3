"""`python -m stress bench`: how fast the model itself is, as ratios within one run.

    speed      ours against C, malloc and no allocator at all, in one process; uses
               workloads (the tapes), programs (the other allocators), reference (the C)
    scaling    two CPUs against one, with the run's own workers, and how soon those are ready
    measure    all of it, and `--help`
    result, report, watch    goals and trust, printing, what disturbed

A goal that is missed is said, and is no error: what the machine allows is not for us to judge.
"""

from __future__ import annotations


def main(format: str, quiet: bool) -> int:
    """Measure, then print as text, markdown or json. Returns the exit status, 0.

    Raises DamagedRun when a worker dies or hangs, or the reference does not compile.
    """
    from stress.bench.measure import measure
    from stress.bench.report import print_report
    from stress.errors import DamagedRun
    from stress.progress import Progress
    from stress.worker import Lost

    with Progress(quiet) as progress:
        try:
            found = measure(progress.phase)
        except (Lost, TimeoutError) as error:
            raise DamagedRun(f"the benchmark broke off: {error}") from None
    print_report(found, format)
    return 0
