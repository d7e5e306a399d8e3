"""Switches and designs. A design is a named set of switches; a switch is one change to the kernel.

A design may be edited: ``linux-3.16+P2+P3``, ``v1-P7``, ``v3-F_OBO``. A switch with versions (P3, P4,
P7) is replaced by adding another version of it. `features` are the switches one allocator reads, and
only those are part of compiled code, so designs that agree in them share one compilation.

It may also set numbers, behind a colon: ``linux-7.0:sheaf_capacity=64,barn_sheaves=20`` (`SETTINGS`). They are words of
a segment: nothing is compiled for them.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable

from allocators.catalogue import DEFAULT, facts
from allocators.sheaf_settings import AS_THE_KERNEL, SETTINGS, SheafSettings, with_settings
from allocators.switches import SWITCHES


@dataclasses.dataclass(frozen=True, slots=True)
class Design:
    """A set of switches with a name, the year it was proposed or released, and where it comes from."""

    name: str
    switches: frozenset[str]
    year: int
    summary: str
    source: str
    base: str = ""  # the design that this one was edited from
    settings: tuple[tuple[str, int], ...] = ()  # what it sets of `SETTINGS`, in the order of that table

    def features(self, allocator: str) -> frozenset[str]:
        """What code compiled for this allocator depends on: its feature, and the switches it reads."""
        read = frozenset(s for s in self.switches if allocator in SWITCHES[s].allocators)
        return facts(allocator).feature | read

    def check_allocator(self, allocator: str) -> None:
        """DesignError when this allocator lacks what the design, or an edit of it, is about."""
        childless = not facts(allocator).has_children
        hint = f"; on {allocator} play {', '.join(WITHOUT_CHILDREN)} as they are" if childless else ""
        refusal = f"design {self.name!r} cannot be played on {allocator}: "
        for switch in map(SWITCHES.__getitem__, self.ordered_switches()):
            if switch.defining and allocator not in switch.allocators:
                have = " or ".join(switch.allocators)
                raise DesignError(f"{refusal}{switch.name} ({switch.summary}) is there on {have} only{hint}")
        if childless and self.base:
            for switch in SWITCHES.values():
                if switch.name in self.switches ^ DESIGNS[self.base].switches and switch.allocators:
                    raise DesignError(
                        f"{refusal}{switch.name} ({switch.summary}) changes nothing there, as {allocator} has no "
                        f"caches of cgroups{hint}, or take --allocator {DEFAULT}"
                    )

    def sheaves(self, otherwise: SheafSettings = AS_THE_KERNEL) -> SheafSettings:
        """The sizes of sheaves and barns; otherwise: of what the design does not set."""
        return with_settings(otherwise, self.settings)

    def ordered_switches(self) -> list[str]:
        """The switches in the order of the table."""
        return [s for s in SWITCHES if s in self.switches]


class DesignError(ValueError):
    """A design's text is wrong; the message says what is and what is allowed."""


_LINUX_618 = frozenset(
    {"F_OBO", "F_NRP", "P4v4", "F_OBJCG", "F_PAGESTOCK", "F_SHEAF", "F_SHEAFASK", "F_618SHRINK", "F_RCUSHEAF"}
) | {"F_PARTIALSLABS"}
_LINUX_70 = _LINUX_618 - {"F_SHEAFASK", "F_618SHRINK", "F_PARTIALSLABS"} | {
    "F_NOCPUSLAB",
    "F_CAP7",
    "F_REFILL7",
    "F_REMOTETRY",
    "F_REFILLFLUSH",
    "F_FLUSHLOCK",
}

_LINUX_71 = _LINUX_70 | {"F_BARNONLINE", "F_OBJCGNODE", "F_STOCKMEMCG"}
_LINUX_72 = _LINUX_71 - {"F_REFILL7", "F_STOCKMEMCG"} | {"F_REFILL72", "F_STOCK5"}
_LINUX_73 = _LINUX_72 - {"F_REFILL72"} | {"F_REFILL73", "F_PAGESTOCKPUT"}

