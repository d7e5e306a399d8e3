"""What a run is doing right now, on stderr: a live view on a terminal; elsewhere a plain line when a phase
begins, two seconds later, and every ten seconds within it.

On a terminal: how far the run is, about how long it still takes, and a line per design with the rates of its
last blocks as a sparkline, its dead caches and the pages they pin. No thread is started for it: the view
changes when `update` is called, so the coordinator stays single-threaded while it forks workers.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from stress.show.units import count, rate

if TYPE_CHECKING:
    from rich.console import RenderableType

PLAIN_FIRST = 2.0  # seconds from the plain line that begins a phase to the next
PLAIN_EVERY = 10.0  # seconds between plain lines within a phase
LIVE_EVERY = 0.1  # seconds between changes of the live view
SPARKS = " ▁▂▃▄▅▆▇█"
BLOCKS = 16  # of a sparkline
FORESEEABLE = 0.05  # share of the run that must have passed before its rest is foretold


@dataclasses.dataclass(slots=True)
class _Seen:
    """What was last seen of a design. rates: of its last blocks, frees per second. line, heard: when it had a
    line of its own, and when it was heard of."""

    rates: deque[float]
    line: float = -float("inf")
    heard: float = -float("inf")
    dead_caches: int = 0
    pages_pinned: int = 0


def sparkline(values: Sequence[float]) -> str:
    """A letter per value, its height the value's share of the greatest; "" for none."""
    most = max(values, default=0.0)
    return (
        "".join(SPARKS[max(1, round(value / most * (len(SPARKS) - 1)))] if value > 0 else SPARKS[0] for value in values)
        if most > 0
        else ""
    )


class Progress:
    """Live progress of one run; `quiet` silences it. Usable as a context manager."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._clock = clock
        self._last = -float("inf")
        self._live = None
        self._designs: dict[str, _Seen] = {}
        self._phase = ""
        self._begins = False  # nothing was shown since the phase began
        self._from: tuple[float, float] | None = None  # when its share began to grow, and from what
        self._share = 0.0
        if not quiet and self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream, markup=False, highlight=False)
            self._live = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()

    def phase(self, text: str, state: str = "") -> None:
        """A new phase of the run began, such as "compiling v3"; one that goes on is not said again.

        state: of the phase, such as the seconds it has taken; a new one is shown as often as somebody can read it.
        """
        if text != self._phase or (state and self._due()):
            begins = text != self._phase
            self._phase = text
            self._show(f"{text}, {state}" if state else text)
            self._begins = begins

    def update(self, done: float, dead_caches: int, pages_pinned: int, frees_per_second: float, design: str) -> None:
        """Where the run stands: share done (0 to 1), state of the design that is being played now.

        frees_per_second: of that design's last block, 0 where speed is not measured. Cheap enough to be called
        often: it shows itself only as often as somebody can read it, plain lines for one design after the other.
        """
        if self._quiet:
            return
        seen = self._designs.setdefault(design, _Seen(deque(maxlen=BLOCKS)))
        now = self._clock()
        seen.dead_caches, seen.pages_pinned, seen.heard = dead_caches, pages_pinned, now
        if frees_per_second and (not seen.rates or seen.rates[-1] != frees_per_second):
            seen.rates.append(frees_per_second)
        share = min(max(done, 0.0), 1.0)
        left = self._left(share)
        if not self._due():
            return
        if self._live is not None:
            self._show(self._view(share, left, design))
        elif all(seen.line <= other.line for other in self._designs.values() if now - other.heard < PLAIN_EVERY):
            seen.line = now
            self._show(f"{share:4.0%} {design}: {_state(seen)}{left and f', {left}'}")

    def advance(self, done: float, text: str) -> None:
        """How far something without designs is: share done (0 to 1), and a line of text. Cheap enough to call often."""
        share = min(max(done, 0.0), 1.0)
        left = self._left(share)
        if self._quiet or not self._due():
            return
        if self._live is not None:
            from rich.console import Group

            self._show(Group(_bar(share, left), text))
        else:
            self._show(f"{share:4.0%} {text}{left and f', {left}'}")

    def _due(self) -> bool:
        """May something new be shown within a phase?"""
        every = LIVE_EVERY if self._live else PLAIN_FIRST if self._begins else PLAIN_EVERY
        return self._clock() - self._last >= every

    def close(self) -> None:
        """Take the live line away. May be called more than once."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _left(self, share: float) -> str:
        """About how long it still takes, going by how the share has grown; "" as long as that is a guess.

        The share may fall back, as after the warm-up, when what was estimated before means nothing any more.
        """
        now = self._clock()
        if self._from is None or share < self._share or share <= self._from[1]:
            self._from = (now, share)
        self._share = share
        began, first = self._from
        if share - first < FORESEEABLE:
            return ""
        seconds = round((now - began) * (1 - share) / (share - first))
        return f"{seconds} s left" if seconds < 100 else f"{seconds // 60} min left"

    def _view(self, share: float, left: str, current: str) -> RenderableType:
        from rich.console import Group
        from rich.table import Table

        rows = Table.grid(padding=(0, 1))
        for name, seen in self._designs.items():
            rows.add_row(
                "›" if name == current else " ",
                name,
                sparkline(seen.rates),
                _state(seen),
                style=None if name == current else "dim",
            )
        return Group(_bar(share, left), rows)

    def _show(self, text: RenderableType) -> None:
        if self._quiet:
            return
        self._last, self._begins = self._clock(), False
        if self._live is not None:
            self._live.update(text, refresh=True)
        else:
            print(text, file=self._stream, flush=True)


def _bar(share: float, left: str) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    drawn = Table.grid(padding=(0, 1))
    drawn.add_row(ProgressBar(total=1.0, completed=share, width=30), f"{share:4.0%}", left)
    return drawn


def _state(seen: _Seen) -> str:
    speed = f"{rate(seen.rates[-1])} frees/s, " if seen.rates else ""
    return f"{speed}{count(seen.dead_caches)} dead caches, {count(seen.pages_pinned)} pages pinned"
