"""What was measured, as text, TOML or JSON."""

from __future__ import annotations

from typing import TextIO

from stress.machine.assemble import GRACE, LLC_WIDE
from stress.machine.result import Found, Measured
from stress.profiles.profile import Profile

# In the table, the nearest and cheapest first; what is missing was not measured.
ORDER = (
    "access",
    "this_cpu",
    "locked",
    "locked add",
    "barrier",
    "llc",
    LLC_WIDE,
    "complex",
    "node",
    "remote",
    "memory_near",
    "memory_far",
    "interrupt",
    "ipi",
    "wakeup",
    GRACE,
)
TITLES = {
    "access": "an access that hits",
    "this_cpu": "+ unlocked compare-and-swap",
    "locked": "+ locked compare-and-swap",
    "locked add": "+ locked add",
    "barrier": "+ full fence",
    "llc": "last-level cache",
    LLC_WIDE: "a quarter of it",
    "complex": "dirty line, same complex",
    "node": "dirty line, same node",
    "remote": "dirty line, other node",
    "memory_near": "memory of the own node",
    "memory_far": "memory of another node",
    "interrupt": "interrupt, entry to exit",
    "ipi": "interrupt of another CPU",
    "wakeup": "waking a sleeper",
    GRACE: "grace period",
}


def write(profile: Profile, found: Found, format: str, stream: TextIO) -> None:
    """Print as `text`, `toml` (the profile and nothing else) or `json`."""
    if format == "toml":
        stream.write(found.profile)
    elif format == "json":
        import msgspec

        stream.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        _print_text(profile, found, stream)


def _print_text(profile: Profile, found: Found, stream: TextIO) -> None:
    from rich import box
    from rich.table import Table

    from stress.show.terminal import item, make_console

    console = make_console(stream)
    console.print("What this machine's accesses cost", style="bold")
    console.print(found.cpu, style="dim")
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title, justify in (("", "left"), ("ns", "right"), ("±", "right"), ("how", "left")):
        drawn.add_column(title, justify="right" if justify == "right" else "left", no_wrap=title in ("", "ns", "±"))
    for one in _in_order(found):
        drawn.add_row(TITLES[one.name], _ns(one.ns), f"{one.spread:.1%}", one.how)
    console.print(drawn)
    cpus = ", ".join(map(str, found.shape.measured_cpus[:16])) + ", …" * (len(found.shape.measured_cpus) > 16)
    console.print(f"Topology: {profile.shape}, {profile.cache.private_kib} KiB a core; measured on CPUs {cpus}.")
    console.print(f"How far to trust it: {found.trust.grade}", style="bold")
    for known in found.trust.findings:
        style = {"serious": "bold red", "warning": "yellow"}.get(known.level)
        item(console, known.text, style)
    if found.written is not None:
        console.print(f"The profile is in {found.written}. Play on it:", soft_wrap=True)
        console.print(f"    python -m stress simulate --machine {found.written}", soft_wrap=True)


def _in_order(found: Found) -> list[Measured]:
    return sorted(found.measured, key=lambda one: ORDER.index(one.name))


def _ns(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value >= 100 else f"{value:.2f}"
