"""How far off the steps of virtual time are: `python -m stress.simulate.exact`.

Small workloads are played three times, from the same beginning: an operation at a time (`stress.engine.virtual`), an
access at a time with the slack that `simulate` has by default (`stress.engine.flows`), and with none, which is exact
in the interleaving. A row is a workload under a design on a number of CPUs; all of them take a minute once programs
are compiled, and nothing is left to chance.
"""

from __future__ import annotations

import argparse
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from allocators.designs import parse_design
from scenarios.tape import OP_MASK, OPERATIONS, Workload
from shm.virtual.words import ASLEEP, BUSY_LINE, LOCK_WAIT, VERSION_AT
from stress.play.arena import Arena, BlockSettings
from stress.play.census import section_sums, take_census
from stress.play.virtual import STATS, VirtualTime, features_of, slack_of
from stress.play.workload import build_workload
from stress.profiles.load import load
from stress.profiles.profile import Profile

PS_PER_NS = 1000
STEPS = ("operation", "access", "exact")
MEMORY = 64 << 20  # bytes of page frames: far more than these workloads hold
_OPERATION, _ACCESS = operator.attrgetter("operation"), operator.attrgetter("access")
WAITS = 0.05  # share of the time from which on CPUs are said to wait for each other

# allocator, design
DESIGNS = (
    ("slub", "linux-3.16"),
    ("slub", "v3"),
    ("slub", "linux-6.18-F_SHEAFASK"),
    ("slub", "linux-7.0"),
    ("slab", "linux-3.16"),
)
CPUS = (2, 4, 16, 64)
# name -> scenario, its settings. What a CPU does is the same on any number of CPUs.
WORKLOADS: dict[str, tuple[str, Callable[[int], dict[str, str]]]] = {
    "remote-free": ("remote-free", lambda cpus: {"batch": "192", "rounds": "2"}),
    "dead-free": ("dead-free", lambda cpus: {"slabs": str(4 * cpus), "cgroups": "2"}),
    "churn": ("churn", lambda cpus: {"cgroups": "4", "files": "24", "delay": "2"}),
    # Slabs of 8 objects, of which a CPU keeps few: bursts go through the node's lists.
    "list-lock": ("free-burst", lambda cpus: {"objects": "96", "bursts": "2", "object_size": "4096"}),
}


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One play, without what the kworker does.

    ns: of a CPU an operation takes, in timed sections. locks, lines: ns of it that a CPU waits for locks, and for lines
    on their way to somebody else, of all operations. moves: how often a line was taken to be written, an operation.
    waits: share of the CPUs' time, but for sleep, that both are.
    """

    ns: float
    locks: float
    lines: float
    moves: float
    waits: float


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A workload under a design on a number of CPUs, by step."""

    workload: str
    allocator: str
    design: str
    cpus: int
    operation: Side
    access: Side
    exact: Side

    def off(self, side: Side) -> float:
        """How far off it is, as a fraction of the exact time."""
        return side.ns / self.exact.ns - 1


def play_steps(
    tapes: Workload, allocator: str, design: str, profile: Profile, seed: int = 1, steps: Sequence[str] = STEPS
) -> list[Side]:
    """The same from the same beginning, by each of these steps.

    Raises RuntimeError when a tape got stuck, or an invariant of the allocator is violated afterwards.
    """
    features = features_of(design, allocator)
    booted = features - STATS - {"VTIME"}
    arena = Arena(tapes, allocator, features=booted, memory=MEMORY, serial=True, sheaves=parse_design(design).sheaves())
    try:
        return [_played(arena, design, features, profile, seed, step) for step in steps]
    finally:
        arena.close()


def _played(arena: Arena, design: str, features: frozenset[str], profile: Profile, seed: int, step: str) -> Side:
    booted = features - STATS - {"VTIME"}
    arena.reset(booted, BlockSettings(seed=seed))
    virtual = VirtualTime(arena, booted, profile, slack=slack_of(step, profile))
    try:
        if not virtual.play(lambda: None):
            raise RuntimeError(f"{design}: a tape waits for something that never comes")
        found = _side(arena, virtual)
        virtual.end()
        census = take_census(arena, design, features - {"VTIME"}, float(PS_PER_NS))
        if census.violated:
            raise RuntimeError(f"{design}: {census.violated}")
        return found
    finally:
        virtual.close()


