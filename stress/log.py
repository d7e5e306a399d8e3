"""Logging of the coordinator and its workers into one place, through multiprocessing-logging.

Records of forked workers travel through a queue to a thread of the coordinator, which writes them.
The library demands that the global start method is fork, and its queue knows a fork only when the
worker is a `multiprocessing.Process`: start workers that way, not with a bare `os.fork`.

A worker that is killed while it writes into the queue keeps the queue's lock for ever. So the
coordinator never waits for the queue when it exits, and `close_logging` gives up after 5 s.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
from pathlib import Path

from stress.errors import UsageError

# Loggers under these names follow --log-level; everybody else's (Numba's are many) start at warning.
OURS = ("stress", "scenarios", "allocators", "shm")
FORMAT = "%(asctime)s %(levelname)-7s %(processName)s[%(process)d] %(name)s: %(message)s"


def setup_logging(level: str = "warning", file: Path | None = None) -> None:
    """Send records of `level` and above to stderr, or to `file` (then stderr has warnings only).

    Call it once, before any worker is forked, and `close_logging` at the end. Raises UsageError when
    the file cannot be opened.
    """
    from multiprocessing_logging import MultiProcessingHandler, install_mp_handler

    numeric = logging.getLevelNamesMapping()[level.upper()]
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(max(numeric, logging.WARNING) if file else numeric)
    handlers: list[logging.Handler] = [console]
    if file is not None:
        try:
            handlers.append(logging.FileHandler(file, encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"--log-file {file}: cannot be written: {error.strerror}") from None
        handlers[-1].setLevel(numeric)
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(numeric)
    multiprocessing.set_start_method("fork", force=True)
    install_mp_handler(root)
    for handler in root.handlers:
        if isinstance(handler, MultiProcessingHandler):
            handler.queue.cancel_join_thread()


def close_logging() -> None:
    """Write what is still on its way, for at most 5 s per handler, and take the handlers off again."""
    from multiprocessing_logging import MultiProcessingHandler

    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, MultiProcessingHandler):
            handler.close()
            root.removeHandler(handler)
