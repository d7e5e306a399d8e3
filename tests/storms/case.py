"""A case: a command line, what it finds around it, and what is done to it while it runs."""

from __future__ import annotations

import dataclasses
import shlex

STATUSES = frozenset({0, 1, 2, 3})  # as `python -m stress --help` says
# closed-*: before the program begins; full: /dev/full; broken: a pipe that nobody reads; terminal: all three are one.
STREAMS = ("files", "closed-in", "closed-out", "closed-err", "closed-all", "full", "full-err", "broken", "terminal")


@dataclasses.dataclass(frozen=True, slots=True)
class Signal:
    """at: when, as a share of the command's usual time. whom: "first", "any" of its processes, or the whole "group".

    number: of the signal. on: seconds after which a stopped process is let go on; 0 for other signals.
    """

    at: float
    whom: str
    number: int
    on: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What the system gives: bytes of memory beyond those of an idle interpreter, of a file; open files. -1: all.

    full: folders of the world, by name, that lie on a full disk.
    """

    memory: int = -1
    file: int = -1
    files: int = -1
    full: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One command, or several at once.

    lines: the words of each after the program's name. environment: None takes a variable away. files: what the world
    has more than usual, by name. streams: see STREAMS. fresh: a new interpreter, and no fork of one that has
    imported everything. work: what is asked for is done; without it commands end where the work would begin. cold:
    with an empty compile cache. again: the same commands follow, undisturbed, and must end well. usual: number of the
    command in `kills.COMMANDS`, for its usual time. limit: seconds.
    """

    lines: tuple[tuple[str, ...], ...]
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    streams: str = "files"
    fresh: bool = False
    work: bool = False
    cold: bool = False
    again: bool = False
    signals: tuple[Signal, ...] = ()
    limits: Limits = Limits()
    usual: int = -1
    limit: float = 60.0

    def told(self) -> str:
        """The commands as one would type them, and what is done to them."""
        variables = [f"-u {name}" for name, value in self.environment.items() if value is None]
        variables += [f"{name}={shlex.quote(value)}" for name, value in self.environment.items() if value is not None]
        before = f"env {' '.join(variables)} " if variables else ""
        text = " & ".join(before + shlex.join(["python", "-m", "stress", *line]) for line in self.lines)
        notes = [f"{signal}" for signal in self.signals]
        notes += [f"streams: {self.streams}"] if self.streams != "files" else []
        notes += [f"{self.limits}"] if self.limits != Limits() else []
        notes += ["cold cache"] if self.cold else []
        notes += ["new interpreter"] if self.fresh else []
        return "; ".join([text, *notes])