def _side(arena: Arena, virtual: VirtualTime) -> Side:
    tapes, cpus = arena.load.tapes, arena.load.cpus
    operations = max(1, sum(int(np.isin(tape & OP_MASK, OPERATIONS).sum()) for tape in tapes))
    timed = [one for kind in section_sums(arena, float(PS_PER_NS)).values() for one in kind]
    spent = virtual.spent()[:cpus].sum(axis=(0, 1))
    locks, lines = int(spent[LOCK_WAIT:].sum()), int(spent[BUSY_LINE])
    moves = int((virtual.states()[virtual.touched_lines()] >> VERSION_AT).sum())
    return Side(
        ns=sum(one.nanoseconds for one in timed) / sum(one.operations for one in timed),
        locks=locks / PS_PER_NS / operations,
        lines=lines / PS_PER_NS / operations,
        moves=moves / operations,
        waits=(locks + lines) / int(spent.sum() - spent[ASLEEP]),
    )


def compare(workloads: Sequence[str], cpus: Sequence[int], profile: Profile, seed: int = 1) -> Iterator[Cell]:
    """Every cell, one after another."""
    for allocator, design in DESIGNS:
        for name in workloads:
            scenario, settings = WORKLOADS[name]
            for n in cpus:
                tapes, _ = build_workload(scenario, settings(n), n, seed)
                sides = dict(zip(STEPS, play_steps(tapes, allocator, design, profile, seed), strict=True))
                yield Cell(workload=name, allocator=allocator, design=design, cpus=n, **sides)


def table(cells: list[Cell]) -> str:
    """A Markdown table; of three figures the first is of an operation at a time, the second of an access, the third
    exact. And what it says."""
    lines = [
        "| workload | allocator | design | CPUs | ns an operation | off | for locks | for busy lines | transfers |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for cell in cells:
        sides = cell.operation, cell.access, cell.exact
        columns = (
            " · ".join(f"{side.ns:.1f}" for side in sides),
            " · ".join(f"{cell.off(side):+.0%}" for side in sides[:2]),
            " · ".join(f"{side.locks:.1f}" for side in sides),
            " · ".join(f"{side.lines:.1f}" for side in sides),
            " · ".join(f"{side.moves:.2f}" for side in sides),
        )
        lines.append(f"| {cell.workload} | {cell.allocator} | {cell.design} | {cell.cpus} | {' | '.join(columns)} |")
    lines.append("")
    for said, chosen in (
        ("CPUs wait for each other in less than 5 % of the time", lambda share: share < WAITS),
        ("in 5 to 50 %", lambda share: WAITS <= share < 0.5),
        ("in more", lambda share: share >= 0.5),
    ):
        there = [cell for cell in cells if chosen(cell.exact.waits)]
        if there:
            each = [sorted(cell.off(side(cell)) for cell in there) for side in (_OPERATION, _ACCESS)]
            middle = [float(np.median(np.abs(offs))) for offs in each]
            told = (
                f"{name} {offs[0]:+.1%} to {offs[-1]:+.1%}, half of them within {half:.1%}"
                for name, offs, half in zip(("an operation", "an access"), each, middle)
            )
            lines.append(f"- {said}: {len(there)} rows; {'; '.join(told)}.")
    return "\n".join(lines)


def numbers(text: str) -> list[int]:
    """An option such as 2,4,16."""
    return [int(part) for part in text.split(",")]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m stress.simulate.exact", description=__doc__)
    parser.add_argument("--machine", default="epyc-2022", help="a profile, by name or file")
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), help="repeatable; all without")
    parser.add_argument("--cpus", type=numbers, default=CPUS, metavar="N,N", help="2,4,16,64 without")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the cells there as JSON too")
    chosen = parser.parse_args(arguments)
    cells = []
    for cell in compare(chosen.workload or list(WORKLOADS), chosen.cpus, load(chosen.machine), chosen.seed):
        cells.append(cell)
        offs = f"{cell.off(cell.operation):+.1%} {cell.off(cell.access):+.1%}"
        print(f"{cell.workload} {cell.allocator} {cell.design} {cell.cpus}: {offs}", file=sys.stderr)
    print(table(cells))
    if chosen.out:
        chosen.out.write_bytes(msgspec.json.encode(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
