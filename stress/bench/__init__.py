"""`python -m stress bench`: how fast the model itself is, as ratios within one run.

    speed      ours against C, malloc and no allocator, in one process      (programs, reference, workloads)
    scaling    two CPUs against one, with the run's own workers
    startup    `--help`

A goal that is missed is said, and is no error: what the machine allows is not for us to judge.
"""

from __future__ import annotations


def main(format: str, quiet: bool) -> int:
    """Measure, then print as text, markdown or json. Returns the exit status, 0."""
    from stress.bench.measure import measure
    from stress.bench.report import print_report
    from stress.progress import Progress

    with Progress(quiet) as progress:
        found = measure(progress.phase)
    print_report(found, format)
    return 0
