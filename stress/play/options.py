"""What `run` was asked for, checked once: the frozen `RunOptions` that the coordinator works from.

`make_options` takes the raw values of the command line and raises `UsageError`, naming the option,
what is allowed and what to do. Nothing heavy is imported before a run is really asked for.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from allocators.catalogue import ALLOCATORS, DEFAULT, FAILURES, MAX_CPUS
from allocators.sheaf_settings import MAX_FULL, MOST_BARN, MOST_CAPACITY, SheafSettings
from stress.judge.margin import DEFAULT_MARGIN, check_margin
from stress.process.errors import UsageError
from stress.process.usage import check_seconds, choose, did_you_mean, parse_size, within

DEFAULT_SCENARIO = "offline-storm"
DEFAULT_BEFORE = "linux-3.16"
DEFAULT_SECONDS = 15.0
DEFAULT_SEED = 1
DEFAULT_SETTLE = 60.0
DEFAULT_MEMORY = 512 << 20
MOST_SETTLE = 1e6  # kernel seconds
MOST_SLOW = 1e-3  # kernel seconds in a real one
MAX_PROCESSES = 128  # CPUs of parallel play: each is a process, and all wait for the last at every round
MAX_LAUNCHES = 10_000
COMMAND = "python -m stress run"
BARN_SHEAVES = MAX_FULL  # full ones that a barn keeps


class Shape(TypedDict):
    """What an arena must be told of a `World`."""

    nodes: int
    memoryless: int
    sheaves: SheafSettings


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """What is played on.

    cpus: None lets the coordinator take every CPU it may pin to. memory: of the arena in bytes, None for the default.
    time_scale: kernel seconds that pass in one real second, None for what suits the allocator. settle: kernel seconds
    that timers (SLAB's reaper) have after a counted pass to let dead caches die. memoryless: so many of the nodes, the
    last ones, have no memory. sheaf_capacity: objects in a sheaf, 0 for what the design has; barn_sheaves: full ones
    that a barn keeps, and empty ones; both of designs that do not set them.
    """

    allocator: str = DEFAULT
    cpus: int | None = None
    nodes: int = 1
    memory: int | None = None
    time_scale: float | None = None
    settle: float = DEFAULT_SETTLE
    memoryless: int = 0
    sheaf_capacity: int = 0
    barn_sheaves: int = BARN_SHEAVES

    def check(self, serial: bool) -> None:
        """serial: one process steps all CPUs. Raises UsageError."""
        most = MAX_CPUS if serial else MAX_PROCESSES
        if self.cpus is not None:
            why = "" if serial else f"a CPU is a process; with --serial, which has one for all, up to {MAX_CPUS}"
            within("--cpus", self.cpus, 1, most, why)
        within("--nodes", self.nodes, 1, most if self.cpus is None else self.cpus, "a node needs a CPU (--cpus)")
        within("--memoryless", self.memoryless, 0, self.nodes - 1, "a node at least must have memory (--nodes)")
        within("--sheaf-capacity", self.sheaf_capacity, 0, MOST_CAPACITY)
        within("--barn-sheaves", self.barn_sheaves, 0, MOST_BARN)
        check_settle(self.settle)
        if self.time_scale is not None and not MOST_SLOW <= self.time_scale <= 1 / MOST_SLOW:
            raise UsageError(
                f"--time-scale {self.time_scale:g}: must be a number from {MOST_SLOW:g} to {1 / MOST_SLOW:g}; 10 lets "
                "kernel time pass ten times as fast"
            )

    @property
    def sheaves(self) -> SheafSettings:
        """Their sizes, for designs that do not set them."""
        return SheafSettings(self.sheaf_capacity, self.barn_sheaves, self.barn_sheaves)

    @property
    def shape(self) -> Shape:
        """What an arena must be told of it."""
        return {
            "nodes": self.nodes,
            "memoryless": self.memoryless,
            "sheaves": self.sheaves,
        }

    @property
    def shaped(self) -> dict[str, int]:
        """What of the shape is not as usual, as parameters of a run; nodes have a field of their own."""
        return {
            name: n
            for name, n, usual in (
                ("memoryless", self.memoryless, 0),
                ("sheaf_capacity", self.sheaf_capacity, 0),
                ("barn_sheaves", self.barn_sheaves, BARN_SHEAVES),
            )
            if n != usual
        }

    @property
    def pace(self) -> float:
        """Kernel seconds in a real one."""
        return float(ALLOCATORS[self.allocator].time_scale if self.time_scale is None else self.time_scale)

    @property
    def settle_ns(self) -> int:
        return int(self.settle * 1e9)


@dataclasses.dataclass(frozen=True, slots=True)
class Measuring:
    """How it is played and measured.

    seconds: of measurement, all designs together. launches: that they are divided into, None for what suits them.
    margin: a ratio this near to 1, as a fraction, counts as equivalent. until_sure: stop before `seconds` if the
    ratios are settled at a planned look. serial: all CPUs are stepped by one process, which measures no speed.
    check_blocks: check the invariants between blocks too, not only at the end.
    """

    seconds: float = DEFAULT_SECONDS
    seed: int = DEFAULT_SEED
    margin: float = DEFAULT_MARGIN
    until_sure: bool = False
    serial: bool = False
    check_blocks: bool = False
    launches: int | None = None

    @property
    def gives_intervals(self) -> bool:
        """May there be so many launches that ratios get an interval?"""
        from stress.judge.ratio import least_pairs

        return not self.serial and (self.launches is None or self.launches >= least_pairs())

    def check(self) -> None:
        """Raises UsageError."""
        check_seconds("--seconds", self.seconds, "the time of measurement", "15")
        within("--seed", self.seed, 0, 2**63 - 1)
        check_margin(self.margin)
        if self.launches is not None:
            within("--launches", self.launches, 1, MAX_LAUNCHES, "fewer than 5 give no interval")
            if self.until_sure:
                raise UsageError(
                    "--launches with --until-sure: how many there are is found out on the way; leave one of them out"
                )
        if self.until_sure and self.serial:
            raise UsageError(
                "--until-sure with --serial: serial runs measure no speed, so there is nothing to be sure of; "
                "leave one of them out"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Failing:
    """What fails on purpose. shrink_alloc: the sort array of kmem_cache_shrink. page_alloc: each page, with this
    probability."""

    shrink_alloc: bool = False
    page_alloc: float = 0.0

    def check(self, allocator: str) -> None:
        """Raises UsageError for what this allocator does not allocate."""
        asked = (self.shrink_alloc, bool(self.page_alloc))
        refusal = ALLOCATORS[allocator].refuses(failures=tuple(what for what, on in zip(FAILURES, asked) if on))
        if refusal is not None:
            raise UsageError(refusal)

    def parameters(self) -> dict[str, object]:
        """For the result; empty when nothing fails."""
        asked = {"fail_shrink_alloc": self.shrink_alloc, "fail_page_alloc": self.page_alloc}
        return {name: value for name, value in asked.items() if value}


@dataclasses.dataclass(frozen=True, slots=True)
class RunOptions:
    """One run, validated.

    settings: KEY=VALUE of `--set`, still text but accepted by the scenario, which gives them their types.
    before, after: designs by name, as typed (`v1-P7`), known to `allocators.designs.parse_design`.
    """

    scenario: str = DEFAULT_SCENARIO
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    trace: Path | None = None
    cgroups_by: str = "events"
    before: str = DEFAULT_BEFORE
    after: tuple[str, ...] = ALLOCATORS[DEFAULT].default_after
    world: World = World()
    measuring: Measuring = Measuring()
    failing: Failing = Failing()
    command: str = COMMAND


def make_options(
    *,
    scenario: str | None = None,
    settings: Sequence[str] = (),
    trace: Path | None = None,
    cgroups_by: str = "events",
    before: str = DEFAULT_BEFORE,
    after: Sequence[str] | None = None,
    world: World = World(),
    measuring: Measuring = Measuring(),
    fail: Sequence[str] = (),
    command: str = COMMAND,
) -> RunOptions:
    """Check the values of the command line and return them as `RunOptions`; UsageError otherwise.

    after: None for what suits the allocator.
    """
    choose("--allocator", world.allocator, ALLOCATORS, "python -m stress list allocators")
    if after is None:
        after = ALLOCATORS[world.allocator].default_after
    scenario = _workload(scenario, settings, trace, world.allocator)
    choose("--cgroups-by", cgroups_by, ("events", "comm", "pid"), "python -m stress run --help")
    if trace is None and cgroups_by != "events":
        raise UsageError("--cgroups-by goes with --trace: a scenario has cgroups of its own")
    check_designs(before, after, world.allocator)
    world.check(measuring.serial)
    measuring.check()
    failing = parse_failures(fail)
    failing.check(world.allocator)
    return RunOptions(
        scenario=scenario,
        settings=parse_settings(scenario, settings) if trace is None else {},
        trace=trace,
        cgroups_by=cgroups_by,
        before=before,
        after=tuple(after),
        world=world,
        measuring=measuring,
        failing=failing,
        command=command,
    )


_VALUES = (World, Measuring)
# Every option of a run by its name.
NAMES = frozenset({"scenario", "settings", "trace", "cgroups_by", "before", "after", "fail", "command"}) | {
    field.name for value in _VALUES for field in dataclasses.fields(value)
}


def named(**options: Any) -> RunOptions:
    """`make_options` for whoever has options by name, in no order: those of `World` and `Measuring` among the others.

    memory may be text, such as "512M". Raises UsageError, and TypeError for a name that is none of `NAMES`.
    """
    if isinstance(options.get("memory"), str):
        options["memory"] = parse_size(options["memory"])
    of_world, of_measuring = (
        {f.name: options.pop(f.name) for f in dataclasses.fields(value) if f.name in options} for value in _VALUES
    )
    return make_options(world=World(**of_world), measuring=Measuring(**of_measuring), **options)


def _workload(scenario: str | None, settings: Sequence[str], trace: Path | None, allocator: str) -> str:
    """The name of what is played, "trace" for a recorded kernel."""
    if trace is not None:
        refusal = ALLOCATORS[allocator].refuses(trace=True)
        if refusal is not None:
            raise UsageError(refusal)
        if scenario is not None:
            raise UsageError("--trace and --scenario exclude each other: a trace is its own workload; give one of them")
        if settings:
            raise UsageError(f"--set {settings[0]!r}: a trace has no parameters; --set goes with --scenario")
        check_trace(trace)
        return "trace"
    if scenario is None:
        return DEFAULT_SCENARIO
    choose("--scenario", scenario, scenario_names(), "python -m stress list scenarios")
    return scenario


def check_designs(before: str, after: Sequence[str], allocator: str, *, option: str = "--before") -> None:
    """Every design must parse and be one that the allocator has, and each may be named once: each has a column of a
    table.

    option: the one that `before` was given with.
    """
    from allocators.designs import parse_design

    for name, design in [(option, before), *(("--after", d) for d in after)]:
        try:
            parse_design(design).check_allocator(allocator)
        except ValueError as error:
            raise UsageError(f"{name}: {error} (see `python -m stress list designs`)") from None
    seen = {before: option}
    for design in after:
        if design in seen:
            raise UsageError(f"--after {design!r} is already given by {seen[design]}; name each design once")
        seen[design] = "--after"


def check_settle(seconds: float) -> None:
    """Raises UsageError for kernel seconds that clocks of nanoseconds cannot hold."""
    if not 0 <= seconds <= MOST_SETTLE:
        raise UsageError(f"--settle {seconds:g}: must be a number of kernel seconds, 0 to {MOST_SETTLE:g}")


def check_trace(path: Path) -> None:
    """The trace must be a file that can be opened; its content is judged when it is read."""
    if str(path) == "-":
        return
    if not path.exists():
        raise UsageError(f"--trace {path}: there is no such file")
    if not path.is_file():
        raise UsageError(f"--trace {path}: is not a file; give a recorded event log (.csv or .csv.zst)")
    if not os.access(path, os.R_OK):
        raise UsageError(f"--trace {path}: may not be read; check its permissions")


def parse_settings(scenario: str, items: Sequence[str]) -> dict[str, str]:
    """{'KEY': 'VALUE'} from KEY=VALUE texts that this scenario accepts."""
    from scenarios.registry import SCENARIOS
    from scenarios.settings import ParameterError, parse

    try:
        parse(SCENARIOS[scenario].parameters, items)
    except ParameterError as error:
        raise UsageError(f"--set: {error} (see `python -m stress list scenarios`)") from None
    return {key.strip(): value.strip() for key, _, value in (item.partition("=") for item in items)}


def parse_failures(items: Sequence[str]) -> Failing:
    """From the values of `--fail`."""
    shrink, page = False, 0.0
    for item in items:
        what, _, probability = item.partition(":")
        if what == "shrink-alloc" and not probability:
            shrink = True
            continue
        try:
            page = float(probability) if what == "page-alloc" else math.nan
        except ValueError:
            page = math.nan
        if not 0 < page <= 1:
            near = did_you_mean(what, FAILURES) if what not in FAILURES else ""
            hint = f"{near}? " if near else ""
            raise UsageError(
                f"--fail {item!r}: {hint}allowed are shrink-alloc (the sort array of kmem_cache_shrink) and "
                "page-alloc:P (each page allocation with probability P, above 0 and up to 1, such as page-alloc:0.01)"
            )
    return Failing(shrink, page)


def scenario_names() -> list[str]:
    """Names of the scenarios, in the order of their registry."""
    from scenarios.registry import SCENARIOS

    return list(SCENARIOS)
