"""The study's points as jobs: each is checked, and has the key that its result is kept under."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from stress.campaign import jobs
from stress.campaign.identity import Identity
from stress.campaign.study import Study, Value
from stress.process.errors import UsageError

# Options that are checked together, as one may not go with another; each of the others is checked by itself. A study of
# 100,000 points has some hundred combinations of each.
_TOGETHER = (("allocator", "design", "before", "fail"), ("scenario", "set"), ("cpus", "nodes", "memoryless"))
_EXPLORED = (("model", "allocator", "design", "memory_model", "cpus"),)
KEY_DIGITS = 32


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One job of a study. number: in the study's order. point: its value on each axis."""

    number: int
    key: str
    job: jobs.Job
    point: dict[str, Value]


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A point that cannot be played, and why."""

    point: dict[str, Value]
    why: str


class Checker:
    """Says what is wrong with a job, and remembers what it has looked at."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        names = [field.name for field in jobs.fields(kind) if field.name != "seed"]  # its bounds are its type's
        groups = [
            tuple(name for name in group if name in names) for group in (_EXPLORED if kind == "explore" else _TOGETHER)
        ]
        together = {name for group in groups for name in group}
        self._groups = [*groups, *((name,) for name in names if name not in together)]
        self._seen: dict[tuple[object, ...], str] = {}
        self._scenarios: dict[tuple[object, ...], Any] = {}

    def refusal(self, job: jobs.Job) -> str:
        """Why it cannot be played, "" when it can."""
        for group in self._groups:
            values = {name: getattr(job, name) for name in group}
            if "machine" in values:
                values["profile"] = getattr(job, "profile", None)
            known = (
                group,
                *(
                    tuple(v.items()) if isinstance(v, dict) else tuple(v) if isinstance(v, list) else v
                    for v in values.values()
                ),
            )
            if known not in self._seen:
                self._seen[known] = self._check(values)
            if self._seen[known]:
                return self._seen[known]
        return self._too_large(job)

    def _check(self, values: dict[str, Any]) -> str:
        try:
            jobs.KINDS[self._kind](**values).check()
        except UsageError as error:
            return str(error)
        return ""

    def _too_large(self, job: jobs.Job) -> str:
        """A scenario of more operations on so many CPUs than fit in memory."""
        from scenarios.parameters import check_size
        from scenarios.settings import ParameterError

        if isinstance(job, jobs.Explore):
            return ""
        try:
            check_size(self.parameters(job), job.cpus)
        except ParameterError as error:
            return f"--set: {error}"
        return ""

    def parameters(self, job: jobs.Serial | jobs.Simulate | jobs.Timed) -> Any:
        """Of its scenario, as they will be played."""
        from scenarios.registry import SCENARIOS
        from scenarios.settings import parse

        settings = job.set
        if isinstance(job, jobs.Simulate):
            from stress.simulate.sizes import sized

            settings = sized(job.scenario, job.cpus, job.set, job.operations)
        known = (job.scenario, *settings.items())
        if known not in self._scenarios:
            self._scenarios[known] = parse(SCENARIOS[job.scenario].parameters, settings)
        return self._scenarios[known]


def plan(study: Study, identity: Identity) -> Iterator[Planned | Skipped]:
    """All jobs in order. Raises UsageError for a point that cannot be played, unless the study skips such."""
    checker = Checker(study.kind)
    prefix = hashlib.sha256(msgspec.json.encode(identity, order="sorted") + b"\0")
    number = 0
    for point in study.combinations():
        options = _spread(study.base | point)
        try:
            job = jobs.make(study.kind, options)
        except msgspec.ValidationError as error:  # each value has the right type, so it is what they make together
            raise UsageError(f"{study.where}: {_said(point)}: {error}") from None
        why = checker.refusal(job)
        if why:
            if study.impossible == "refuse":
                raise UsageError(
                    f"{study.where}: {_said(point) or 'base'} cannot be played: {why}; mend the study, or leave such "
                    'points out with impossible = "skip"'
                )
            yield Skipped(point=point, why=why)
            continue
        digest = prefix.copy()
        digest.update(jobs.encode(job))
        yield Planned(number=number, key=digest.hexdigest()[:KEY_DIGITS], job=job, point=point)
        number += 1


def _spread(flat: dict[str, Any]) -> dict[str, Any]:
    """`set.NAME` as a table again."""
    options = {key: value for key, value in flat.items() if not key.startswith("set.")}
    of = {key.removeprefix("set."): value for key, value in flat.items() if key.startswith("set.")}
    return options | ({"set": of} if of else {})


def _said(point: dict[str, Value]) -> str:
    return ", ".join(f"{axis} = {value}" for axis, value in point.items())
