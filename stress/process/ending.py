"""How a run ends before its time: Ctrl-C, SIGTERM, and the death of the coordinator.

The first signal becomes a KeyboardInterrupt in the main thread; later ones do not disturb the ending.
Python loses an exception that is raised inside a callback (a destructor, a log handler), so loops
that can take long also call `check`, and nothing is said of one that was lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1

_inside = False  # of `interruptible`
_received = ""  # name of the first signal
_held = 0  # above 0: a signal is noted, `held` raises it at its end
_deaf = False  # from now on every signal is ignored


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT and SIGTERM raise KeyboardInterrupt once, whose text is the signal's name.

    When one has arrived the program is ending, and ignores both from then on until it has exited: an
    impatient user's next Ctrl-C must not kill it while it says how it ended.

    Outside the main thread, where Python allows no handlers, and within another one, it does nothing; a signal that
    the parent process had ignored stays ignored.
    """
    global _received, _deaf, _inside
    if _inside or threading.current_thread() is not threading.main_thread():
        yield
        return
    _received, _deaf, _inside = "", False, True
    before = {s: signal.getsignal(s) for s in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _handle)
    hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(_lost, hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if _received else handler)
        _received, _deaf, _inside = "", False, False


def _handle(number: int, frame: object) -> None:
    global _received
    if _deaf or _received:
        return
    _received = signal.Signals(number).name
    if not _held:
        raise KeyboardInterrupt(_received)


def _lost(hook: Callable[[sys.UnraisableHookArgs], object], found: sys.UnraisableHookArgs) -> None:
    if not (_received and isinstance(found.exc_value, KeyboardInterrupt)):
        hook(found)


def check() -> None:
    """Raise KeyboardInterrupt if a signal has arrived, even if its exception was lost."""
    if _received and not _deaf:
        raise KeyboardInterrupt(_received)


def ignore_further() -> None:
    """Ignore both signals until the end of `interruptible`: what is left to do is short and must be done."""
    global _deaf
    _deaf = True


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep a signal back until the block's end: it must not be cut in two, such as a fork and its book-keeping."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1
    if not _held:
        check()


def live_with_parent(parent: int) -> None:
    """In a process just forked: have the kernel kill it when `parent` dies, and leave Ctrl-C to that one.

    The kernel watches the thread that forked, which must be the parent's main thread.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before that
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