DESIGNS: dict[str, Design] = {
    d.name: d
    for d in (
        Design(
            "linux-3.15",
            frozenset({"F_WORK"}),
            2014,
            "the old self-destruction: work shrinks a dead cache once and destroys it when its pages go, which they do "
            "not",
            "v3.15 mm/memcontrol.c, as 1e32e77f95d6 and bd67314586a3 removed it",
        ),
        Design(
            "linux-3.16",
            frozenset({"F_OBO"}),
            2014,
            "the release: a cache with a live object when its cgroup goes offline is leaked with the cgroup",
            "v3.16 mm/slub.c, mm/memcontrol.c",
        ),
        Design(
            "full-tracking",
            frozenset({"F_OBO", "F_FULL", "F_FREEREF"}),
            2014,
            "what re-parenting slab by slab would have cost each allocation and free; nothing is re-parented here",
            "RFC cover.1399982635.git.vdavydov@parallels.com, 13 May 2014",
        ),
        Design(
            "rfc-reparent",
            frozenset({"F_OBO", "F_FULL", "F_FREEREF", "F_REPARENT_SLABS"}),
            2014,
            "the RFC before the series: at offline every slab moves to the root cache, live objects and all; no cache "
            "stays dead",
            "RFC cover.1399982635.git.vdavydov@parallels.com, 13 May 2014; what it leaves open is inferred "
            "(docs/design.md)",
        ),
        Design(
            "v1",
            frozenset({"F_OBO", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8"}),
            2014,
            "the eight patches as posted on 30 May 2014, on 3.16",
            "cover.1401457502.git.vdavydov@parallels.com",
        ),
        Design(
            "v2",
            frozenset({"F_OBO", "P1", "P2", "P3", "P4v3", "P7v2", "P8v2", "F_NP", "F_RCU"}),
            2014,
            "the series as posted again on 6 June 2014, on 3.16",
            "cover.1402060096.git.vdavydov@parallels.com",
        ),
        Design(
            "v3",
            frozenset({"F_OBO", "P1", "P2", "P3v3", "P4v3", "P7v3", "P8v3", "F_NP", "F_RCU"}),
            2014,
            "the series after its review, 13 June 2014, on 3.16",
            "cover.1402602126.git.vdavydov@parallels.com",
        ),
        Design(
            "linux-4.0",
            frozenset({"F_OBO", "F_NRP", "P4v4", "P7v4", "F_CSS"}),
            2015,
            "deactivated at offline: no empty slab stays, and what is left is destroyed when the memcg is released",
            "v4.0 mm/slub.c, d6e0b7fa1186; cover.1422461573.git.vdavydov@parallels.com",
        ),
        Design(
            "linux-5.3",
            frozenset({"F_OBO", "F_NRP", "P4v4", "P7v4", "F_REPARENT", "F_ALLOCREF", "F_FLUSHWORK"}),
            2019,
            "child caches move to the parent cgroup at offline: the memcg goes at once, a cache with its last slab",
            "v5.3 mm/memcontrol.c, mm/slab_common.c, fb2f2b0adb98; 20190611231813.3148843-1",
        ),
        Design(
            "linux-5.9",
            frozenset({"F_OBO", "F_NRP", "P4v4", "F_OBJCG", "F_UNLINKLOCKED"}),
            2020,
            "one set of caches, an owner per object: no child caches, hence no dead ones; the memcg goes at once",
            "v5.9 mm/slab.h, mm/memcontrol.c, 10befea91b61; 20200623174037.3951353-1",
        ),
        Design(
            "linux-6.18",
            _LINUX_618,
            2025,
            "5.9 with sheaves for caches that ask: their objects come from an array of their CPU, by no atomic",
            "v6.18 mm/slub.c; 20250903-slub-percpu-caches-v7-0",
        ),
        Design(
            "linux-7.0-rc1",
            _LINUX_70 - {"F_REFILLFLUSH", "F_FLUSHLOCK"} | {"F_GATE"},
            2026,
            "sheaves for all caches, no CPU slabs; who may not block refills none; a failed refill leaks what it got",
            "v7.0-rc1 mm/slub.c, 815c8e35511d; 20260123-sheaves-for-all-v4; without fb1091febd66",
        ),
        Design(
            "linux-7.0",
            _LINUX_70,
            2026,
            "sheaves for all caches, no CPU slabs or CPU partial lists: what sheaves lack is under list_lock",
            "v7.0 mm/slub.c",
        ),
        Design(
            "linux-7.1",
            _LINUX_71,
            2026,
            "7.0 with barns on nodes without memory, and an owner for each memcg and node",
            "v7.1 mm/slub.c, b002755da434, f811cc3d9f6e; mm/memcontrol.c, 01b9da291c49, d0211878ce06",
        ),
        Design(
            "linux-7.2",
            _LINUX_72,
            2026,
            "7.1 with slabs that a refill did not use up given back together, a leftover without a lock, and five "
            "owners in a CPU's stock",
            "v7.2 mm/slub.c, 0fc52deec106, 93a51a74d7de, dc795d4c0282; mm/memcontrol.c",
        ),
        Design(
            "linux-7.3",
            _LINUX_73,
            2026,
            "7.2 with the leftover given back under list_lock",
            "7.3-rc mm/slub.c, 4a724bcf5d70 (by its title)",
        ),
    )
}


# None of their switches changes an allocator without caches of cgroups (SLOB), so on it they are one and the same code;
# P5 changed a return type of mm/slob.c.
WITHOUT_CHILDREN = tuple(
    name for name, design in DESIGNS.items() if design.switches.isdisjoint(s for s in SWITCHES if SWITCHES[s].defining)
)


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def parse_design(text: str) -> Design:
    """A design by name, or edited with +SWITCH and -SWITCH; behind a colon, its settings: NAME=NUMBER, with commas.

    Raises DesignError for an unknown name, switch or setting, a number out of its range, and for a combination that
    makes no sense.
    """
    named, colon, values = text.partition(":")
    design = _edited(named)
    if not colon:
        return design
    return dataclasses.replace(
        design, name=text, base=design.base or design.name, settings=_settings(text, values, design.switches)
    )


def _settings(text: str, values: str, switches: frozenset[str]) -> tuple[tuple[str, int], ...]:
    """What is behind the colon of a design's text."""
    found: dict[str, int] = {}
    for part in values.split(","):
        name, _, value = part.partition("=")
        if name not in SETTINGS:
            known = ", ".join(f"{one.name}, {one.range}" for one in SETTINGS.values())
            near = _suggest(name, SETTINGS)
            raise DesignError(f"design {text!r}: unknown setting {name!r}{near} (settings: {known})")
        setting = SETTINGS[name]
        if name in found:
            raise DesignError(f"design {text!r}: {name} is set twice")
        if not re.fullmatch(r"[0-9]{1,9}", value) or not setting.least <= int(value) <= setting.most:
            raise DesignError(
                f"design {text!r}: {name} must be a number from {setting.range}, not {value!r}; such as "
                f"{name}={min(max(int(value), setting.least), setting.most) if value.isdigit() else 20}"
            )
        if setting.needs not in switches:
            raise DesignError(
                f"design {text!r}: {name} ({setting.summary}) makes no sense without {setting.needs} "
                f"({SWITCHES[setting.needs].summary})"
            )
        found[name] = int(value)
    return tuple((name, found[name]) for name in SETTINGS if name in found)


def _edited(text: str) -> Design:
    base_name = max((name for name in DESIGNS if re.match(re.escape(name) + r"(?=[+-]|$)", text)), key=len, default="")
    if not base_name:
        name = re.split(r"\+|-(?=[PF])", text)[0]
        raise DesignError(f"unknown design {name!r}{_suggest(name, DESIGNS)} (designs: {', '.join(DESIGNS)})")
    base = DESIGNS[base_name]
    edits = text[len(base_name) :]
    if not edits:
        return base
    if not re.fullmatch(r"([+-][A-Za-z0-9_]+)+", edits):
        raise DesignError(f"design {text!r}: after {base_name} only +SWITCH and -SWITCH may follow, not {edits!r}")
    switches = set(base.switches)
    for sign, name in re.findall(r"([+-])([A-Za-z0-9_]+)", edits):
        if name not in SWITCHES:
            raise DesignError(
                f"design {text!r}: unknown switch {name!r}{_suggest(name, SWITCHES)} (switches: {', '.join(SWITCHES)})"
            )
        if sign == "-":
            if name not in switches:
                raise DesignError(f"design {text!r}: {name} is not on in what precedes it, so it cannot be taken away")
            switches.remove(name)
        else:
            if name in switches:
                raise DesignError(f"design {text!r}: {name} is already on in what precedes it")
            group = SWITCHES[name].group
            switches -= {s for s in switches if group and SWITCHES[s].group == group}
            switches.add(name)
    for name in [s for s in SWITCHES if s in switches]:  # in their own order: what is wrong is said the same every time
        needs = SWITCHES[name].needs
        if needs and not switches.intersection(needs):
            raise DesignError(
                f"design {text!r}: {name} ({SWITCHES[name].summary}) makes no sense without {' or '.join(needs)}"
            )
        for other in SWITCHES[name].requires:
            if other not in switches:
                raise DesignError(
                    f"design {text!r}: {name} ({SWITCHES[name].summary}) makes no sense without {other} "
                    f"({SWITCHES[other].summary})"
                )
        for other in SWITCHES[name].conflicts:
            if other in switches:
                raise DesignError(
                    f"design {text!r}: {name} ({SWITCHES[name].summary}) and {other} ({SWITCHES[other].summary}) "
                    "exclude each other"
                )
    return Design(text, frozenset(switches), base.year, f"{base_name} edited", base.source, base_name)
