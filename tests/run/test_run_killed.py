"""Whoever is killed, whenever: no process stays, nothing hangs, and the result says what happened."""

import os
import signal
import time

import psutil
import pytest
from running import Run, invoke, small
from until import drawn_delay, until

from stress.play import compiled

pytestmark = pytest.mark.xdist_group("cpus")

MOMENTS = ("warming up linux-3.16", "counting v3", "first launch")
CREWS = {"first launch": 3, "second launch": 4}  # of the passes in one world, of the trial, of a launch each
LONG = ("--seconds", "300", "--launches", "4")


def shared_memory() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if not name.startswith("sem.mp-")}


@pytest.fixture
def long_run(tmp_path, request):
    """Starts a run that would take five minutes, in four launches, and waits for a moment of it and a bit."""
    runs = []

    def start(moment: str, *arguments: str, operations: int = 20_000, **env: str) -> Run:
        before = shared_memory()
        log = ("--log-level", "debug", "--log-file", str(tmp_path / "log"))
        run = Run(tmp_path, "--after", "v3", *LONG, *small(operations), *log, *arguments, env=env)
        run.shared_before = before
        runs.append(run)
        if moment in CREWS:  # said by the log at once, by the progress in its next line, seconds later
            run.until(lambda: run.log_text.count(" workers ready after ") >= CREWS[moment])
        else:
            run.until_says(moment)
        time.sleep(drawn_delay(request.node.name, 0.3))
        return run

    yield start
    for run in runs:
        run.__exit__()


def check_partial(run: Run, status: int = 3):
    run.wait_for_all()
    assert run.wait() == status, run.stderr
    assert "Traceback" not in run.stderr, run.stderr
    assert not shared_memory() - run.shared_before
    result = run.result()
    assert result.partial and result.partial_reason and result.trust.grade == "poor"
    return result


# Each worker, each moment, and the kworker in both kinds of block: it has most to do in a counted one.
@pytest.mark.parametrize(
    ("victim", "moment"),
    [
        ("worker-of-CPU-0", MOMENTS[0]),
        ("worker-of-CPU-1", MOMENTS[1]),
        ("kworker", MOMENTS[1]),
        ("kworker", MOMENTS[2]),
        ("worker-of-CPU-1", MOMENTS[2]),
    ],
)
def test_a_killed_worker_is_named(long_run, victim, moment):
    run = long_run(moment)
    run.kill(victim)
    result = check_partial(run)
    name = victim.replace("-", " ")
    assert result.partial_reason.startswith(f"{name} (pid ") and "was killed by SIGKILL" in result.partial_reason
    assert f"PARTIAL: {result.partial_reason}" in " ".join(run.stdout.split())
    assert run.stderr.count("was killed by SIGKILL") == 1


@pytest.mark.parametrize("moment", ["preparing", *MOMENTS[1:]])
def test_a_killed_coordinator_leaves_nothing(long_run, moment):
    run = long_run(moment)
    run.process.kill()
    run.wait_for_all()
    assert not shared_memory() - run.shared_before
    assert not list(run.out.glob("*/*"))


def test_all_killed_at_once(long_run):
    run = long_run(MOMENTS[2])
    for process in run.processes():
        process.kill()
    run.wait_for_all()


@pytest.mark.parametrize(
    ("number", "moment"), [*((signal.SIGINT, moment) for moment in MOMENTS), (signal.SIGTERM, MOMENTS[1])]
)
def test_ctrl_c_reaches_the_whole_group(long_run, moment, number):
    run = long_run(moment)
    if number == signal.SIGINT:
        os.killpg(run.process.pid, number)
    else:
        run.process.send_signal(number)
    result = check_partial(run)
    assert result.partial_reason == "interrupted"


@pytest.mark.parametrize("end", ["Ctrl-C", "a killed worker"])
def test_launches_that_have_ended_are_kept(long_run, end):
    run = long_run("second launch", "--launches", "200")
    if end == "Ctrl-C":
        os.killpg(run.process.pid, signal.SIGINT)
    else:
        run.kill("kworker")
    result = check_partial(run)
    measured = [block for block in result.blocks if not block.warmup]
    assert {block.design for block in measured} == {"linux-3.16", "v3"}
    assert len(measured) == 2 * result.turns.launches == 2 * result.ratios["v3"].live.pairs >= 2


def test_an_impatient_user_still_gets_the_result(long_run):
    run = long_run(MOMENTS[2])
    until(lambda: run.process.poll() is not None, lambda: run.process.signal_group(signal.SIGINT), 0.02)
    check_partial(run)


@pytest.mark.parametrize("serial", [[], ["--serial"]], ids=["parallel", "serial"])
def test_ctrl_c_while_compiling(long_run, tmp_path, serial):
    run = long_run("compiling: 0 of", *serial, SLAB_STRESS_CACHE=str(tmp_path / "cache"))
    os.killpg(run.process.pid, signal.SIGINT)
    check_partial(run)


def test_a_coordinator_killed_while_compiling_takes_its_helpers_along(long_run, tmp_path):
    run = long_run("compiling: 0 of", SLAB_STRESS_CACHE=str(tmp_path / "cache"))
    assert run.until(run.children)
    run.process.kill()
    run.wait_for_all()


def test_ctrl_c_in_serial_play(long_run):
    run = long_run("playing v3", "--serial", operations=1_500_000)
    os.killpg(run.process.pid, signal.SIGINT)
    assert list(check_partial(run).designs) == ["linux-3.16", "v3"]


def test_ctrl_c_while_a_trace_is_read(recorded, tmp_path):
    path = recorded("linux-3.16-slub-base.csv.zst")
    with Run(tmp_path, "--trace", str(path)) as run:
        run.shared_before = shared_memory()
        run.until_says("reading")
        os.killpg(run.process.pid, signal.SIGINT)
        check_partial(run)


@pytest.mark.parametrize("victim", ["worker-of-CPU-0", "kworker"])
def test_a_stopped_worker_is_a_hang(long_run, victim):
    run = long_run(MOMENTS[2], SLAB_STRESS_HANG_SECONDS="2")
    process = run.named(victim)
    process.suspend()
    run.until(lambda: process.status() == psutil.STATUS_STOPPED)
    result = check_partial(run)
    assert (
        "hung" in result.partial_reason
        and f"{victim.replace('-', ' ')} (pid {process.pid}, stopped)" in result.partial_reason
    )


@pytest.mark.parametrize("command", ["run", "calibrate"])
def test_a_bad_patience_is_refused_before_anything_is_compiled(tmp_path, monkeypatch, command):
    monkeypatch.setenv("SLAB_STRESS_HANG_SECONDS", "soon")
    monkeypatch.setattr(compiled, "_in_helpers", lambda *_: pytest.fail("somebody had to wait"))
    monkeypatch.setattr(compiled, "_uncached", list)
    done = invoke(tmp_path, "--quiet", command=command)
    assert done.exit_code == 2, done.exception
    assert done.stderr.startswith("error: SLAB_STRESS_HANG_SECONDS=soon") and done.stdout == ""
