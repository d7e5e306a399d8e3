"""Recorded kernel traces as workloads: `open_trace`; `steps` reads tables of deterministic steps.

A reader turns each layout into a `Workload` (what a replay does) and a `Recording` (what the kernel
did): `linux316` the whole life of a 3.16 kernel's SLUB, `linux618` a mixed load on 6.18. They share
`source` (files and metadata), `builder` (tapes, slots, order), `recording` and `errors`; `caches316`
reads the metadata of the former.
"""

from __future__ import annotations

import os

from scenarios.tape import Workload
from scenarios.traces import linux316, linux618
from scenarios.traces.errors import TraceError
from scenarios.traces.recording import ABSENT, FAST, NEVER, SLOW, UNRECORDED, Outcome, Recording, Unplaced
from scenarios.traces.source import UNPACKED_LIMIT, Progress, Source, shown

__all__ = [
    "ABSENT", "FAST", "NEVER", "SLOW", "UNRECORDED",
    "Outcome", "Recording", "TraceError", "Unplaced", "open_trace",
]  # fmt: skip

_HEADERS = (linux316.HEADER, linux618.HEADER)


def open_trace(
    path: str | os.PathLike[str], *, progress: Progress | None = None, limit: int = UNPACKED_LIMIT, seed: int = 1
) -> tuple[Workload, Recording]:
    """Read a recorded trace, NAME.csv or NAME.csv.zst with NAME.meta.json beside it.

    progress: called about a hundred times with (bytes read, bytes in the file).
    limit: the most bytes to accept unpacked. seed: of what is drawn of the state in which a trace begins in mid-life.
    Raises TraceError, with the line where there is one, for anything wrong with the files.
    """
    source = Source(path, limit=limit, progress=progress)
    header = source.header()
    if header not in _HEADERS:
        kind = "a table of steps or a census" if header.startswith(("kernel,", "tag,")) else "an unknown header"
        raise source.fail(1, f"{kind}: {shown(header.encode())}", f"a trace begins with one of: {' | '.join(_HEADERS)}")
    return linux316.read(source) if header == linux316.HEADER else linux618.read(source, seed)
