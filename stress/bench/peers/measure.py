"""All players in turns: the tapes of each workload, size and number of CPUs, and the memory held.

A round is one block of every program; every second round goes the other way round. Ratios are estimated over
the rounds, of which a cell of the table has as many as fit into its seconds. Each block is played twice and
the second time counts: the caches then hold what it uses, as far as they can, and not what others used.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from allocators.designs import parse_design
from scenarios.tape import OP_END, CacheSpec, Workload, op
from shm.clock import cycles_per_ns
from stress.bench import programs
from stress.bench.peers import tapes
from stress.bench.peers.catalogue import BASELINE, PROGRAMS, Program
from stress.bench.peers.crew import Member, Players
from stress.bench.peers.goals import against
from stress.bench.peers.result import Cell, Held, Peers, Player
from stress.bench.watch import Disturbance, watched
from stress.engine import cpu_main
from stress.judge.ratio import Ratio, estimate_ratio
from stress.play.arena import Arena
from stress.play.compiled import Target
from stress.process import host

SIZES = (8, 64, 512, 4096)
ALL_SIZES = tuple(1 << bits for bits in range(3, 14))
SLOW_NS = 60.0  # per operation; a program that takes longer plays short blocks


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. libraries: paths by program, instead of where the loader would look."""

    sizes: Sequence[int] = SIZES
    workloads: Sequence[str] = tapes.WORKLOADS
    programs: Sequence[Program] = tuple(PROGRAMS.values())
    libraries: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cell_seconds: float = 2.5
    least_rounds: int = 9
    most_rounds: int = 60
    operations: int = tapes.OPERATIONS
    slots: int = tapes.SLOTS


def targets(plan: Plan) -> list[Target]:
    """The compiled programs that the players will load."""
    found: list[Target] = []
    mains = {
        "ours": [cpu_main],
        "malloc": [programs.malloc_main, programs.written_main],
        "nothing": [programs.idle_main],
        "C": [],
    }
    for program in plan.programs:
        found += [
            (main, program.kernel, parse_design(program.design).features(program.kernel))
            for main in mains[program.kind]
        ]
    return found


def measure_peers(plan: Plan, progress: Callable[[str], None]) -> tuple[Peers, Disturbance]:
    """The whole comparison; `targets` must be compiled. Raises DamagedRun, and UsageError for a library that is
    none.
    """
    progress("starting a process for each allocator")
    cpus = host.available_cpus()
    rate = _cycles_per_ns()
    with Players(plan.programs, plan.libraries) as players:
        pids = [member.process.pid for member in players.members]
        with watched("The comparison with other allocators", pids, cpus[-1:]) as disturbed:
            memory = [_memory(players, size, plan, progress) for size in plan.sizes]
            cells = []
            # Processes without threads first: some mallocs do not lock in these.
            for count in (1, 2) if len(cpus) > 1 else (1,):
                for workload in plan.workloads:
                    if workload == "remote" and count == 1:
                        continue
                    for size in plan.sizes:
                        where = "one CPU" if count == 1 else "two CPUs"
                        progress(f"beside other allocators, {where}: {tapes.TITLES[workload]}, {size} B")
                        cells.append(_cell(players, workload, size, count, plan, rate))
        return Peers(
            baseline=BASELINE, players=_described(players, plan.programs), cells=cells, memory=memory
        ), disturbed


def _cycles_per_ns() -> float:
    empty = Workload(name="", caches=(CacheSpec("clock", 8),), tapes=(op(OP_END),), events=(), slots=1, cgroups=0)
    arena = Arena(empty, memory=16 << 20)
    try:
        return cycles_per_ns(arena.machine(frozenset(), 0))
    finally:
        arena.close()


def _described(players: Players, programs_: Iterable[Program]) -> list[Player]:
    members = {member.program.name: member for member in (*players.members, *players.missing)}
    known = [(program, members[program.name]) for program in programs_]
    return [Player(name=p.name, about=p.about, file=member.about, missing=member.missing) for p, member in known]


def _memory(players: Players, size: int, plan: Plan, progress: Callable[[str], None]) -> Held:
    progress(f"beside other allocators, memory held: {size} B")
    found = {
        m.program.name: m.ask("memory", size, plan.slots)
        for m in players.members
        if m.program.kind in ("ours", "malloc")
    }
    asked = next((one["asked"] for one in found.values()), 0)
    return Held(
        size=size,
        asked=asked,
        full={n: one["full"] for n, one in found.items()},
        left={n: one["left"] for n, one in found.items()},
    )


def _cell(players: Players, workload: str, size: int, cpus: int, plan: Plan, rate: float) -> Cell:
    objects = players.ask_all("load", workload, size, cpus, plan.operations, plan.slots)[0]["objects"]
    parts: dict[str, str] = {}
    began = time.monotonic()
    for member in players.members:
        member.ask("play", "fill")
        parts[member.program.name] = "block" if _nanoseconds(member, "short", rate) < SLOW_NS else "short"
    blocks: dict[str, list[float]] = {name: [] for name in parts}
    rounds = plan.least_rounds
    turn = 0
    while turn <= rounds:
        if turn == 1:  # the first round warms up and shows how long one takes
            rounds = max(plan.least_rounds, min(plan.most_rounds, int(plan.cell_seconds / (time.monotonic() - began))))
        began = time.monotonic()
        for member in players.members[:: 1 if turn % 2 else -1]:
            took = _nanoseconds(member, parts[member.program.name], rate)
            if turn:
                blocks[member.program.name].append(took)
        turn += 1
    players.ask_all("unload")
    return Cell(
        workload=workload,
        size=size,
        cpus=cpus,
        objects=objects,
        rounds=rounds,
        nanoseconds={name: median(times) for name, times in blocks.items()},
        ratios={name: _ratios(name, blocks, against(name)) for name in blocks},
    )


def _nanoseconds(member: Member, part: str, rate: float) -> float:
    """One block in warm caches; the time of a CPU per operation, the mean over the CPUs."""
    member.ask("play", part)
    found = member.ask("play", part)
    times = [cycles / operations for cycles, operations in zip(found["cycles"], found["operations"], strict=True)]
    return sum(times) / len(times) / rate


def _ratios(name: str, blocks: dict[str, list[float]], others: Iterable[str]) -> dict[str, Ratio]:
    return {
        other: estimate_ratio([a / b for a, b in zip(blocks[name], blocks[other], strict=True)])
        for other in others
        if other in blocks and other != name
    }
