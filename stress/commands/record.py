"""`record`: this machine's allocations and frees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import guarded


@guarded
def record(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the trace goes.")] = Path("trace.txt"),
    seconds: Annotated[float, typer.Option(metavar="S", help="How long.")] = 10.0,
    buffer_kb: Annotated[int, typer.Option(metavar="KB", help="Ring of each CPU; what does not fit is lost.")] = 16384,
    tracefs: Annotated[Path, typer.Option(metavar="DIR", help="Where tracefs is.")] = Path("/sys/kernel/tracing"),
) -> int:
    """Record this machine's allocations and frees by ftrace (root), in a tracing instance of its own, with slabinfo and
    cgroup.stat before and after. Everything is put back at the end; after a SIGKILL the next call does.
    """
    from stress.recordings.record import main

    return main(out, seconds, buffer_kb, tracefs)
