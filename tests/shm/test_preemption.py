"""Whether a thread was taken off its CPU, as the kernel tells."""

import ctypes
import os
import signal
import threading
import time

import pytest

from shm.preemption import watch, works

pytestmark = pytest.mark.skipif(not works(), reason="the kernel or the C library has no restartable sequences")


@pytest.fixture
def word():
    """The word of this thread, which is bound to one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    mine = watch()
    at = ctypes.c_uint64.from_address(mine.word)
    yield at, mine.descriptor
    at.value = 0  # its memory goes
    os.sched_setaffinity(0, before)


def kept_over(word, moment, tries: int) -> int:
    """How often of so many times the word was still there after the moment."""
    at, descriptor = word
    kept = 0
    for _ in range(tries):
        at.value = descriptor
        moment()
        kept += at.value == descriptor
    return kept


def spin():
    for _ in range(100):
        pass


def test_who_runs_on_keeps_the_word(word):
    assert kept_over(word, spin, 200) > 100  # the machine may take the CPU away now and then


def test_who_sleeps_loses_it(word):
    assert kept_over(word, lambda: time.sleep(0.001), 20) == 0


def test_who_has_to_share_the_cpu_loses_it(word):
    """In the midst of work: another process wants the same CPU."""
    at, descriptor = word
    pid = os.fork()
    if pid == 0:
        while True:  # on the same CPU
            pass
    try:
        deadline = time.thread_time() + 60
        at.value = descriptor
        while at.value == descriptor and time.thread_time() < deadline:
            pass
        assert at.value == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_each_thread_has_its_own():
    found = []
    thread = threading.Thread(target=lambda: found.append(watch().word))
    thread.start()
    thread.join()
    assert found[0] != watch().word
