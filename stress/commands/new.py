"""`new`: the skeleton of a plugin."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from stress.commands.guarded import guarded


class Kind(str, enum.Enum):
    switch = "switch"
    scenario = "scenario"


@guarded
def new(
    kind: Annotated[Kind, typer.Argument(help="A patch with its code, or a workload of your own.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as MY_PATCH, or my-storm.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")] = Path("."),
) -> int:
    """Lay out a working switch or scenario of your own, with a test (docs/your-patch.md)."""
    from stress.plugins.skeleton import lay_out

    written = lay_out(kind.value, name, out)
    for path in written:
        print(path)
    print(f"Next: pytest {written[-1]}")
    if kind is Kind.switch:
        print(f"Next: python -m stress check {written[0]}")
    else:
        print(f"Next: python -m stress run --serial --plugin {written[0]} --scenario {name}")
    return 0
