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

from stress.judge.margin import DEFAULT_MARGIN, check_margin
from stress.process.errors import UsageError
from stress.process.usage import choose, parse_size, within

DEFAULT_SCENARIO = "offline-storm"
DEFAULT_BEFORE = "linux-3.16"
DEFAULT_AFTER = ("v1", "v3")
DEFAULT_AFTER_SLOB = ("v1",)  # on SLOB all designs are one; v1 alone has the patch that touches mm/slob.c
DEFAULT_SECONDS = 15.0
DEFAULT_SEED = 1
DEFAULT_TIME_SCALE = {"slub": 1.0, "slab": 20.0, "slob": 1.0}  # SLAB has timers of seconds
DEFAULT_SETTLE = 60.0
MAX_CPUS = 62  # as many as a world has bits for: allocators.core.world.Limits

# What `--allocator` takes; a new allocator adds its line here.
ALLOCATORS = {
    "slub": "the unqueued allocator of Linux 3.16, with all 26 of its statistics",
    "slab": "the allocator of Linux 3.16 with per-CPU, shared and alien arrays and a periodic reaper",
    "slob": "the allocator of Linux 3.16 for small machines: one heap, one lock, no caches of cgroups, nothing kept",
}


@dataclasses.dataclass(frozen=True, slots=True)
class RunOptions:
    """One run, validated.

    settings: KEY=VALUE of `--set`, still text but accepted by the scenario, which gives them their types.
    before, after: designs by name, as typed (`v1-P7`), known to `allocators.designs.parse_design`.
    cpus: None lets the coordinator take every CPU it may pin to. seconds: of measurement, all designs
    together. margin: a ratio this near to 1, as a fraction, counts as equivalent. until_sure: stop before
    `seconds` if the ratios are settled at a planned look. time_scale: kernel seconds that pass in one real second. settle: kernel seconds that SLAB's
    reaper has after a counted pass to let dead caches die. memory: arena in bytes, None
    for the default. check_blocks: check the invariants between blocks too, not only at the end.
    fail_shrink_alloc, fail_page_alloc: what fails on purpose; the latter is a probability.
    """

    scenario: str = DEFAULT_SCENARIO
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    trace: Path | None = None
    allocator: str = "slub"
    before: str = DEFAULT_BEFORE
    after: tuple[str, ...] = DEFAULT_AFTER
    cpus: int | None = None
    nodes: int = 1
    seconds: float = DEFAULT_SECONDS
    seed: int = DEFAULT_SEED
    margin: float = DEFAULT_MARGIN
    until_sure: bool = False
    time_scale: float = 1.0
    settle: float = DEFAULT_SETTLE
    memory: int | None = None
    serial: bool = False
    check_blocks: bool = False
    fail_shrink_alloc: bool = False
    fail_page_alloc: float = 0.0
    command: str = "python -m stress run"

    def failures(self) -> dict[str, object]:
        """What fails on purpose, for the result's parameters; empty when nothing does."""
        asked = {"fail_shrink_alloc": self.fail_shrink_alloc, "fail_page_alloc": self.fail_page_alloc}
        return {name: value for name, value in asked.items() if value}


