"""How fast campaigns are: `python tests/helpers/campaign_speed.py`. A worker is a process on this machine.

end to end: a study of short serial jobs by the command, everything included. overhead: of a job, the time that a worker
has for it beyond what it takes: between the first result and the last, workers × seconds less the sum of the jobs' own.
scaling: results a second on two workers over those on one, of longer jobs.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("dead-free", "slabs = 32\ncgroups = 4")
LONGER = ("dead-free", "slabs = 1024\ncgroups = 64")
STUDY = """
name = "speed"
kind = "serial"
[base]
scenario = "{0}"
memory = "64M"
cpus = 2
[base.set]
{1}
[cross]
design = ["linux-3.16", "v3"]
[cross.seed]
from = 1
count = {2}
"""
PLANNED = """
name = "planned"
kind = "serial"
[base]
scenario = "free-burst"
[cross]
design = ["linux-3.16", "v1", "v2", "v3", "linux-4.0"]
cpus = [1, 2, 4, 8, 16, 32, 64, 128]
seed = { from = 1, count = 250 }
[cross.set]
object_size = [16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048]
"""


def command(*arguments: str) -> float:
    """Seconds of a command."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "stress", "campaign", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - began


def played(folder: Path, what: tuple[str, str], count: int, workers: int) -> tuple[float, float, float]:
    """(seconds of the command, jobs a second between the first result and the last, ms of a worker beyond each job)."""
    folder.mkdir()
    study = folder / "study.toml"
    study.write_text(STUDY.format(*what, count // 2))
    seconds = command("run", str(study), "--out", str(folder / "run"), "--workers", str(workers), "--quiet")
    with sqlite3.connect(folder / "results.sqlite") as db:
        rows = db.execute("SELECT at, seconds FROM results ORDER BY at").fetchall()
    span = rows[-1][0] - rows[0][0]
    after = [took for at, took in rows if at > rows[0][0]]
    return seconds, len(after) / span, 1000 * (workers * span - sum(after)) / len(after)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        jobs = 1000
        seconds, rate, beyond = played(root / "short", SHORT, jobs, 2)
        print(f"{jobs} short serial jobs on 2 workers: {seconds:.1f} s end to end, {60 * jobs / seconds:,.0f} a minute")
        print(f"… once the workers are up: {60 * rate:,.0f} a minute, {beyond:.1f} ms of a worker beyond each job")
        _, one, _ = played(root / "one", LONGER, 60, 1)
        _, two, _ = played(root / "two", LONGER, 60, 2)
        print(f"60 longer jobs: {one:.2f} a second on 1 worker, {two:.2f} on 2: {two / one:.2f} times")
        study = root / "planned.toml"
        study.write_text(PLANNED)
        seconds = command("run", str(study), "--dry-run", "--out", str(root / "planned" / "run"))
        print(f"a dry run of 100,000 jobs: {seconds:.1f} s")
        code = (
            "import sys, resource; from pathlib import Path; from stress.campaign import command, plan, study; "
            "from stress.campaign.identity import here; from stress.campaign.store import Campaign\n"
            f"wanted, text = study.read(Path({str(study)!r}))\n"
            f"Campaign.create(Path({str(root / 'made' / 'run')!r}), Path({str(root / 'made' / 'r.sqlite')!r}), text, "
            "plan.plan(wanted, here()), {})\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)"
        )
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
        print(f"a campaign of them, made: {time.monotonic() - began:.1f} s, {done.stdout.strip()} MiB at most")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"the largest process of all this: {most} MiB; {len(os.sched_getaffinity(0))} CPUs")


if __name__ == "__main__":
    main()
