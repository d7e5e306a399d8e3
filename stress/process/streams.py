"""Writing what a command prints, to whatever stdout is."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from stress.process.statuses import DAMAGED


def prepare() -> None:
    """Call it first: whatever was closed before the program began is open, to nowhere, and stdout takes any letter,
    and stderr whatever happens.

    A descriptor of 0, 1 or 2 that is free would be given to the next file that is opened, and what is printed would
    end up in there. A terminal that cannot show an arrow or a dash shows a question mark.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest that is free
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="replace", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        raw = _Forgiving(2, "w", closefd=False)
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(raw), sys.stderr.encoding, "backslashreplace", line_buffering=True, write_through=True
        )


class _Forgiving(io.FileIO):
    """stderr, from which nothing comes back: where a message cannot go there is nobody to tell either."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def finish(status: int) -> int:
    """Write what is still to be written; the exit status, which is 3 when stdout did not take it (a full disk).

    A closed pipe is no failure: its reader has seen enough.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()
    except OSError as error:
        _to_nowhere()
        print(f"error: stdout cannot be written: {error.strerror}", file=sys.stderr)
        return DAMAGED
    return status


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Within it a command prints its report, and flushes it at the end.

    A terminal that cannot show an arrow or a dash shows a question mark. A closed pipe ends the block in
    silence: its reader has seen enough, and the interpreter must not complain about the rest at exit.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()


def printable(text: str) -> str:
    """The text as UTF-8 can hold it: bytes of a file's name that are no UTF-8 become \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _to_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
