"""What comes of a job, and what it took. The first is the same bytes wherever a deterministic job was played."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stress.result.data import Violation

Status = Literal["done", "violated", "failed", "hung", "refused", "lost"]
KEPT = ("done", "violated")  # what is a result; the rest is tried again by `retry`


class Hung(BaseException):
    """The job's time is over. No Exception: what is being played must not take it for one of its own."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a job.

    violations: invariants that did not hold, with the state that breaks them. whole: everything that the command
    prints as JSON, less times of the clock and places where a deterministic job has no use for them.
    """

    violations: list[Violation] = []
    whole: dict[str, Any]

    @property
    def status(self) -> Status:
        return "violated" if self.violations else "done"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker sends back. body: the bytes of the outcome as JSON; empty if it is none of `KEPT`: `text` says why.

    host: a description of the machine, by what is constant. seconds: that the job took there. pid: of the worker.
    """

    key: str
    status: Status
    body: bytes = b""
    text: str = ""
    host: dict[str, Any] = {}
    seconds: float = 0.0
    pid: int = 0


def encode(outcome: Outcome) -> bytes:
    """As JSON with sorted keys, so that equal outcomes are equal bytes."""
    from stress.result.files import plain_value

    return msgspec.json.encode(msgspec.to_builtins(outcome, enc_hook=plain_value), order="sorted")


def decode(body: bytes) -> Outcome:
    """Raises DecodeError of msgspec."""
    return msgspec.json.decode(body, type=Outcome)
