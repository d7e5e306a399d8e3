"""A schedule in a file: what `explore` writes when it has found something, and `replay` runs again.

JSON of format version 2: the model, design, memory model and CPUs; `words`, what was known to be shared
(it decides which operations are decisions); `switches`, the deviations, as [task, its decision, next
task] by name; the outcome; a hash of the sources, since a schedule only fits the code it is of; and `python`,
who wrote it. What a replay is held to is the same on every Python: the kind, the number of decisions and
`history`, the digest of all operations on shared words. The text is not: it has the lines of a call stack,
which interpreters number differently.

Format 1 had no `python`, and for `history` the `end`, Python's own hash of the state, which no other version
need repeat. Its files replay, and are held to their kind and number of decisions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from shm import hooks
from shm.sources import source_digest
from stress.explore.search.strategies import Follow
from stress.explore.space.space import Outcome, Space
from stress.process.errors import UsageError
from stress.process.files import read_input, write_atomically
from stress.result.files import BAD_JSON

FORMAT = 2
READABLE = (1, FORMAT)


class Words(msgspec.Struct):
    """What a space has learnt. protected: word and the locks it is protected by; mortal: owners that end."""

    shared: list[int]
    protected: list[tuple[int, list[int]]]
    mortal: list[int]


class Schedule(msgspec.Struct):
    """See the module's text."""

    format: int
    model: str
    allocator: str
    design: str
    memory_model: str
    cpus: int
    kind: str
    text: str
    points: int
    preemptions: int
    switches: list[tuple[str, int, str]]
    words: Words
    sources: str
    history: str = ""  # see `Outcome`; "": of format 1
    python: str = ""  # as `python()` says; "": not known


def python() -> str:
    """The interpreter as far as its hashes, call stacks and messages go: implementation and minor version."""
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"


def source_hash() -> str:
    """Of every source an explored execution runs through."""
    return source_digest("shm/**/*.py", "allocators/**/*.py", "stress/explore/**/*.py") + hooks.digest()


def record(
    space: Space, outcome: Outcome, *, model: str, allocator: str, design: str, memory_model: str, cpus: int
) -> Schedule:
    """The schedule of an execution that `stress.explore.found.trace.rows` ran."""
    names = {flow.id: flow.name for flow in (*space.flows, space.boot)}
    words = Words(
        sorted(space.shared), sorted((a, sorted(locks)) for a, locks in space.protected.items()), sorted(space.mortal)
    )
    switches = [(names[task], n, names[to]) for (task, n), to in outcome.deviations.items()]
    return Schedule(
        FORMAT, model, allocator, design, memory_model, cpus, outcome.kind, outcome.text,
        outcome.points, outcome.preemptions, switches, words, source_hash(),
        outcome.history, python(),
    )  # fmt: skip


def ends_as(kept: Schedule, outcome: Outcome) -> bool:
    """Did a replay do what the schedule did? Its text is not looked at."""
    return (outcome.kind, outcome.points) == (kept.kind, kept.points) and kept.history in ("", outcome.history)


def write(schedule: Schedule, path: Path) -> None:
    """As indented JSON. UsageError when the file cannot be written."""
    try:
        write_atomically(path, msgspec.json.format(msgspec.json.encode(schedule), indent=1) + b"\n")
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be written: {error.strerror}; name another file") from None


def read(path: Path) -> Schedule:
    """UsageError when there is no such file, or it is none of these."""
    try:
        schedule = msgspec.json.decode(read_input(path), type=Schedule)
    except BAD_JSON as error:
        raise UsageError(f"{path} is not a schedule that `explore` wrote: {error}") from None
    if schedule.format not in READABLE:
        raise UsageError(
            f"{path} has format {schedule.format}, this version reads {' and '.join(map(str, READABLE))}; explore the "
            "model again"
        )
    return schedule


def prepare(space: Space, schedule: Schedule) -> Follow:
    """Let the space know what it knew when the schedule was found; the strategy that follows it.

    UsageError when the schedule names tasks that the model no longer has.
    """
    space.shared = set(schedule.words.shared)
    space.protected = {a: frozenset(locks) for a, locks in schedule.words.protected}
    space.mortal = set(schedule.words.mortal)
    numbers = {flow.name: flow.id for flow in (*space.flows, space.boot)}
    unknown = {name for task, _, to in schedule.switches for name in (task, to)} - set(numbers)
    if unknown:
        raise UsageError(
            f"the schedule names tasks that the model {schedule.model} does not have: {', '.join(sorted(unknown))}; "
            "explore it again"
        )
    return Follow({(numbers[task], n): numbers[to] for task, n, to in schedule.switches})
