"""Good files of every kind that commands read, small ones: what inputs are mutated from, and what lines find."""

from __future__ import annotations

import functools
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import tempfile
from pathlib import Path

import msgspec
import zstandard
from calibrations import samples
from campaigns import SMALL, create
from stress_records import record

from stress.measure.evaluation import measure
from stress.result.files import write_result

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data"
RUN = "results/20260101-000000-run-abcd"
OWN = b"""name = "own-storm"
summary = "A storm of its own."
[cgroups]
cgroups = 8
active = 4
rounds = 8
[[caches]]
name = "mail"
size = 320
weight = 3
life = 2.0
remote_share = 0.5
[[caches]]
name = "dentry"
"""
STUDIES = {
    "study.toml": SMALL.encode(),
    "searches.toml": b'name = "searches"\nkind = "explore"\n[base]\nschedules = 50\n[cross]\nmodel = ["R8", "R9"]\n'
    b'design = ["v1", "v3"]\n',
    "points.toml": b'name = "points"\nkind = "simulate"\n[base]\noperations = 1000\n[cross]\ncpus = [1, 2]\n'
    b'design = ["linux-3.16", "v3"]\n',
}
FIELD = {path.name: path.read_bytes() for path in sorted((DATA / "field").iterdir())}
SLABS = [name for name in FIELD if not name.startswith(("ftrace", "perf", "trace"))]
TRACES = [name for name in FIELD if name.startswith(("ftrace", "perf", "trace"))]


@functools.cache
def result() -> bytes:
    """The result.json of a made-up run."""
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        _, path = write_result(measure(record()), Path(folder))
        return path.read_bytes()


@functools.cache
def campaign() -> dict[str, bytes]:
    """The files of a campaign of which nothing is played yet."""
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        create(Path(folder) / "small")[0].close()
        for path in Path(folder).rglob("*.sqlite"):
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA journal_mode=DELETE")
            connection.close()
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }


@functools.cache
def steps(allocator: str = "slub", lines: int = 30) -> bytes:
    """The first of the recorded steps of a kernel."""
    return b"\n".join((DATA / f"linux-3.16-{allocator}-steps.csv").read_bytes().split(b"\n")[:lines]) + b"\n"


@functools.cache
def trace(lines: int = 400) -> bytes:
    """The beginning of a recorded kernel's life, unpacked."""
    with open(DATA / "linux-3.16-slub-base.csv.zst", "rb") as file:
        stream = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file))
        return b"".join(stream.readline() for _ in range(lines))


@functools.cache
def packed(name: str, how: str) -> bytes:
    """A recording, packed."""
    pack = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress}[how]
    return pack(trace() if name == "trace.csv" else FIELD[name])


@functools.cache
def parquet() -> bytes:
    """A recording as `import --out` writes it; b"" without pyarrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return b""
    from typer.testing import CliRunner

    from stress.commands.app import app

    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        source, made = Path(folder) / "trace.txt", Path(folder) / "trace.parquet"
        source.write_bytes(FIELD["ftrace-6.x.txt"])
        CliRunner().invoke(app, ["import", str(source), "--out", str(made)])
        return made.read_bytes()


@functools.cache
def tar() -> bytes:
    """A tar of some files of /sys/kernel/slab."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for line in FIELD["sysfs-slab-grep.txt"].decode().splitlines():
            name, _, value = line.partition(":")
            member = tarfile.TarInfo(name.removeprefix("/"))
            member.size = len(value) + 1
            archive.addfile(member, io.BytesIO(value.encode() + b"\n"))
    return buffer.getvalue()


@functools.cache
def everything() -> dict[str, bytes]:
    """What lines find in their folder, by name."""
    return {
        "run/result.json": result(),
        f"{RUN}/result.json": result(),
        "schedule.json": (ROOT / "tests/storms/R8.schedule.json").read_bytes(),
        "samples.json": msgspec.json.encode(samples(0.0)),
        "machine.toml": (ROOT / "stress/profiles/epyc-2022.toml").read_bytes(),
        "own.toml": OWN,
        "steps.csv": steps(),
        "trace.txt": FIELD["ftrace-6.x.txt"],
        "slabinfo": FIELD["slabinfo-2.1-slub.txt"],
        "file": b"x\n",
        **STUDIES,
        **campaign(),
    }


def meta() -> bytes:
    """What a shipped recording says of itself, the beginning of it."""
    told = json.loads((DATA / "linux-3.16-slub-base.meta.json").read_bytes())
    return json.dumps({key: value for key, value in told.items() if not isinstance(value, list)}).encode()
