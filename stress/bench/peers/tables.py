"""The comparison as tables of text: what text, Markdown and the page's numbers are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from stress.bench.peers.result import Cell, Peers
from stress.bench.peers.tapes import TITLES
from stress.show import units


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """header: the first cell is the table's subject."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(found: Peers) -> list[Table]:
    """One per workload and number of CPUs, then the memory, then who played."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in found.cells:
        groups.setdefault((cell.workload, cell.cpus), []).append(cell)
    made = [_times(found, cells) for cells in groups.values()]
    if found.memory:
        made.append(_held(found))
    made.append(
        Table(
            "who played",
            ("program", "what", "library"),
            [(p.name, p.about, p.missing or p.file or units.UNKNOWN) for p in found.players],
        )
    )
    return made


def title_of(cell: Cell) -> str:
    """A cell's workload and number of CPUs in words."""
    return f"{TITLES[cell.workload]}, {'one CPU' if cell.cpus == 1 else 'two CPUs'}"


def _rows(
    found: Peers, cells: int, show: Callable[[str, int], str], *, beside: tuple[str, ...] = ()
) -> list[tuple[str, ...]]:
    return [
        (p.name, *(show(p.name, i) for i in range(cells)))
        if p.missing is None
        else (p.name, *["not installed" if not i else "" for i in range(cells)])
        for p in found.players
        if p.name not in beside
    ]


def _times(found: Peers, cells: list[Cell]) -> Table:
    def show(name: str, index: int) -> str:
        cell = cells[index]
        text = f"{cell.nanoseconds[name]:.2f}"
        if ratio := cell.ratios[name].get(found.baseline):
            text += (
                f"  {ratio.estimate:.2f}"
                if ratio.low is None
                else f"  {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
            )
        return text

    title = f"{title_of(cells[0])}: ns per operation, ratio to {found.baseline}"
    return Table(title, ("object size", *(f"{cell.size} B" for cell in cells)), _rows(found, len(cells), show))


def _held(found: Peers) -> Table:
    def show(name: str, index: int) -> str:
        held = found.memory[index]
        if name not in held.full:
            return units.UNKNOWN
        return f"{held.full[name] / held.asked:.2f}  {held.left[name] / held.asked:.2f}"

    sizes = (f"{held.size} B" for held in found.memory)
    beside = tuple(p.name for p in found.players if p.missing is None and p.name not in found.memory[0].full)
    rows = _rows(found, len(found.memory), show, beside=beside)
    rows.append(("asked for", *(f"{held.asked / 2**20:.1f} MiB" for held in found.memory)))
    return Table(
        "memory held over memory asked for, with all slots filled and after all were freed",
        ("object size", *sizes),
        rows,
    )
