"""What `simulate` was asked for, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from allocators.catalogue import ALLOCATORS, DEFAULT, MAX_CPUS
from stress.play.options import (
    DEFAULT_BEFORE,
    DEFAULT_MEMORY,
    DEFAULT_SEED,
    DEFAULT_SETTLE,
    check_designs,
    check_settle,
    check_trace,
    parse_settings,
    scenario_names,
)
from stress.process import host
from stress.process.errors import UsageError
from stress.process.usage import check_file, choose, parse_size, within
from stress.profiles.load import load
from stress.profiles.profile import MAX_NODES, Profile
from stress.simulate.sizes import OPERATIONS

DEFAULT_SCENARIO = "remote-free"
DEFAULT_MACHINE = "epyc-2022"
STEPS = ("access", "operation", "exact")
DEFAULT_STEP = STEPS[0]
DEFAULT_CPUS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MOST_OPERATIONS = 100_000_000
MOST_JOBS = 64
COMMAND = "python -m stress simulate"


@dataclasses.dataclass(frozen=True, slots=True)
class SimulateOptions:
    """One simulation, validated.

    settings: KEY=VALUE of `--set`, accepted by the scenario. trace: a recording that is played instead. before, after:
    designs by name. cpus: the points, ascending; none for a trace, which has its own number. nodes: of every point,
    None for as many as the machine takes; memoryless: so many of
    them, the last ones, have no memory. operations: of a point, about, where the scenario can be sized. memory: of
    an arena, bytes. settle: kernel seconds for timers after the tapes. step: one of STEPS, see
    `stress.play.virtual.slack_of`. page, perfetto: where a page and a trace go.
    jobs: processes.
    """

    scenario: str
    settings: dict[str, str]
    trace: Path | None
    allocator: str
    before: str
    after: tuple[str, ...]
    cpus: tuple[int, ...]
    nodes: int | None
    profile: Profile
    memoryless: int
    operations: int
    seed: int
    memory: int
    settle: float
    step: str
    page: Path | None
    perfetto: Path | None
    jobs: int
    command: str

    @property
    def designs(self) -> list[str]:
        """The baseline first."""
        return [self.before, *self.after]


def make_options(
    *,
    scenario: str | None = None,
    settings: Sequence[str] = (),
    trace: Path | None = None,
    allocator: str = DEFAULT,
    before: str = DEFAULT_BEFORE,
    after: Sequence[str] | None = None,
    cpus: str | None = None,
    nodes: int | None = None,
    memoryless: int = 0,
    machine: str = DEFAULT_MACHINE,
    operations: int = OPERATIONS,
    seed: int = DEFAULT_SEED,
    memory: str | None = None,
    settle: float = DEFAULT_SETTLE,
    step: str = DEFAULT_STEP,
    page: Path | None = None,
    perfetto: Path | None = None,
    jobs: int | None = None,
    command: str = COMMAND,
) -> SimulateOptions:
    """Check the values of the command line; UsageError otherwise. after: None for what suits the allocator."""
    choose("--allocator", allocator, ALLOCATORS, "python -m stress list allocators")
    designs = tuple(ALLOCATORS[allocator].default_after if after is None else after)
    if trace is None:
        scenario = DEFAULT_SCENARIO if scenario is None else scenario
        choose("--scenario", scenario, scenario_names(), "python -m stress list scenarios")
    else:
        _check_recording(trace, allocator, scenario, settings, cpus)
    check_designs(before, designs, allocator)
    if nodes is not None:
        within("--nodes", nodes, 1, MAX_NODES)
    if memoryless:
        if nodes is None:
            raise UsageError("--memoryless goes with --nodes: say how many nodes there are")
        within("--memoryless", memoryless, 0, nodes - 1, "a node at least must have memory (--nodes)")
    try:
        profile = load(machine)
    except UsageError as error:
        raise UsageError(f"--machine: {error}") from None
    within("--operations", operations, 1, MOST_OPERATIONS, "of a point, all CPUs together")
    within("--seed", seed, 0, 2**63 - 1)
    check_settle(settle)
    if step not in STEPS:
        raise UsageError(f"--step {step!r}: it is one of {', '.join(STEPS)}")
    if page is not None:
        check_file("--page", page)
    if perfetto is not None:
        check_file("--perfetto", perfetto)
    available = len(host.available_cpus())
    if jobs is not None:
        within("--jobs", jobs, 1, MOST_JOBS, f"there are {available} CPUs here")
    return SimulateOptions(
        scenario="trace" if scenario is None else scenario,
        settings={} if trace is not None or scenario is None else parse_settings(scenario, settings),
        trace=trace,
        allocator=allocator,
        before=before,
        after=designs,
        cpus=() if trace is not None else _points(cpus, nodes),
        nodes=nodes,
        memoryless=memoryless,
        profile=profile,
        operations=operations,
        seed=seed,
        memory=DEFAULT_MEMORY if memory is None else parse_size(memory),
        settle=settle,
        step=step,
        page=page,
        perfetto=perfetto,
        jobs=min(available, MOST_JOBS) if jobs is None else jobs,
        command=command,
    )


def _check_recording(
    trace: Path, allocator: str, scenario: str | None, settings: Sequence[str], cpus: str | None
) -> None:
    refusal = ALLOCATORS[allocator].refuses(trace=True)
    if refusal is not None:
        raise UsageError(refusal)
    if scenario is not None:
        raise UsageError("--trace and --scenario exclude each other: a trace is its own workload; give one of them")
    if settings:
        raise UsageError(f"--set {settings[0]!r}: a trace has no parameters; --set goes with --scenario")
    if cpus is not None:
        raise UsageError(f"--cpus {cpus}: a trace has the CPUs it was recorded on; leave the option away")
    check_trace(trace)


def _points(text: str | None, nodes: int | None) -> tuple[int, ...]:
    """Numbers of CPUs, ascending; without a text those of the default that have a CPU for every node."""
    if text is None:
        return tuple(cpus for cpus in DEFAULT_CPUS if nodes is None or cpus >= nodes)
    found: list[int] = []
    for part in text.split(","):
        try:
            cpus = int(part)
        except ValueError:
            raise UsageError(
                f"--cpus {text!r}: {part.strip()!r} is no number; a list such as 1,8,64 is needed"
            ) from None
        within("--cpus", cpus, 1, MAX_CPUS)
        if cpus in found:
            raise UsageError(f"--cpus {text!r}: {cpus} is there twice; give each number of CPUs once")
        if nodes is not None and cpus < nodes:
            raise UsageError(f"--nodes {nodes}: a node needs a CPU, and there is a point of {cpus} (--cpus)")
        found.append(cpus)
    return tuple(sorted(found))