def make_options(
    *,
    scenario: str | None = None,
    settings: Sequence[str] = (),
    trace: Path | None = None,
    allocator: str = "slub",
    before: str = DEFAULT_BEFORE,
    after: Sequence[str] | None = None,
    cpus: int | None = None,
    nodes: int = 1,
    seconds: float = DEFAULT_SECONDS,
    seed: int = DEFAULT_SEED,
    margin: float = DEFAULT_MARGIN,
    until_sure: bool = False,
    time_scale: float | None = None,
    settle: float = DEFAULT_SETTLE,
    memory: str | None = None,
    serial: bool = False,
    check_blocks: bool = False,
    fail: Sequence[str] = (),
    command: str = "python -m stress run",
) -> RunOptions:
    """Check the values of the command line and return them as `RunOptions`; UsageError otherwise.

    after: None for what suits the allocator.
    """
    choose("--allocator", allocator, ALLOCATORS, "python -m stress list allocators")
    if after is None:
        after = DEFAULT_AFTER_SLOB if allocator == "slob" else DEFAULT_AFTER
    if trace is not None:
        if allocator == "slob":
            raise UsageError(
                "--trace with --allocator slob: recorded kernels used caches of cgroups, which SLOB does not have; "
                "replay on slub or slab, or give a --scenario"
            )
        if scenario is not None:
            raise UsageError("--trace and --scenario exclude each other: a trace is its own workload; give one of them")
        if settings:
            raise UsageError(f"--set {settings[0]!r}: a trace has no parameters; --set goes with --scenario")
        check_trace(trace)
        scenario = "trace"
    elif scenario is None:
        scenario = DEFAULT_SCENARIO
    else:
        choose("--scenario", scenario, scenario_names(), "python -m stress list scenarios")
    check_designs(before, after, allocator)
    if cpus is not None:
        within("--cpus", cpus, 1, MAX_CPUS)
    within("--nodes", nodes, 1, cpus if cpus is not None else MAX_CPUS, "a node needs a CPU (--cpus)")
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"--seconds {seconds:g}: the time of measurement must be a number above 0, such as 15")
    if time_scale is None:
        time_scale = DEFAULT_TIME_SCALE[allocator]
    if not (math.isfinite(settle) and settle >= 0):
        raise UsageError(f"--settle {settle:g}: must be a number of kernel seconds, 0 or more")
    if not (math.isfinite(time_scale) and time_scale > 0):
        raise UsageError(
            f"--time-scale {time_scale:g}: must be a number above 0; 10 lets kernel time pass ten times as fast"
        )
    within("--seed", seed, 0, 2**63 - 1)
    check_margin(margin)
    if until_sure and serial:
        raise UsageError(
            "--until-sure with --serial: serial runs measure no speed, so there is nothing to be sure of; leave one of them out"
        )
    fail_shrink_alloc, fail_page_alloc = parse_failures(fail)
    if fail_shrink_alloc and allocator != "slub":
        raise UsageError(
            f"--fail shrink-alloc with --allocator {allocator}: only slub's kmem_cache_shrink allocates a sort array; leave it out"
        )
    return RunOptions(
        scenario=scenario,
        settings=parse_settings(scenario, settings) if trace is None else {},
        trace=trace,
        allocator=allocator,
        before=before,
        after=tuple(after),
        cpus=cpus,
        nodes=nodes,
        seconds=float(seconds),
        seed=seed,
        margin=float(margin),
        until_sure=until_sure,
        time_scale=float(time_scale),
        settle=float(settle),
        memory=None if memory is None else parse_size(memory),
        serial=serial,
        check_blocks=check_blocks,
        fail_shrink_alloc=fail_shrink_alloc,
        fail_page_alloc=fail_page_alloc,
        command=command,
    )


def check_designs(before: str, after: Sequence[str], allocator: str, *, option: str = "--before") -> None:
    """Every design must parse and be one that the allocator has, and each may be named once: a table has one column per design.

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


def check_trace(path: Path) -> None:
    """The trace must be a file that can be opened; its content is judged when it is read."""
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


def parse_failures(items: Sequence[str]) -> tuple[bool, float]:
    """(shrink-alloc asked for, probability of page-alloc) from the values of `--fail`."""
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
            raise UsageError(
                f"--fail {item!r}: allowed are shrink-alloc (the sort array of kmem_cache_shrink) and page-alloc:P "
                "(each page allocation with probability P, above 0 and up to 1, such as page-alloc:0.01)"
            )
    return shrink, page


def scenario_names() -> list[str]:
    """Names of the scenarios, in the order of their registry."""
    from scenarios.registry import SCENARIOS

    return list(SCENARIOS)
