"""What was measured, as data. `python -m stress machine --format json` prints a Found."""

from __future__ import annotations

import msgspec

from stress.result.data import Trust

SCHEMA_VERSION = "1"


class Measured(msgspec.Struct, kw_only=True, frozen=True):
    """One measurement. ns: median of `repeats` blocks. spread: half of what the middle half of them spans, as a share of the median."""  # noqa: E501  published word for word

    name: str
    ns: float
    spread: float
    repeats: int
    how: str


class Shape(msgspec.Struct, kw_only=True, frozen=True):
    """The machine as its kernel describes it. measured_cpus: those that took part."""

    nodes: int
    complexes_per_node: int
    cores_per_complex: int
    private_kib: int
    llc_mib: float
    measured_cpus: list[int]


class Found(msgspec.Struct, kw_only=True, frozen=True):
    """profile: the text of the file. written: where it is."""

    schema_version: str = SCHEMA_VERSION
    cpu: str
    shape: Shape
    measured: list[Measured]
    profile: str
    written: str | None
    trust: Trust
