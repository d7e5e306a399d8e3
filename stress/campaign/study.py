"""The study: a TOML file, typed and checked before anything runs. What is wrong is said with the key's path."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from stress.campaign import jobs
from stress.process.errors import UsageError

MOST_BYTES = 1 << 20
MOST_JOBS = 10_000_000
DEFAULT_LIMIT = 600.0
LEAST_VALUES = 5  # of an axis before its interval may stop it
Positive = Annotated[float, msgspec.Meta(gt=0)]
Value = str | int | float | bool


class Keep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the Parquet data set has beside the figures. The whole of each result is in the store anyway.

    counts: a column for every counter. partition: axes by whose values its files are apart.
    """

    counts: bool = False
    partition: list[str] = []


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the values of the axis `over` that are left need not be played, for each combination of all others.

    metric, width: the interval of 95 % of the metric's mean over them is narrower than this share of the mean, after
    `least` values. found: a search has found something; those of later values, of more preemptions say, have to look
    at all that it looked at.
    """

    over: str
    metric: str = ""
    width: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    least: Annotated[int, msgspec.Meta(ge=2)] = LEAST_VALUES
    found: bool = False


class Show(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the report lays the grid out. columns, rows: axes of each small table; metrics: a table each; [] for all."""

    columns: str = ""
    rows: str = ""
    metrics: list[str] = []


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    kind: Literal["serial", "simulate", "explore", "timed"]
    about: str = ""
    budget: Positive | None = None
    limit: Positive = DEFAULT_LIMIT
    impossible: Literal["refuse", "skip"] = "refuse"
    base: dict[str, Any] = {}
    cross: dict[str, Any] = {}
    zip: list[dict[str, Any]] = []
    keep: Keep = Keep()
    stop: list[Stop] = []
    report: Show = Show()


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """A study as it was meant. axes: names of all axes; each of `groups` is (names, rows of values) to be crossed.

    budget: seconds of real time of one `run` or `resume`. limit: seconds after which one job is ended and marked.
    impossible: what becomes of points that cannot be played: "refuse" the study, or "skip" them.
    """

    name: str
    kind: str
    about: str
    budget: float | None
    limit: float
    impossible: str
    base: dict[str, Any]
    groups: list[tuple[tuple[str, ...], list[tuple[Value, ...]]]]
    keep: Keep
    stop: list[Stop]
    report: Show
    where: str

    @property
    def axes(self) -> list[str]:
        return [name for names, _ in self.groups for name in names]

    @property
    def points(self) -> int:
        """How many combinations there are."""
        count = 1
        for _, rows in self.groups:
            count *= len(rows)
        return count

    def values(self, axis: str) -> list[Value]:
        """The values of an axis, each once, in the order of the file."""
        for names, rows in self.groups:
            if axis in names:
                return list(dict.fromkeys(row[names.index(axis)] for row in rows))
        raise KeyError(axis)

    def combinations(self) -> Iterator[dict[str, Value]]:
        """All points; axes of early stops change slowest, so that every cell gets its first values first."""
        along = {stop.over for stop in self.stop}
        order = sorted(range(len(self.groups)), key=lambda at: not along.intersection(self.groups[at][0]))
        for rows in itertools.product(*(self.groups[at][1] for at in order)):
            of = dict(zip(order, rows))
            yield {name: value for at, (names, _) in enumerate(self.groups) for name, value in zip(names, of[at])}


def read(path: Path) -> tuple[Study, bytes]:
    """The study in a file, and the file's bytes. Raises UsageError."""
    try:
        if not path.is_file():  # nor a pipe, which could keep us waiting
            raise UsageError(f"{path}: there is no such file; `python -m stress campaign new FILE` writes an example")
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return parse(data, str(path)), data


def parse(data: bytes, where: str) -> Study:
    """The study that a file's bytes describe. where: the file's name, for messages. Raises UsageError."""
    if len(data) > MOST_BYTES:
        raise UsageError(f"{where}: longer than {MOST_BYTES >> 20} MiB, so it is no study")
    try:
        plain = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not TOML: {error}") from None
    try:
        found = msgspec.convert(plain, type=_File)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {_say(error)}{_hint(plain, _File)}") from None
    base = _flat(found.base, where, "base")
    for key, value in base.items():
        _check_value(where, f"base.{key}", found.kind, key, value)
    crossed = _flat(found.cross, where, "cross")
    groups: list[tuple[tuple[str, ...], list[tuple[Value, ...]]]] = []
    for key, values in crossed.items():
        groups.append(((key,), [(value,) for value in _values(where, f"cross.{key}", found.kind, key, values)]))
    for number, table in enumerate(found.zip):
        groups.append(_zipped(where, f"zip[{number}]", found.kind, _flat(table, where, f"zip[{number}]")))
    study = Study(
        name=found.name, kind=found.kind, about=found.about, budget=found.budget, limit=found.limit,
        impossible=found.impossible, base=base, groups=groups, keep=found.keep, stop=found.stop, report=found.report,
        where=where,
    )  # fmt: skip
    _check_axes(study)
    return study


def _say(error: msgspec.ValidationError) -> str:
    """ "base.cpus: Expected `int`, got `str`" of msgspec's "… - at `$.base.cpus`"."""
    said, _, path = str(error).partition(" - at `")
    path = path.removesuffix("`").removeprefix("$").removeprefix(".")
    return f"{path}: {said}" if path else said


