"""What a claim is: a sentence, what was published about it, and parts that each run something and judge.

A verdict says no more than its figures carry. An inconvenient one is a result, not a failure; what
could not be run at all (a design that does not exist yet, a run that broke down) is "cannot tell".
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from stress.result.data import Violation

if TYPE_CHECKING:
    from stress.claims.lab import Lab


class Verdict(str, enum.Enum):
    HOLDS = "holds"
    FAILS = "does not hold"
    UNKNOWN = "cannot tell"


class Figure(msgspec.Struct, frozen=True):
    """One measured thing: what it is, its value for programs, its text for people."""

    name: str
    value: Any
    text: str


class Finding(msgspec.Struct, frozen=True):
    """What one part found. reason: a sentence without its full stop."""

    verdict: Verdict
    reason: str
    figures: list[Figure] = []


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """name: what distinguishes it from the claim's other parts. what: what is run, in a few words."""

    name: str
    what: str
    test: Callable[[Lab], Finding]


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """published: the number there is, with its setting; source: the mail, commit or recording it is from."""

    id: int
    sentence: str
    published: str
    source: str
    parts: tuple[Part, ...]


class PartOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was tested. commands: what repeats its runs."""

    name: str
    what: str
    verdict: Verdict
    reason: str
    figures: list[Figure]
    commands: list[str]
    seconds: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that was tested; violated: invariants that did not hold in any of its runs."""

    id: int
    claim: str
    verdict: Verdict
    reason: str
    published: str
    source: str
    parts: list[PartOutcome]
    violated: list[Violation]


def figure(name: str, value: Any, text: str | None = None) -> Figure:
    """A figure; its text is the value's own unless given."""
    return Figure(name, value, str(value) if text is None else text)


def uncounted(values: Iterable[Any]) -> bool:
    """Is there nothing to judge, or something that was not counted (None)? Then no claim holds."""
    found = list(values)
    return not found or None in found


def summary(parts: Sequence[PartOutcome]) -> tuple[Verdict, str]:
    """The verdict on a whole claim: it holds if all parts do, fails if one does; and the parts that decided."""
    if not parts:
        return Verdict.UNKNOWN, "nothing was tested"
    for verdict in (Verdict.FAILS, Verdict.UNKNOWN):
        deciding = [part for part in parts if part.verdict is verdict]
        if deciding:
            return verdict, "; ".join(f"{part.name}: {part.reason}" for part in deciding)
    return Verdict.HOLDS, "; ".join(f"{part.name}: {part.reason}" for part in parts)
