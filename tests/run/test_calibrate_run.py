"""calibrate on real workers: a slowdown that was injected is found, samples add up, Ctrl-C keeps what is done."""

import json
import signal

import pytest
from running import Run, finish, invoke

from scenarios.tape import SECTION_DEAD_FREE, SECTION_LIVE_FREE
from stress.calibrate.gather import compare
from stress.calibrate.options import make_options
from stress.calibrate.stage import Slowness, staged
from stress.calibrate.tuning import Tuner
from stress.judge.verdict import judge
from stress.show.progress import Progress

pytestmark = pytest.mark.xdist_group("cpus")
SMALL = ("--scenario", "offline-storm", "--set", "operations=20000", "--set", "rounds=40", "--set", "cgroups=24")


@pytest.fixture(scope="module")
def stage():
    settings = ["operations=60000", "rounds=40", "cgroups=24", "active=12"]
    with staged(make_options(settings=settings, cpus=2), Progress(quiet=True)) as stage:
        yield stage


def test_a_slowdown_that_was_injected_is_called_slower(stage):
    tuner = Tuner(stage.kinds)
    tuner.try_out(stage, SECTION_LIVE_FREE, seed=1)
    calls = []
    while (
        "slower" not in calls and len(calls) < 7
    ):  # on a machine that others use, an interval may be too wide at first
        (made,) = compare(stage, (0.15, SECTION_LIVE_FREE), tuner, 0.5 * 2 ** len(calls), seed=len(calls))
        assert made.spun > 0.03 and made.kind == "live"
        calls.append(judge(made.judged[-1]).call)
    assert "slower" in calls and "faster" not in calls, calls
    like = compare(stage, (None, None), tuner, 0.1, seed=9)
    assert [one.kind for one in like] == ["live", "dead"] and [one.spun for one in like] == [0.0, 0.0]


def test_frees_of_the_kind_asked_for_spin_as_often_and_as_long_as_told(stage):
    launches = stage.launches(False, Slowness(every=100, cycles=3000, kind=SECTION_DEAD_FREE), seed=5)
    launches.try_out()
    played = launches.measure(0.0)
    dead = stage.compared(played, SECTION_DEAD_FREE)
    frees = played.operations[SECTION_DEAD_FREE]
    assert played.spins[0] == 0 and dead.spins == pytest.approx(frees / 100, abs=4) and dead.operations <= frees
    assert 3000 * dead.spins <= dead.spun_cycles <= 6000 * dead.spins


def test_samples_of_several_invocations_make_one_table(tmp_path):
    common = (
        "--seconds",
        "0.1",
        "--runs",
        "1",
        "--slowdown",
        "10",
        "--samples",
        str(tmp_path / "s.json"),
        "--quiet",
        *SMALL,
    )
    finish(tmp_path, *common, command="calibrate")
    run = finish(tmp_path, *common, "--format", "json", command="calibrate")
    found = json.loads(run.stdout)
    assert [row["slower"]["runs"] for row in found["rows"]] == [2] and len(found["commands"]) == 2
    assert found["setting"]["parameters"]["operations"] == 20_000
    again = finish(
        tmp_path, "--runs", "0", "--samples", str(tmp_path / "s.json"), "--format", "json", command="calibrate"
    )
    assert json.loads(again.stdout) == found
    other = invoke(tmp_path, *common, "--seconds", "0.2", command="calibrate")
    assert other.exit_code == 2
    assert "its comparisons have seconds 0.1, this one 0.2" in other.stderr and other.stdout == ""


def test_ctrl_c_keeps_what_is_done(tmp_path):
    samples = tmp_path / "s.json"
    with Run(
        tmp_path,
        "--seconds",
        "0.1",
        "--runs",
        "1000",
        "--samples",
        str(samples),
        "--format",
        "json",
        *SMALL,
        command="calibrate",
    ) as run:
        run.until(samples.exists)
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 3 and "Traceback" not in run.stderr
        run.wait_for_all()
    assert json.loads(run.stdout)["rows"]


def test_bad_usage(tmp_path):
    done = invoke(tmp_path, "--slowdown", "77", command="calibrate")
    assert done.exit_code == 2 and done.stderr.startswith("error: --slowdown 77") and done.stdout == ""
