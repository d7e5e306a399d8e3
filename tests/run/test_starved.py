"""A worker that does nothing is not one that the machine does not let run."""

import multiprocessing
import os
import re
import signal
import time

import pytest

from stress.play import worker

PATIENCE = 0.6  # seconds of one look


def sleep(connection):
    """What a process looks like that gets no CPU time."""
    while True:
        signal.pause()


def nap(connection):
    """What a CPU of the model looks like that waits for something."""
    while True:
        time.sleep(1e-5)


def spin(connection):
    while True:
        pass


def stop(connection):
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.fixture
def collect():
    crew = worker.Crew.__new__(worker.Crew)
    crew.members = []

    def start(body):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=body, args=(theirs,), daemon=True)
        process.start()
        crew.members.append(worker.Worker("worker of CPU 0", 0, None, process, ours))
        with pytest.raises(TimeoutError) as error:
            crew.collect(PATIENCE)
        return str(error.value)

    yield start
    for member in crew.members:
        member.process.kill()
    crew.close()


@pytest.mark.parametrize("body", [nap, spin, stop])
def test_what_waits_for_ever_hangs(collect, body, monkeypatch):
    """It may take some looks until the machine has let it run in one of them."""
    monkeypatch.setattr(worker, "_LENIENCY", 1000)
    text = collect(body)
    assert re.match(r"nothing moved for [\d.]+ s; no answer from worker of CPU 0 \(pid", text)
    assert "has not let" not in text and ("stopped" in text) == (body is stop)


def test_what_the_machine_does_not_run_gets_more_time(collect):
    began = time.monotonic()
    text = collect(sleep)
    assert text.startswith("nothing moved for 3 s") and text.endswith("the machine has not let worker of CPU 0 run")
    assert time.monotonic() - began >= 5 * PATIENCE