def _hint(plain: dict[str, Any], kind: type[msgspec.Struct]) -> str:
    known = [field.name for field in msgspec.structs.fields(kind)]
    unknown = [key for key in plain if key not in known]
    return f" ({unknown[0]!r} is not known: allowed are {', '.join(known)})" if unknown else ""


def _flat(table: dict[str, Any], where: str, path: str) -> dict[str, Any]:
    """A table whose sub-table `set` is spread out as `set.NAME`."""
    flat = {key: value for key, value in table.items() if key != "set"}
    of = table.get("set", {})
    if not isinstance(of, dict):
        raise UsageError(f"{where}: {path}.set: a table of the scenario's parameters is needed, not {of!r}")
    return flat | {f"set.{name}": value for name, value in of.items()}


def _values(where: str, path: str, kind: str, key: str, given: Any) -> list[Value]:
    """The values of an axis: a list, or {from, count, step}."""
    if isinstance(given, dict):
        wrong = set(given) - {"from", "count", "step"}
        whole = all(isinstance(value, int) and not isinstance(value, bool) for value in given.values())
        if wrong or not {"from", "count"} <= set(given) or not whole or not 1 <= given["count"] <= MOST_JOBS:
            raise UsageError(f"{where}: {path}: a table of whole numbers is needed: from, count and perhaps step")
        given = [given["from"] + number * given.get("step", 1) for number in range(given["count"])]
    if not isinstance(given, list) or not given:
        raise UsageError(f"{where}: {path}: a list of values is needed, or {{from = 1, count = 5}}; not {given!r}")
    whole_ones = [value for value in given if type(value) is int]
    bounds = {min(whole_ones), max(whole_ones)} if whole_ones else ()  # of a long axis (seeds) they are enough
    for value in [*(value for value in given if type(value) is not int), *sorted(bounds)]:
        _check_value(where, f"{path}[{given.index(value)}]", kind, key, value)
    if len(set(map(repr, given))) < len(given):
        raise UsageError(f"{where}: {path}: has a value twice; give each once")
    return given


def _zipped(where: str, path: str, kind: str, table: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    if not table:
        raise UsageError(f"{where}: {path}: is empty; name axes that go together, each with a list of values")
    columns: dict[str, list[Value]] = {}
    for key, values in table.items():
        if not isinstance(values, list) or not values:
            raise UsageError(f"{where}: {path}.{key}: a list of values is needed, not {values!r}")
        for number, value in enumerate(values):
            _check_value(where, f"{path}.{key}[{number}]", kind, key, value)
        columns[key] = values
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise UsageError(f"{where}: {path}: axes that are zipped need as many values each: {said}")
    return tuple(columns), list(zip(*columns.values()))


def _check_value(where: str, path: str, kind: str, key: str, value: Any) -> None:
    """The option must exist and take a value of this type."""
    if key.startswith("set."):
        if not isinstance(value, (str, int, float)):
            raise UsageError(f"{where}: {path}: a text, a number, true or false is needed, not {value!r}")
        if "set" not in {field.name for field in jobs.fields(kind)}:
            raise UsageError(f"{where}: {path}: jobs of the kind {kind} play no scenario, so there is nothing to set")
        return
    known = {field.name: field for field in jobs.fields(kind)}
    if key not in known or key == "set":
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"{where}: {path}: jobs of the kind {kind} have no option {key!r}: {hint}allowed are {', '.join(known)}"
        )
    try:
        msgspec.convert(value, type=known[key].type)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {path}: {error}") from None


def _check_axes(study: Study) -> None:
    """An option stands in one place only; what names an axis or a metric names one that there is."""
    where, axes = study.where, study.axes
    for key in axes:
        places = [
            place for place, there in (("base", key in study.base), ("cross or zip", axes.count(key) > 1)) if there
        ]
        if places:
            raise UsageError(f"{where}: {key}: is in {' and in '.join(places)} too; give it in one place")
    if study.points > MOST_JOBS:
        raise UsageError(f"{where}: {study.points:,} jobs: allowed are up to {MOST_JOBS:,}")
    from stress.campaign.figures import columns_of, derived

    metrics = [name for name, column in columns_of(study.kind).items() if column is not str]

    def must(path: str, name: str, known: list[str], what: str) -> None:
        if name not in known:
            raise UsageError(f"{where}: {path}: {name!r} is no {what}; there are {', '.join(known) or 'none'}")

    for number, stop in enumerate(study.stop):
        must(f"stop[{number}].over", stop.over, axes, "axis")
        if len([names for names, _ in study.groups if stop.over in names][0]) > 1:
            raise UsageError(f"{where}: stop[{number}].over: {stop.over} is zipped with others; it must be crossed")
        if bool(stop.metric) == stop.found:
            raise UsageError(f"{where}: stop[{number}]: give either metric, or found = true")
        if stop.metric:
            must(f"stop[{number}].metric", stop.metric, metrics, "metric of this kind")
        if stop.found and study.kind != "explore":
            raise UsageError(f"{where}: stop[{number}].found: only jobs of the kind explore find something")
    for number, name in enumerate(study.keep.partition):
        must(f"keep.partition[{number}]", name, axes, "axis")
    for path, name in (("report.columns", study.report.columns), ("report.rows", study.report.rows)):
        if name:
            must(path, name, axes, "axis")
    for number, name in enumerate(study.report.metrics):
        must(f"report.metrics[{number}]", name, [*columns_of(study.kind), *derived(study.kind)], "metric of this kind")
