"""What `calibrate` was asked for, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from allocators.catalogue import ALLOCATORS, DEFAULT
from stress.judge.margin import DEFAULT_MARGIN, check_margin
from stress.play.options import (
    DEFAULT_BEFORE,
    DEFAULT_MEMORY,
    DEFAULT_SCENARIO,
    DEFAULT_SECONDS,
    DEFAULT_SEED,
    MAX_PROCESSES,
    check_designs,
    parse_settings,
    scenario_names,
)
from stress.process.errors import UsageError
from stress.process.usage import check_seconds, choose, parse_size, within

SLOWDOWNS = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)  # percent
MOST = 50.0
RUNS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """slowdowns: fractions, in ascending order. seconds: of one comparison. runs: comparisons of each kind.
    neighbour: share of the time that another process burns one of the CPUs. memory: of a world in bytes. samples: the
    file that comparisons are added to, or None."""

    runs: int
    seconds: float
    slowdowns: tuple[float, ...]
    same: bool
    scenario: str
    settings: dict[str, str]
    allocator: str
    design: str
    cpus: int | None
    neighbour: float
    memory: int
    margin: float
    seed: int
    samples: Path | None
    command: str


def make_options(
    *,
    runs: int = RUNS,
    seconds: float = DEFAULT_SECONDS,
    slowdowns: Sequence[float] = (),
    scenario: str = DEFAULT_SCENARIO,
    settings: Sequence[str] = (),
    allocator: str = DEFAULT,
    design: str = DEFAULT_BEFORE,
    cpus: int | None = None,
    neighbour: float = 0.0,
    memory: str | None = None,
    margin: float = DEFAULT_MARGIN,
    seed: int = DEFAULT_SEED,
    samples: Path | None = None,
    command: str = "python -m stress calibrate",
) -> CalibrateOptions:
    """Check the values of the command line; UsageError otherwise. slowdowns: in percent, none for the usual ones."""
    choose("--allocator", allocator, ALLOCATORS, "python -m stress list allocators")
    choose("--scenario", scenario, scenario_names(), "python -m stress list scenarios")
    check_designs(design, (), allocator, option="--design")
    if cpus is not None:
        within("--cpus", cpus, 1, MAX_PROCESSES, "a CPU is a process")
    within("--runs", runs, 0, 100_000)
    if runs == 0 and (samples is None or not samples.exists()):
        raise UsageError(
            "--runs 0: prints the table of --samples FILE, which must be given and exist; or ask for a run or more"
        )
    check_seconds("--seconds", seconds, "the time of a comparison", f"{DEFAULT_SECONDS:g}")
    for percent in slowdowns:
        if not 0 <= percent <= MOST:
            raise UsageError(f"--slowdown {percent:g}: in percent, 0 to {MOST:g} is allowed, such as 3")
    if not 0 <= neighbour <= 1:
        raise UsageError(f"--neighbour {neighbour:g}: a share of the time from 0 to 1 is needed, such as 0.5")
    check_margin(margin)
    within("--seed", seed, 0, 2**63 - 1)
    return CalibrateOptions(
        runs=runs,
        seconds=float(seconds),
        slowdowns=tuple(sorted({percent / 100 for percent in (slowdowns or SLOWDOWNS)})),
        same=not slowdowns or 0 in slowdowns,
        scenario=scenario,
        settings=parse_settings(scenario, settings),
        allocator=allocator,
        design=design,
        cpus=cpus,
        neighbour=float(neighbour),
        memory=DEFAULT_MEMORY if memory is None else parse_size(memory),
        margin=float(margin),
        seed=seed,
        samples=samples,
        command=command,
    )
