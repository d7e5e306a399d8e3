"""Comparisons as data, and the file in which those of several invocations are gathered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from scenarios.tape import SECTIONS
from stress.judge.ratio import Ratio
from stress.process.errors import UsageError
from stress.process.files import read_input, write_atomically
from stress.result.files import BAD_JSON

SCHEMA_VERSION = "2"
SHARES = (0.5, 1.0)  # of a comparison's launches, from its first, at which it is judged


class Setting(msgspec.Struct, kw_only=True, frozen=True):
    """What all comparisons of a table have in common.

    seconds: of one comparison. memory: bytes. neighbour: share of the time that another process burnt one of the CPUs.
    """

    scenario: str
    parameters: dict[str, Any]
    allocator: str
    design: str
    cpus: int
    seconds: float
    memory: int
    neighbour: float
    sources: str
    machine: str


class Comparison(msgspec.Struct, kw_only=True, frozen=True):
    """One comparison of the design with itself, of one kind of section.

    kind: live, dead or mixed. slowdown: asked for, of frees of this kind, as a fraction of their time; None for one
    program against itself, of which all kinds are judged.
    ratios: of the throughputs of each launch, second side / first. judged: what `run` would have said
    after the shares `SHARES` of them. spun: share of the time of such sections that the second side's frees spun.
    left_out: share of sections that were interrupted. waited: share of their time that workers waited for a CPU, also
    for one that the coordinator had when it woke them; None where the kernel does not tell. steal: share of the time
    that the hypervisor took.
    """

    kind: Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(SECTIONS)})$")]
    slowdown: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None
    seconds: float
    ratios: list[Annotated[float, msgspec.Meta(gt=0)]]
    judged: Annotated[list[Ratio], msgspec.Meta(min_length=len(SHARES), max_length=len(SHARES))]
    spun: float
    left_out: float
    waited: float | None
    steal: float

    def __post_init__(self) -> None:
        for one in self.judged:
            if one.low is not None and one.high is not None and not 0 < one.low <= one.high:
                raise ValueError(f"an interval from {one.low} to {one.high}")


class Samples(msgspec.Struct, kw_only=True):
    """A file of comparisons, all of one setting."""

    setting: Setting
    comparisons: list[Comparison]
    commands: list[str]
    schema_version: str = SCHEMA_VERSION


def read_samples(path: Path) -> Samples:
    """Raises UsageError when the file cannot be read or is none of this program's."""
    try:
        return msgspec.json.decode(read_input(path, "--samples"), type=Samples)
    except BAD_JSON as error:
        raise UsageError(
            f"--samples {path}: is no file of samples of this program ({error}); name another one"
        ) from None


def write_samples(path: Path, samples: Samples) -> None:
    """Replace the file whole. Raises OSError."""
    write_atomically(path, msgspec.json.encode(samples) + b"\n")


def continued(path: Path | None, setting: Setting) -> Samples:
    """The samples of the file so far, none if it is not there yet; UsageError when they are of another setting."""
    if path is None or not path.exists():
        return Samples(setting=setting, comparisons=[], commands=[])
    found = read_samples(path)
    for name in Setting.__struct_fields__:
        theirs, ours = getattr(found.setting, name), getattr(setting, name)
        if theirs != ours:
            raise UsageError(
                f"--samples {path}: its comparisons have {name} {theirs}, this one {ours}; name another file, or "
                "repeat with its options"
            )
    return found
