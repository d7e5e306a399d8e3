"""Logging of the coordinator and its workers into one place, through multiprocessing-logging.

Records of forked workers travel through a queue to a thread of the coordinator, which writes them.
The library demands that the global start method is fork, and its queue knows a fork only when the
worker is a `multiprocessing.Process`: start workers that way, not with a bare `os.fork`.

A worker that is killed while it writes into the queue keeps the queue's lock for ever, and one killed
before that leaves a record counted that never comes. So the coordinator does not wait until the queue
is empty, as the library would: `close_logging` sends a last record and waits for that, for a second.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
from pathlib import Path

from stress.process.errors import UsageError

# Loggers under these names follow --log-level; everybody else's (Numba's are many) start at warning.
OURS = ("stress", "scenarios", "allocators", "shm")
FORMAT = "%(asctime)s %(levelname)-7s %(processName)s[%(process)d] %(name)s: %(message)s"


class _UntilTheLast(logging.Handler):
    """Passes records on until the last one, `LAST`, at which it ends the library's thread."""

    LAST = "the last record"

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__(handler.level)
        self.handler = handler
        self.setFormatter(handler.formatter)
        self.ended = threading.Event()

    def setFormatter(self, fmt: logging.Formatter | None) -> None:
        super().setFormatter(fmt)
        self.handler.setFormatter(fmt)

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == self.LAST:
            self.ended.set()
            raise EOFError  # by which the library's thread knows that nothing more will come
        self.handler.emit(record)

    def close(self) -> None:
        self.handler.close()
        super().close()


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
        root.addHandler(_UntilTheLast(handler))
    for name in OURS:
        logging.getLogger(name).setLevel(numeric)
    multiprocessing.set_start_method("fork", force=True)
    install_mp_handler(root)
    for handler in root.handlers:
        if isinstance(handler, MultiProcessingHandler):
            handler.queue.cancel_join_thread()


def close_logging() -> None:
    """Write what is still on its way, for at most a second per handler, and take the handlers off again."""
    from multiprocessing_logging import MultiProcessingHandler

    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, MultiProcessingHandler):
            handler.queue.put(logging.makeLogRecord({"msg": _UntilTheLast.LAST}))
            if not handler.sub_handler.ended.wait(1.0):
                # A killed worker has the lock. The library would wait 5 s in close(), now or at exit.
                handler._is_closed = True
                handler.sub_handler.close()
            handler.close()
            root.removeHandler(handler)
