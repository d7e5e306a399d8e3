"""`python -m tests.storms`: storms of faults, longer than the suite has time for.

python -m tests.storms --minutes 10                                   all storms, for so long
python -m tests.storms --lines 10000 --inputs 10000 --kills 1000 --jobs 16 --minutes 6 --report storms.txt
python -m tests.storms kills --seed 7 --case 31                        a case again
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/helpers")]
FOR_EVER = {"lines": 10_000, "inputs": 10_000, "kills": 1_000}


def main() -> int:
    """Play, print figures and faults; 1 if there was a fault."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.storms", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("storm", nargs="?", choices=("lines", "inputs", "kills", "limits", "neighbours", "usual"))
    for name, count in FOR_EVER.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"so many of them  [default: {count:,}]")
    parser.add_argument("--limits", type=int, metavar="N", help="[default: a tenth of --kills]")
    parser.add_argument("--neighbours", type=int, metavar="N", help="[default: a twentieth of --kills]")
    parser.add_argument("--minutes", type=float, default=10.0, help="ends by then, whatever is left  [default: 10]")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="players  [default: the CPUs]")
    parser.add_argument("--seed", type=int, help="of everything drawn  [default: a new one]")
    parser.add_argument("--case", type=int, nargs="+", metavar="N", help="only these of the storm that is named")
    parser.add_argument("--only", default="", metavar="TEXT", help="disturb only commands that begin with it")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write figures and faults there")
    asked = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # what a case was given need not be text
    from tests.storms import crew

    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1 << 31)
    print(f"seed {seed}", flush=True)
    counts = {name: getattr(asked, name) for name in FOR_EVER}
    if all(count is None for count in counts.values()):
        counts = dict(FOR_EVER)
    counts = {name: count or 0 for name, count in counts.items()}
    counts["limits"] = counts["kills"] // 10 if asked.limits is None else asked.limits
    counts["neighbours"] = counts["kills"] // 20 if asked.neighbours is None else asked.neighbours
    plan = None
    if asked.storm:
        counts = {asked.storm: counts.get(asked.storm) or 1000}
        if asked.case is not None:
            plan, counts = [(asked.storm, seed, case) for case in asked.case], {asked.storm: len(asked.case)}
        elif asked.storm == "usual":
            plan = [("usual", 0, number) for number in range(len(crew.kills.COMMANDS))]
    crew.kills.only = asked.only
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # either ends it, and what was found is told
    report = crew.Report(seed, counts, asked.jobs)
    try:
        crew.play(
            report,
            60 * asked.minutes,
            lambda told: print(crew.shown(told), flush=True),
            plan,
            lambda passed: print(crew.so_far(report, passed), file=sys.stderr),
        )
    except KeyboardInterrupt:
        print("interrupted")
    print(crew.figures(report))
    if asked.report:
        crew.write(report, asked.report)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
