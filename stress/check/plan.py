"""What is compared: the design that a plugin is meant for, without its switches and with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from stress.plugins.registered import Plugin
from stress.process.errors import UsageError

STEPS = "linux-3.16-{allocator}-steps.csv"
RELEASE = "linux-3.16"  # what the steps were recorded of


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """before, after: designs. release: the recorded release with the plugin's switches, None where the plugin does not
    say that it changes nothing there. steps: the recording, None when there is none here. seconds: of measurement.
    budget: seconds of one search. preemptions: its bound. jobs: processes."""

    plugin: Plugin
    allocator: str
    before: str
    after: str
    release: str | None
    steps: Path | None
    seconds: float
    budget: float
    preemptions: int
    seed: int
    jobs: int


def make_plan(
    plugin: Plugin,
    *,
    before: str | None,
    after: str | None,
    allocator: str | None,
    steps: Path | None,
    seconds: float,
    budget: float,
    preemptions: int,
    seed: int,
    jobs: int,
) -> Plan:
    """Raises UsageError for a plugin that has nothing to check, and for designs that cannot be."""
    from allocators.catalogue import ALLOCATORS
    from stress.play.options import check_designs
    from stress.process.usage import choose

    if not plugin.switches and not plugin.designs and after is None:
        raise UsageError(f"{plugin.where} brings neither a switch nor a design, so there is nothing to check")
    on = allocator or (plugin.switches[0].allocators[:1] or ("slub",))[0] if plugin.switches else allocator or "slub"
    choose("--allocator", on, ALLOCATORS, "python -m stress list allocators")
    base = before or plugin.base or _with_needs(RELEASE, plugin)
    with_it = after or (
        base + "".join(f"+{switch.name}" for switch in plugin.switches) if plugin.switches else plugin.designs[0].name
    )
    check_designs(base, [with_it], on)
    release = None
    if plugin.unchanged and plugin.switches:
        release = _with_needs(RELEASE, plugin) + "".join(f"+{switch.name}" for switch in plugin.switches)
        check_designs(RELEASE, [release], on)
    if steps is None:
        shipped = Path(__file__).resolve().parents[2] / "tests" / "data" / STEPS.format(allocator=on)
        steps = shipped if shipped.is_file() else None
    elif not steps.is_file():
        raise UsageError(f"--steps {steps}: there is no such file")
    return Plan(plugin, on, base, with_it, release, steps, seconds, budget, preemptions, seed, jobs)


def _with_needs(design: str, plugin: Plugin) -> str:
    """The design with what the plugin's switches cannot be without: the first of `needs`, all of `requires`."""
    from allocators.designs import DESIGNS

    mine = {switch.name for switch in plugin.switches}
    has = set(DESIGNS[design].switches)
    for switch in plugin.switches:
        for name in (*switch.needs[:1], *switch.requires):
            if name not in has | mine and has.isdisjoint(switch.needs if name in switch.needs else ()):
                has.add(name)
                design += f"+{name}"
    return design
