"""What plugins bring, checked and added to the tables of switches, designs, scenarios and machines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stress.process.errors import UsageError

if TYPE_CHECKING:
    from allocators.designs import Design
    from allocators.switches import Switch
    from scenarios.scenario import Scenario
    from shm.hooks import Hook

# What the laboratory itself asks a machine for.
RESERVED = frozenset({"STATS", "PREEMPT", "VTIME", "SPIN", "LATENCY", "SLAB", "SLOB", "SLUB"})
LISTS = ("SWITCHES", "DESIGNS", "SCENARIOS", "MACHINES")


@dataclasses.dataclass(frozen=True, slots=True)
class Plugin:
    """What one plugin has brought. where: its file, or its entry points' package.

    base: the design that its switches are meant for, "" where it does not say (`BASE`). unchanged: it says that
    nothing changes while no cgroup is taken offline (`LIVE_UNCHANGED`).
    """

    where: str
    switches: tuple[Switch, ...] = ()
    designs: tuple[Design, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    machines: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    digest: str = ""
    base: str = ""
    unchanged: bool = False


LOADED: dict[str, Plugin] = {}  # by path or name of the package


def take_in(where: str, found: dict[str, Any], digest: str) -> Plugin:
    """Check what a plugin has (its module's `SWITCHES` and so on, and its hooks) and add it, all or nothing.

    Raises UsageError, which names the plugin.
    """
    from allocators.catalogue import ALLOCATORS
    from allocators.designs import DESIGNS, Design, parse_design
    from allocators.switches import SWITCHES, Switch
    from scenarios.registry import SCENARIOS
    from scenarios.scenario import Scenario
    from shm import hooks
    from stress.profiles.load import ADDED, read, shipped

    switches = _listed(where, found, "SWITCHES", Switch)
    designs = _listed(where, found, "DESIGNS", Design)
    scenarios = _listed(where, found, "SCENARIOS", Scenario)
    machines = [Path(str(path)) for path in _listed(where, found, "MACHINES", (str, Path))]
    for switch in switches:
        if not hooks.NAME.fullmatch(switch.name) or switch.name in RESERVED:
            raise UsageError(f"{where}: {switch.name!r} is no name of a switch: capitals first, such as MY_PATCH")
        _new(where, "switch", switch.name, SWITCHES)
        unknown = [name for name in switch.allocators if name not in ALLOCATORS]
        if unknown:
            known = ", ".join(ALLOCATORS)
            raise UsageError(f"{where}: switch {switch.name}: there is no allocator {unknown[0]!r}; there are {known}")
    mine = {switch.name for switch in switches}
    for hook in hooks.pending():
        if hook.switch not in mine:
            code = hook.replacement.__code__
            raise UsageError(
                f"{code.co_filename}:{code.co_firstlineno}: {hook.replacement.__name__} replaces "
                f"{hook.function.__name__} under {hook.switch}, which is none of the plugin's SWITCHES"
            )
    for design in designs:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._]*(-[a-z0-9][A-Za-z0-9._]*)*", design.name):
            raise UsageError(f"{where}: {design.name!r} is no name of a design: words joined by -, such as my-patch")
        _new(where, "design", design.name, DESIGNS)
        unknown = sorted(design.switches - mine - SWITCHES.keys())
        if unknown:
            raise UsageError(f"{where}: design {design.name}: there is no switch {unknown[0]}")
    for scenario in scenarios:
        _new(where, "scenario", scenario.name, SCENARIOS)
    folder = Path(where).parent
    paths = {path.stem: folder / path for path in machines}
    for name, path in paths.items():
        _new(where, "machine", name, (*shipped(), *ADDED))
        read(path)
    base, unchanged = found.get("BASE", ""), found.get("LIVE_UNCHANGED", False)
    if not isinstance(base, str) or not isinstance(unchanged, bool):
        raise UsageError(f"{where}: BASE is the name of a design, and LIVE_UNCHANGED is True or False")
    SWITCHES.update({switch.name: switch for switch in switches})
    DESIGNS.update({design.name: design for design in designs})
    try:
        for text in (base, *(design.name for design in designs)):
            if text:
                parse_design(text)
    except ValueError as error:
        for switch in switches:
            del SWITCHES[switch.name]
        for design in designs:
            del DESIGNS[design.name]
        raise UsageError(f"{where}: {error}") from None
    SCENARIOS.update({scenario.name: scenario for scenario in scenarios})
    ADDED.update(paths)
    done = hooks.apply(digest)
    for switch in switches:
        hooks.SOURCES[switch.name] = digest
    return Plugin(
        where, tuple(switches), tuple(designs), tuple(scenarios), tuple(paths), tuple(done), digest, base, unchanged
    )


def take_out(plugin: Plugin) -> None:
    """Undo `take_in`, for tests of a plugin that must leave no trace in others."""
    from allocators.designs import DESIGNS
    from allocators.switches import SWITCHES
    from scenarios.registry import SCENARIOS
    from shm import hooks
    from stress.profiles.load import ADDED

    hooks.withdraw(plugin.hooks)
    for switch in plugin.switches:
        del SWITCHES[switch.name]
        hooks.SOURCES.pop(switch.name, None)
    for design in plugin.designs:
        del DESIGNS[design.name]
    for scenario in plugin.scenarios:
        del SCENARIOS[scenario.name]
    for machine in plugin.machines:
        del ADDED[machine]
    LOADED.pop(plugin.where, None)


def _listed(where: str, found: dict[str, Any], name: str, kind: Any) -> list[Any]:
    """One of `LISTS`, as a list of things of this kind."""
    value = found.get(name, ())
    listed = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    for thing in listed:
        if not isinstance(thing, kind):
            kinds = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise UsageError(f"{where}: {name} holds {thing!r}, which is no {kinds}")
    return listed


def _new(where: str, what: str, name: str, known: Any) -> None:
    if name in known:
        raise UsageError(f"{where}: there is a {what} {name} already; give yours another name")
