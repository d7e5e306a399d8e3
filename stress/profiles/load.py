"""Profiles as TOML: read by the name of a shipped one or from a file, checked; and written."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from stress.process.errors import UsageError
from stress.process.usage import did_you_mean
from stress.profiles.profile import PS_PER_MS, PS_PER_NS, Cache, Kernel, Prices, Profile, Topology, check, wrong

MOST_BYTES = 64 << 10
SUFFIX = ".toml"
# Tables of a file, and what each of their keys must be.
TABLES: dict[str, dict[str, type]] = {
    "topology": {field.name: int for field in dataclasses.fields(Topology)},
    "cache": {
        "l1_kib": int,
        "private_kib": int,
        "llc_mib": float,
        "line_bytes": int,
        "store_buffer": int,
        "overlap": float,
        "tlb_entries": int,
        "streams": int,
        "store_misses": int,
    },
    "ns": {field.name: float for field in dataclasses.fields(Prices)},
    "kernel": {"hz": int, "locks": str, "grace_period_ms": float},
}
# What a file may leave out, and is as it was before there were such things: what has a default.
LATER: dict[str, dict[str, Any]] = {
    table: {field.name: field.default for field in dataclasses.fields(of) if field.default is not dataclasses.MISSING}
    for table, of in (("cache", Cache), ("ns", Prices))
}
TEXTS = ("name", "about")
ADDED: dict[str, Path] = {}  # machines of plugins, by name
TYPE_NAMES = {int: "a whole number", float: "a finite number", str: "a text"}


@functools.cache
def shipped() -> tuple[str, ...]:
    """Names of the profiles that come with the package, in order."""
    files = (entry.name for entry in resources.files("stress.profiles").iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX)))


def load(machine: str) -> Profile:
    """The profile that a user asked for: the name of a shipped one, or a file.

    A name of a shipped one wins over a file of that name; `./NAME` is the file. Raises UsageError, which names the
    file and the field.
    """
    if machine in shipped():
        name = machine + SUFFIX
        return parse(resources.files("stress.profiles").joinpath(name).read_bytes(), name)
    if machine in ADDED:
        return read(ADDED[machine])
    return read(Path(machine))


def read(path: Path) -> Profile:
    """The profile in a file. Raises UsageError if it cannot be read or describes no machine that can be."""
    near = did_you_mean(str(path), shipped())
    hint = f"{near}? " if near else ""
    hint += f"give a file that `machine --out FILE` wrote, or one of {', '.join(shipped())} (see `list machines`)"
    try:
        if not path.is_file():  # nor a pipe, which could keep us waiting
            raise UsageError(f"{path}: there is no such file; {hint}")
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; {hint}") from None
    except ValueError:  # a NUL in the name
        raise UsageError(f"{str(path)!r} is no name of a file; {hint}") from None
    return parse(data, str(path))


def parse(data: bytes, where: str) -> Profile:
    """The profile that a file's bytes describe. where: the file's name, for messages. Raises UsageError."""
    if len(data) > MOST_BYTES:
        raise UsageError(f"{where}: longer than {MOST_BYTES >> 10} KiB, so it is no profile of a machine")
    try:
        found = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of thousands of digits, deep nesting
        raise UsageError(f"{where}: not TOML: {error}") from None
    _check_keys(where, "", found, (*TEXTS, "sources", *TABLES))
    for text in TEXTS:
        _check_type(where, text, found[text], str)
    sources = found["sources"]
    if not isinstance(sources, list):
        raise wrong(where, "sources", sources, "a list of texts")
    for number, source in enumerate(sources):
        _check_type(where, f"sources[{number}]", source, str)
    for table, keys in TABLES.items():
        if not isinstance(found[table], dict):
            raise wrong(where, table, found[table], f"a table, [{table}]")
        found[table] = LATER.get(table, {}) | found[table]
        _check_keys(where, f"{table}.", found[table], keys)
        for key, kind in keys.items():
            _check_type(where, f"{table}.{key}", found[table][key], kind)
    kernel = found["kernel"]
    return check(
        Profile(
            name=found["name"],
            about=found["about"],
            sources=tuple(sources),
            topology=Topology(**found["topology"]),
            cache=Cache(**{**found["cache"], **{of: float(found["cache"][of]) for of in ("llc_mib", "overlap")}}),
            ps=Prices(**{name: round(value * PS_PER_NS) for name, value in found["ns"].items()}),
            kernel=Kernel(kernel["hz"], kernel["locks"], round(kernel["grace_period_ms"] * PS_PER_MS)),
        ),
        where,
    )


def dump(profile: Profile) -> str:
    """The profile as TOML; `parse` makes the same profile of it. Raises UsageError if `check` would."""
    check(profile, f"the profile {profile.name!r}")
    lines = [f"name = {_text(profile.name)}", f"about = {_text(profile.about)}", "sources = ["]
    lines += [f"    {_text(source)}," for source in profile.sources]
    lines += ["]", "", "[topology]"]
    lines += [f"{name} = {value}" for name, value in dataclasses.asdict(profile.topology).items()]
    lines += ["", "[cache]"]
    lines += [f"{name} = {value}" for name, value in dataclasses.asdict(profile.cache).items()]
    lines += ["", "[ns]"]
    lines += [f"{name} = {_decimal(value, PS_PER_NS)}" for name, value in dataclasses.asdict(profile.ps).items()]
    kernel = profile.kernel
    lines += ["", "[kernel]", f"hz = {kernel.hz}", f"locks = {_text(kernel.locks)}"]
    lines += [f"grace_period_ms = {_decimal(kernel.grace_period, PS_PER_MS)}"]
    return "\n".join(lines) + "\n"


def _check_keys(where: str, prefix: str, found: dict[str, Any], known: Any) -> None:
    for key in found:
        if key not in known:
            raise UsageError(f"{where}: {prefix}{key} is not known: allowed are {', '.join(known)}")
    for key in known:
        if key not in found:
            raise UsageError(f"{where}: {prefix}{key} is missing")


def _check_type(where: str, field: str, value: Any, kind: type) -> None:
    """kind: float takes whole numbers too; no kind of number takes true and false."""
    right = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
    if not right or (isinstance(value, float) and not math.isfinite(value)):
        raise wrong(where, field, value, TYPE_NAMES[kind])
    if isinstance(value, int) and abs(value) >= 1 << 53:
        raise UsageError(f"{where}: {field}: a number of {value.bit_length()} bits is nothing of a machine")


def _text(text: str) -> str:
    """A basic string of TOML; of what `check` lets through, JSON escapes it the same way."""
    return json.dumps(text, ensure_ascii=False)


def _decimal(value: int, unit: int) -> str:
    """value / unit exactly; unit: a power of ten."""
    whole, rest = divmod(value, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)
