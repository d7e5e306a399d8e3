"""A little of the storms; `python -m tests.storms --minutes 10` plays more, from other seeds."""

import os
import subprocess
import sys
from pathlib import Path

from until import PATIENCE, SEED

ROOT = Path(__file__).resolve().parents[2]


def test_a_little_of_each_storm(tmp_path):
    seed = str(int(os.environ[SEED]))
    report = tmp_path / "storms.txt"
    some = ("--lines", "40", "--inputs", "40", "--kills", "1", "--limits", "1", "--only", "machine")
    command = [sys.executable, "-m", "tests.storms", *some, "--jobs", "1", "--seed", seed, "--report", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lines: 40 of 40, 0 with faults" in report.read_text()
