"""What `explore --format json` prints: one exploration, or with --all the catalogue.

Their versions change as that of a result does.
"""

from __future__ import annotations

import msgspec

from stress.explore.found.answer import Answer
from stress.explore.found.table import Line
from stress.explore.found.trace import Row

SCHEMA_VERSION = "1"


class Step(msgspec.Struct, kw_only=True, frozen=True):
    """A row of the trace: an operation, or kind "switch", where `why` says what for and `task` goes on.

    word, values: the field's name and what it held and holds. where: function and source line.
    """

    cpu: int | None
    task: str
    kind: str
    word: str = ""
    values: str = ""
    where: str = ""
    why: str = ""


class Found(msgspec.Struct, kw_only=True, frozen=True):
    """The smallest execution that goes wrong. kind: one of the oracles'. decisions: of the scheduler."""

    kind: str
    text: str
    preemptions: int
    decisions: int
    trace: list[Step]


class Exploration(msgspec.Struct, kw_only=True, frozen=True):
    """One search. exhaustive: all schedules with at most `bound` preemptions (complete: all) were looked at.

    limit: which limit ended it, "" for none. raced: random schedules that were looked at for data races.
    schedule: the file to replay, null when there is none.
    """

    schema_version: str = SCHEMA_VERSION
    model: str
    allocator: str
    design: str
    memory_model: str
    cpus: int
    strategy: str
    seed: int
    schedules: int
    seconds: float
    states: int
    bound: int
    exhaustive: bool
    complete: bool
    limit: str
    raced: int
    found: Found | None
    schedule: str | None


class Race(msgspec.Struct, kw_only=True, frozen=True):
    """A race of the catalogue: in the design that has it, and in the one that mends it."""

    name: str
    summary: str
    raised: str
    finding: str
    design: Exploration
    mended: Exploration
    as_catalogued: bool


class Catalogue(msgspec.Struct, kw_only=True, frozen=True):
    """All races."""

    schema_version: str = SCHEMA_VERSION
    races: list[Race]


def exploration(answer: Answer, schedule: str | None = None) -> Exploration:
    """What came of a search, for readers of JSON."""
    request, found, outcome = answer.request, answer.found, answer.outcome
    return Exploration(
        model=request.model,
        allocator=request.allocator,
        design=request.design,
        memory_model=request.memory_model,
        cpus=request.cpus,
        strategy=request.strategy,
        seed=request.seed,
        schedules=found.schedules,
        seconds=round(found.seconds, 3),
        states=found.states,
        bound=found.bound,
        exhaustive=found.exhaustive,
        complete=found.complete,
        limit=found.limit,
        raced=answer.raced,
        found=outcome
        and Found(
            kind=outcome.kind,
            text=outcome.text,
            preemptions=outcome.preemptions,
            decisions=outcome.points,
            trace=[_step(row) for row in answer.rows],
        ),
        schedule=schedule,
    )


def _step(row: Row) -> Step:
    if row.kind == "switch":
        return Step(cpu=None, task=row.task, kind=row.kind, why=row.where)
    return Step(cpu=row.cpu, task=row.task, kind=row.kind, word=row.word, values=row.values, where=row.where)


def catalogue(lines: list[Line]) -> Catalogue:
    """The table of --all."""
    return Catalogue(
        races=[
            Race(
                name=line.model.name,
                summary=line.model.summary,
                raised=line.model.raised,
                finding=line.model.finding,
                design=exploration(line.broken),
                mended=exploration(line.mended),
                as_catalogued=line.as_catalogued,
            )
            for line in lines
        ]
    )


def encode(data: Exploration | Catalogue) -> str:
    """As indented JSON."""
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
