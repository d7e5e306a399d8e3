"""`list`: what there is to run, a line each."""

from __future__ import annotations

import enum
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from allocators.catalogue import ALLOCATORS
from stress.commands.guarded import with_plugins

if TYPE_CHECKING:
    from allocators.designs import Design


class What(str, enum.Enum):
    allocators = "allocators"
    designs = "designs"
    scenarios = "scenarios"
    races = "races"
    machines = "machines"


@with_plugins
def list_(
    what: Annotated[What | None, typer.Argument(help="One kind only; all of them without it.")] = None,
) -> None:
    """What there is to run: allocators, designs, scenarios and races, and machines to simulate, a line each."""
    print_listing(None if what is None else what.value)


def print_listing(kind: str | None) -> None:
    """Print one kind of thing, or all under titles.

    Asked for by kind, scenarios come with their parameters and designs with the switches they are made of.
    """
    if kind == "scenarios":
        print_scenarios()
    elif kind == "designs":
        print_designs()
    elif kind is not None:
        print_lines(entries(kind))
    else:
        for one in (kind.value for kind in What):
            print(f"{one}:")
            print_lines(entries(one), indent="  ")


def entries(kind: str) -> list[tuple[str, str]]:
    """(name, summary) of everything of this kind."""
    if kind == "allocators":
        return [(name, allocator.about) for name, allocator in ALLOCATORS.items()]
    if kind == "designs":
        from allocators.designs import DESIGNS

        return [(name, f"{design.summary} ({design.year})") for name, design in DESIGNS.items()]
    if kind == "races":
        from stress.explore.races import MODELS

        return [(name, f"{model.summary} [{model.design}]") for name, model in MODELS.items()]
    if kind == "machines":
        from stress.profiles.load import ADDED, load, shipped

        names = (*shipped(), *ADDED)
        return [(name, f"{profile.about}: {profile.shape}") for name in names for profile in [load(name)]]
    from scenarios.registry import SCENARIOS

    return [(name, scenario.summary) for name, scenario in SCENARIOS.items()]


def print_designs() -> None:
    """Every design with its switches and source, then what each switch does."""
    from allocators.designs import DESIGNS
    from allocators.sheaf_settings import SETTINGS
    from allocators.switches import SWITCHES

    for (name, summary), design in zip(entries("designs"), DESIGNS.values(), strict=True):
        print_lines([(name, summary)])
        lines = [
            ("switches", " ".join(design.ordered_switches())),
            ("source", design.source),
            ("on", " ".join(_players(design))),
        ]
        print_lines(lines, indent="    ")
    print("settings, to give a design (linux-7.0:sheaf_capacity=64,barn_sheaves=20):")
    print_lines([(name, f"{setting.summary} ({setting.range})") for name, setting in SETTINGS.items()], indent="    ")
    print("switches, to edit a design with (linux-3.16+P2+P3, v1-P7):")
    print_lines([(name, switch.summary) for name, switch in SWITCHES.items()], indent="    ")


def _players(design: Design) -> Iterator[str]:
    """The allocators that a design can be played on."""
    from allocators.designs import DesignError

    for allocator in ALLOCATORS:
        try:
            design.check_allocator(allocator)
        except DesignError:
            continue
        yield allocator


def print_scenarios() -> None:
    """Every scenario with what `--set` may change in it."""
    from scenarios.registry import SCENARIOS
    from scenarios.settings import describe

    for name, scenario in SCENARIOS.items():
        print_lines([(name, scenario.summary)])
        described = describe(scenario.parameters)
        lines = [(key, f"{meaning}: {allowed} [default: {default}]") for key, default, allowed, meaning in described]
        print_lines(lines, indent="    ")


def print_lines(lines: Iterable[tuple[str, str]], indent: str = "") -> None:
    """Names in a column, summaries wrapped beside it."""
    lines = list(lines)
    width = max((len(name) for name, _ in lines), default=0)
    room = max(shutil.get_terminal_size().columns, 60)
    for name, summary in lines:
        print(
            textwrap.fill(
                summary,
                room,
                initial_indent=f"{indent}{name:<{width}}  ",
                subsequent_indent=" " * (len(indent) + width + 2),
            )
        )
