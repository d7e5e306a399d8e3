"""What a run is doing right now, on stderr: a live line on a terminal, a plain line now and then elsewhere.

No thread is started for it: the line changes when `update` is called, so the coordinator stays
single-threaded while it forks workers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from stress.report.units import count, rate

PLAIN_EVERY = 2.0  # seconds between plain lines
LIVE_EVERY = 0.1  # seconds between changes of the live line


class Progress:
    """Live progress of one run; `quiet` silences it. Usable as a context manager."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._clock = clock
        self._last = -float("inf")
        self._phase = ""
        self._live = None
        if not quiet and self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream, markup=False, highlight=False)
            self._live = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()

    def phase(self, text: str) -> None:
        """A new phase of the run began, such as "compiling v3"."""
        self._phase = text
        self._show(text)

    def update(self, done: float, dead_caches: int, pages_pinned: int, frees_per_second: float, design: str) -> None:
        """Where the run stands: share done (0 to 1), state of the design that is being played now.

        Cheap enough to be called often: it shows itself only as often as somebody can read it.
        """
        if self._quiet or self._clock() - self._last < (LIVE_EVERY if self._live else PLAIN_EVERY):
            return
        share = min(max(done, 0.0), 1.0)
        self._show(
            f"{share:4.0%} {design}: {rate(frees_per_second)} frees/s, "
            f"{count(dead_caches)} dead caches, {count(pages_pinned)} pages pinned"
        )

    def close(self) -> None:
        """Take the live line away. May be called more than once."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self, text: str) -> None:
        if self._quiet:
            return
        self._last = self._clock()
        if self._live is not None:
            self._live.update(text, refresh=True)
        else:
            print(text, file=self._stream, flush=True)
