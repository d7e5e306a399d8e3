"""Signals: the first one ends, later ones do not disturb; none is lost."""

import os
import signal

import pytest

from stress.process import ending


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in ending.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ending.SIGNALS)
def test_the_first_signal_is_raised_and_no_other(number):
    with ending.interruptible():
        with pytest.raises(KeyboardInterrupt, match=signal.Signals(number).name):
            send(number)
        send(number)
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ending.check()
        ending.ignore_further()
        ending.check()
    ending.check()
    for number in ending.SIGNALS:
        assert signal.getsignal(number) is signal.SIG_IGN
        send(number)


def test_a_signal_is_held_until_the_end_of_the_block():
    done = []
    with ending.interruptible():
        with pytest.raises(KeyboardInterrupt):
            with ending.held():
                send()
                with ending.held():
                    done.append(1)
                done.append(2)
    assert done == [1, 2]


def test_a_signal_in_a_destructor_is_not_lost(monkeypatch):
    class Thing:
        def __del__(self):
            send()

    said = []
    monkeypatch.setattr("sys.unraisablehook", said.append)
    with ending.interruptible():
        thing = Thing()
        del thing  # Python tells the hook what a destructor raises, and forgets it
        with pytest.raises(KeyboardInterrupt):
            ending.check()
    assert not said


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending.interruptible():
            send()
            ending.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_nothing_after_a_quiet_end_is_caught():
    before = [signal.getsignal(number) for number in ending.SIGNALS]
    with ending.interruptible():
        pass
    assert [signal.getsignal(number) for number in ending.SIGNALS] == before
    with pytest.raises(KeyboardInterrupt):
        send()
