"""Writing what a command prints, to whatever stdout is."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator


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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
