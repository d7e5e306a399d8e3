"""What is asked of the explorer, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

from stress.explore.found.schedule import Schedule
from stress.explore.search.search import Found
from stress.explore.space.space import Outcome
from stress.explore.found.trace import Row, render

DEFAULT_BUDGET = 60.0


class Request(NamedTuple):
    """One search."""

    model: str
    allocator: str
    design: str
    memory_model: str
    cpus: int
    strategy: str = "dfs"
    preemptions: int = 3
    seconds: float = DEFAULT_BUDGET
    schedules: int = 0
    seed: int = 1
    kinds: tuple[str, ...] = ()
    jobs: int = 1


class Answer(NamedTuple):
    """What came of it: the search's figures, and for a violation its smallest execution.

    raced: executions that were looked at for data races, 0 when something else was found or only others were wanted.
    rows: the trace.
    """

    request: Request
    found: Found
    raced: int
    outcome: Outcome | None
    rows: list[Row]
    schedule: Schedule | None

    @property
    def trace(self) -> str:
        """The smallest execution as text, "" when nothing was found."""
        return render(self.rows, self.outcome, self.request.cpus + 1) if self.outcome is not None else ""
