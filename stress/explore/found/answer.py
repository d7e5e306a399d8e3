"""What is asked of the explorer, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

from stress.explore.found.schedule import Schedule
from stress.explore.found.story import folded, story
from stress.explore.found.trace import Row, render
from stress.explore.search.search import SearchEnd
from stress.explore.space.space import Outcome

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
    found: SearchEnd
    raced: int
    outcome: Outcome | None
    rows: list[Row]
    schedule: Schedule | None

    @property
    def trace(self) -> str:
        """The smallest execution as text, "" when nothing was found."""
        return render(self.rows, self.outcome, self.request.cpus + 1) if self.outcome is not None else ""


def print_answer(answer: Answer, full: bool = False) -> None:
    """What was explored, how much of it, and what was found: its story, then folded by function, or in full."""
    request, found = answer.request, answer.found
    rate = found.schedules / found.seconds if found.seconds else 0.0
    print(
        f"{request.model} on {request.allocator}, design {request.design}, {request.cpus} "
        f"CPU{'s' if request.cpus > 1 else ''} and the kworker's, {request.memory_model.upper()}, {request.strategy}"
    )
    print(f"{found.schedules:,} schedules in {found.seconds:.2f} s ({rate:,.0f}/s), {found.states:,} states")
    if answer.outcome is None:
        print(
            "nothing found; "
            + said(found)
            + (f"; no data race in {answer.raced} random schedules" if answer.raced else "")
        )
        return
    print(
        f"found: {answer.outcome.kind}, {answer.outcome.preemptions} preemptions, {answer.outcome.points} decisions\n"
    )
    print_execution(answer.rows, answer.outcome, answer.request.cpus + 1, full)
    print()


def print_execution(rows: list[Row], outcome: Outcome, cpus: int, full: bool) -> None:
    """A failing execution: its story in ten lines, then by function, or with every access."""
    print("\n".join(story(rows, outcome)))
    print()
    print(render(rows, outcome, cpus) if full else folded(rows, outcome))
    if not full:
        print("(folded by function; --full shows every access with its line)")


def said(found: SearchEnd) -> str:
    """How far a search that found nothing got."""
    if found.complete:
        return "exhaustive: no schedule was left out"
    if found.exhaustive:
        return f"exhaustive for at most {found.bound} preemptions"
    reached = f"exhaustive for at most {found.bound} preemptions only" if found.bound >= 0 else "not exhaustive"
    return f"{reached}: the limit of {found.limit} was reached, so this is no pass"
