"""Files that commands read, mutated by byte, by line and by field."""

from __future__ import annotations

import dataclasses
import functools
import random
import re

from tests.storms import originals
from tests.storms.case import Case

LIMIT = 60.0
FRESH = 50  # every so manieth, where the work is done, is read by a new interpreter

FIELDS = (
    b"", b"-1", b"0", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"9" * 30, b"9" * 5000, b"true", b"\xff",
    b"a" * 300, b"[" * 3000,
)  # fmt: skip
_FIELD = re.compile(rb"[^\s,:=\[\]{}]+")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The file with one to three changes."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice((_byte, _line, _field, _field, _cut))(data, rng)
    return data


def _byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randrange(2) :]


def _line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[other])
        case _:
            lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


def _field(data: bytes, rng: random.Random) -> bytes:
    fields = list(_FIELD.finditer(data))
    if not fields:
        return data
    found = rng.choice(fields)
    return data[: found.start()] + rng.choice(FIELDS) + data[found.end() :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file. name: of the file that is mutated; data: a good one; beside: other files that it needs.

    lines: commands that read it, as they are typed. work: what is read is played too. weight: how often it comes up.
    """

    name: str
    data: bytes
    lines: tuple[str, ...]
    beside: tuple[str, ...] = ()
    work: bool = True
    weight: int = 4


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """Everything that a command reads."""
    every = originals.everything()
    run = f"{originals.RUN}/result.json"
    found = [
        Kind(
            run, every[run], (
                "report last --details", "results show last", "report last --format html", "report last --format csv",
                "report last --format benchstat", "report last --format mmtests", "report last --format markdown",
                "report last --format json", "results list", "results list --format json", "results index",
                "results prune --keep 0", "compare last run", "compare last run --format json",
                "compare run last --format html", f"explore --like {run}",
            ), ("run/result.json",), work=False, weight=16,
        ),
        Kind(
            "schedule.json", every["schedule.json"],
            ("replay schedule.json", "replay schedule.json --full", "replay schedule.json --page p.html",
             "replay schedule.json --perfetto p.json"), weight=10,
        ),
        Kind("samples.json", every["samples.json"], (
            "calibrate --runs 0 --samples samples.json", "calibrate --runs 0 --samples samples.json --format json",
            "calibrate --runs 0 --samples samples.json --format markdown",
        ), weight=6),
        Kind("machine.toml", every["machine.toml"], (
            "simulate --machine machine.toml", "simulate --machine machine.toml --cpus 512 --nodes 8",
        ), work=False, weight=8),
        Kind("own.toml", originals.OWN, (
            "run --plugin own.toml --scenario own-storm", "list scenarios --plugin own.toml",
            "simulate --plugin own.toml --scenario own-storm --cpus 1",
        ), work=False, weight=8),
        Kind("slab-stress.toml", b'plugins = ["own.toml"]\n', ("list", "list scenarios"), ("own.toml",), weight=2),
        Kind("steps.csv", originals.steps(), ("conform steps.csv",), work=False, weight=6),
        Kind("steps.csv", originals.steps("slab"), ("conform steps.csv",), work=False, weight=2),
        Kind(
            "trace.csv", originals.trace(), ("run --trace trace.csv --serial", "import trace.csv"), work=False, weight=6
        ),
        Kind("archive.tar.gz", originals.tar(), ("inspect archive.tar.gz",), weight=2),
    ]  # fmt: skip
    found += [
        Kind(name, text, (f"campaign run {name} --dry-run", f"campaign run {name} --quiet"), work=False, weight=5)
        for name, text in originals.STUDIES.items()
    ]
    found += [
        Kind(name, data, ("campaign status small", "campaign status small --format json", "campaign report small",
                          "campaign resume small --quiet", "campaign report small --format html"),
             tuple(originals.campaign()), work=False, weight=3)
        for name, data in originals.campaign().items()
    ]  # fmt: skip
    for name in originals.SLABS:
        lines = (f"inspect {name}", f"inspect {name} --details", f"inspect {name} good --hours 2",
                 f"inspect {name} --format json")  # fmt: skip
        found.append(Kind(name, originals.FIELD[name], lines, ("slabinfo",), weight=3))
    for name in originals.TRACES:
        lines = (f"import {name}", f"import {name} --format json", f"import {name} --out made.parquet",
                 f"run --trace {name} --serial", f"simulate --trace {name}")  # fmt: skip
        found.append(Kind(name, originals.FIELD[name], lines, work=False, weight=4))
    for how in ("gz", "xz", "zst"):
        name = f"trace.csv.{how}"
        lines = (f"import {name}", f"run --serial --trace {name}")
        found.append(Kind(name, originals.packed("trace.csv", how), lines, work=False, weight=2))
    for head, name in ((b"\x17\x08\x44tracing6\0", "trace.dat"), (b"PERFILE2h\0\0\0", "perf.data")):
        lines = (f"import {name}", f"run --trace {name}")
        found.append(Kind(name, head + bytes(range(256)) * 4, lines, work=False, weight=1))
    if originals.parquet():
        found.append(Kind("trace.parquet", originals.parquet(), (
            "import trace.parquet", "run --serial --trace trace.parquet", "simulate --trace trace.parquet",
        ), work=False, weight=3))  # fmt: skip
    return tuple(found)


def case(seed: int, number: int) -> Case:
    """The so manieth mutated file, and a command that reads it."""
    rng = random.Random(f"inputs:{seed}:{number}")
    kind = rng.choices(kinds(), [kind.weight for kind in kinds()])[0]
    every = originals.everything()
    files = {name: every[name] for name in kind.beside if name != kind.name}
    if kind.name in originals.SLABS:
        files["good"] = kind.data
    files[kind.name] = mutate(kind.data, rng)
    line = tuple(rng.choice(kind.lines).split())
    return Case((line,), files=files, work=kind.work, fresh=number % FRESH == 0 and kind.work, limit=LIMIT)
