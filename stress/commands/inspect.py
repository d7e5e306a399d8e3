"""`inspect`: what slab files of a machine say."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import Details, guarded


class InspectFormat(str, enum.Enum):
    text = "text"
    json = "json"


@guarded
def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="/proc/slabinfo, memory.kmem.slabinfo, slabtop -o, slabinfo -r, dmesg, files of "
            "/sys/kernel/slab/CACHE, a copy of /sys/kernel/slab or a tar of it, crash's kmem -s, cgroup.stat, "
            "/proc/cgroups. Two of one machine give its growth.",
        ),
    ],
    hours: Annotated[
        float | None,
        typer.Option(metavar="H", help="Hours between two files.  [default: by the times at which they were written]"),
    ] = None,
    cgroups: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Its /sys/fs/cgroup, or a file with a folder of it a line (`find /sys/fs/cgroup -type d`); "
            "tells caches of dead cgroups from those of live ones.",
        ),
    ] = None,
    format: Annotated[InspectFormat, typer.Option(help="How to print it.")] = InspectFormat.text,
    details: Details = False,
) -> int:
    """Say what is in a machine's slabs: memory, what partial slabs hold, whether sizes are as SLUB makes them, dying
    cgroups; and print the command that plays a like workload under the designs that mend it.
    """
    from stress.inspect.command import main

    return main(files, hours=hours, format=format.value, details=details, cgroups=cgroups)
