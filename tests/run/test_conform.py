"""`conform`: the recorded steps of a real kernel, every counter after each of them."""

import csv

from running import ROOT, finish, invoke

SLUB = ROOT / "tests" / "data" / "linux-3.16-slub-steps.csv"


def test_all_recorded_steps_are_equal(tmp_path):
    run = finish(tmp_path, str(SLUB), command="conform")
    assert run.stdout.startswith("252 of 252 steps equal")


def test_a_changed_number_is_found_and_shown(tmp_path):
    """One counter of one step is not what the kernel did: exit 1, with step, counter, theirs and ours."""
    with SLUB.open(newline="") as lines:
        rows = list(csv.reader(lines))
    column = rows[0].index("free_frozen")
    ours = rows[100][column]
    theirs = rows[100][column] = str(int(ours) + 1)
    path = tmp_path / "steps.csv"
    with path.open("w", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(rows)
    run = finish(tmp_path, str(path), command="conform", status=1)
    first, last = run.stdout.splitlines()
    step = rows[100][rows[0].index("step")]
    assert f"step {step} " in first and f"free_frozen is {theirs} in the kernel, {ours} here" in first
    assert last.startswith("251 of 252 steps equal")


def test_a_file_that_is_no_recording(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("a,b\n1,2\n")
    done = invoke(tmp_path, str(path), command="conform")
    assert done.exit_code == 2 and done.stderr.startswith("error: ") and str(path) in done.stderr and done.stdout == ""
    missing = invoke(tmp_path, str(tmp_path / "none.csv"), command="conform")
    assert missing.exit_code == 2 and "none.csv" in missing.stderr
