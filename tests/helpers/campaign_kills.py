"""A study through many SIGKILLs, compared with an undisturbed one.

    python tests/helpers/campaign_kills.py JOBS KILLS [SEED]

A scheduler and two workers are processes; every so often one of them, or the client, is killed at random and started
again, as a service manager would.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]
from cluster import Cluster, client, data, end  # noqa: E402

STUDY = """
name = "killed"
kind = "serial"
[base]
scenario = "dead-free"
memory = "64M"
cpus = 2
[base.set]
slabs = 32
cgroups = 4
[cross]
design = ["linux-3.16", "v3"]
[cross.seed]
from = 1
count = {count}
[keep]
counts = true
partition = ["design"]
"""


def done(folder: Path) -> int:
    """Jobs that have a result."""
    try:
        with sqlite3.connect(f"file:{folder.parent / 'results.sqlite'}?mode=ro", uri=True, timeout=60) as db:
            return db.execute("SELECT count(*) FROM results").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def main(jobs: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        study = root / "study.toml"
        study.write_text(STUDY.format(count=jobs // 2))
        quiet, wild = root / "quiet" / "run", root / "wild" / "run"
        for folder in (quiet, wild):
            folder.parent.mkdir()
        began = time.monotonic()
        with client(root, "run", str(study), "--out", str(quiet), "--quiet") as process:
            assert process.wait() == 0
        print(f"undisturbed: {jobs} jobs in {time.monotonic() - began:.1f} s")
        began, killed = time.monotonic(), Counter()
        with Cluster(root, 2) as cluster:
            arguments = ("run", str(study), "--out", str(wild))
            process = None
            while True:
                cluster.tend()
                if process is None or process.poll() is not None:
                    if process is not None and process.returncode == 0:
                        break
                    if (wild / "catalogue.sqlite").exists():
                        arguments = ("resume", str(wild))
                    with (root / "client.log").open("a") as log:
                        log.write(f"--- {arguments}\n")
                    holder = client(root, *arguments, "--scheduler", cluster.address, "--quiet")
                    process = holder.__enter__()
                share = done(wild) / jobs
                if killed.total() < kills and share >= (killed.total() + 0.5) / (kills + 1):
                    victim = chance.choice(["client", "scheduler", "worker-0", "worker-1"])
                    killed[victim.partition("-")[0]] += 1
                    if victim == "client":
                        end(process)
                    else:
                        cluster.kill(victim)
                time.sleep(0.02)
        same = data(quiet) == data(wild)
        told = ", ".join(f"{number} {who}s" for who, number in sorted(killed.items()))
        print(f"{killed.total()} SIGKILLs ({told}; seed {seed}): {jobs} jobs in {time.monotonic() - began:.1f} s")
        print(f"the same byte for byte: {same}; {sum(map(len, data(wild).values()))} bytes of Parquet")
        if not same or killed.total() < kills:
            sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 1)
