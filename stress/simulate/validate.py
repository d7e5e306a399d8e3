"""How near virtual time comes to this machine: `python -m stress.simulate.validate --machine PROFILE`.

The same tapes are played natively, a design alone at a time, and simulated with a profile that `python -m stress
machine` wrote on the same machine. A cell is a kind of section of a scenario under a design: ns of a CPU that an
operation takes. What was measured can be kept in a file (`--measure`), and simulated elsewhere (`--measured`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from scenarios.tape import Workload
from stress.engine import virtual_main
from stress.play.compiled import ready
from stress.play.options import DEFAULT_MEMORY
from stress.play.virtual import features_of
from stress.profiles.load import dump, load
from stress.profiles.profile import Profile
from stress.simulate.exact import numbers
from stress.simulate.native import DESIGNS, Measured, measure, workload_of
from stress.simulate.point import Job, play_point

MAILBOX_WAKEUP = 60_000_000  # ps: the kworker looks for work by itself, every NAP to LONGEST_NAP
NEAR, NEAR_RATIO = 0.25, 0.15


class Cell(msgspec.Struct, kw_only=True, frozen=True):
    """One comparison: ns of a CPU that an operation takes, and their ratios to the baseline's."""

    scenario: str
    allocator: str
    design: str
    cpus: int
    kind: str
    measured: float
    simulated: float
    measured_ratio: float | None = None
    simulated_ratio: float | None = None

    @property
    def off(self) -> float:
        """How far the simulated figure is off, as a fraction of the measured one."""
        return self.simulated / self.measured - 1

    @property
    def ratio_off(self) -> float | None:
        """The same of the ratio to the baseline."""
        if self.measured_ratio is None or self.simulated_ratio is None:
            return None
        return self.simulated_ratio / self.measured_ratio - 1


def simulated(
    workload: Workload, allocator: str, profile: Profile, seed: int, design: str, step: str = "access"
) -> dict[str, float]:
    """The same in virtual time.

    Natively an interrupt is a word in a mailbox, and none are turned off; pages come from their zone, under its lock;
    and spin locks are words that are tested and set.
    """
    mailbox = dataclasses.replace(
        profile.ps, irq=0, interrupt=0, ipi=profile.ps.complex, wakeup=min(profile.ps.wakeup, MAILBOX_WAKEUP)
    )
    kernel = profile.kernel if step == "operation" else dataclasses.replace(profile.kernel, locks="unfair")
    profile = dataclasses.replace(profile, ps=mailbox, kernel=kernel)
    job = Job(
        design,
        allocator,
        workload.cpus,
        1,
        profile,
        DEFAULT_MEMORY,
        seed,
        0.0,
        workload,
        warm=True,
        page_lists=False,
        step=step,
    )
    return play_point(job, lambda share: None).ns


Play = Callable[[Sequence[Measured], Profile], Iterable[dict[str, float]]]


@contextlib.contextmanager
def playing(jobs: int, step: str, seed: int) -> Iterator[Play]:
    """What plays measured runs in virtual time with a profile, so many at a time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, jobs), mp_context=context) as pool:

        def play(runs: Sequence[Measured], profile: Profile) -> Iterable[dict[str, float]]:
            return pool.map(_of_run, runs, *map(itertools.repeat, (profile, seed, step)))

        yield play


def _of_run(one: Measured, profile: Profile, seed: int, step: str) -> dict[str, float]:
    return simulated(workload_of(one.scenario, one.cpus, seed), one.allocator, profile, seed, one.design, step)


def compare(native: Sequence[Measured], profile: Profile, play: Play) -> Iterator[Cell]:
    """Every cell of what was measured, one after another."""
    model: dict[tuple[str, str, int, str], dict[str, float]] = {}
    real = {one.key: one.ns for one in native}
    for one, found in zip(native, play(native, profile), strict=True):
        model[one.key] = found
        base = (*one.key[:3], DESIGNS[one.allocator][0])
        for kind, ns in one.ns.items():
            if kind not in found:
                continue
            other = base != one.key and kind in real.get(base, {}) and kind in model.get(base, {})
            yield Cell(
                scenario=one.scenario,
                allocator=one.allocator,
                design=one.design,
                cpus=one.cpus,
                kind=kind,
                measured=ns,
                simulated=found[kind],
                measured_ratio=ns / real[base][kind] if other else None,
                simulated_ratio=found[kind] / model[base][kind] if other else None,
            )


# What `fit` looks at, which says nothing of how near it comes: (scenario, CPUs).
FITTED = (("pairs", 1), ("remote-free", 1), ("remote-free", 2))
FITTED_DESIGNS = (("slab", "linux-3.16"), ("slub", "linux-3.16"), ("slub", "linux-6.18-F_SHEAFASK"))
ACCESS = range(150, 605, 5)  # ps that are tried
THIS_CPU = range(0, 4050, 50)
OVERLAPS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)


def fit(profile: Profile, native: Sequence[Measured], play: Play) -> Profile:
    """The profile with three figures found by playing, each the one that is off least, as a factor.

    On one CPU what an access costs, with the instructions around it, and what an unlocked compare-and-swap adds; on two
    how many misses overlap.
    """

    def of_run(scenario: str, cpus: int) -> list[Measured]:
        there = [one for one in native if (one.scenario, one.cpus) == (scenario, cpus)]
        return [one for one in there if (one.allocator, one.design) in FITTED_DESIGNS]

    def model(of: Profile, played: list[Measured]) -> np.ndarray:
        found = zip(played, play(played, of), strict=True)
        return np.array([ns[kind] for one, ns in found for kind in one.ns])

    def priced(access: int, this_cpu: int) -> Profile:
        return dataclasses.replace(profile, ps=dataclasses.replace(profile.ps, access=access, this_cpu=this_cpu))

    alone = of_run("pairs", 1) + of_run("remote-free", 1)
    real = np.array([ns for one in alone for ns in one.ns.values()])
    base = model(priced(0, 0), alone)
    accesses, swaps = (model(priced(*ps), alone) - base for ps in ((1000, 0), (0, 1000)))

    def off(ps: tuple[int, int]) -> float:
        return float(np.abs(np.log((base + (ps[0] * accesses + ps[1] * swaps) / 1000) / real)).sum())

    profile = priced(*min(itertools.product(ACCESS, THIS_CPU), key=off))
    both = of_run("remote-free", 2)
    real_of_both = np.array([ns for one in both for ns in one.ns.values()])

    def off_by(overlap: float) -> float:
        of = dataclasses.replace(profile, cache=dataclasses.replace(profile.cache, overlap=overlap))
        return float(np.abs(np.log(model(of, both) / real_of_both)).sum())

    overlap = min(OVERLAPS, key=off_by)
    said = (
        "access, this_cpu, overlap: fitted to pairs and remote-free as they run here (stress.simulate.validate --fit)"
    )
    return dataclasses.replace(
        profile,
        cache=dataclasses.replace(profile.cache, overlap=overlap),
        sources=(said, *profile.sources),
    )


def table(cells: list[Cell]) -> str:
    """A Markdown table, and how many cells are near."""
    lines = ["| scenario | allocator | design | CPUs | kind | measured, ns | simulated, ns | off | ratio off |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for cell in cells:
        ratio = "" if cell.ratio_off is None else f"{cell.ratio_off:+.0%}"
        lines.append(
            f"| {cell.scenario} | {cell.allocator} | {cell.design} | {cell.cpus} | {cell.kind} | {cell.measured:.1f} | "
            f"{cell.simulated:.1f} | {cell.off:+.0%} | {ratio} |"
        )
    told = [cell for cell in cells if (cell.scenario, cell.cpus) not in FITTED]
    near = sum(abs(cell.off) <= NEAR for cell in told)
    ratios = [cell.ratio_off for cell in told if cell.ratio_off is not None]
    near_ratios = sum(abs(off) <= NEAR_RATIO for off in ratios)
    lines.append("")
    lines.append(
        f"{near} of {len(told)} cells that nothing was fitted to are within {NEAR:.0%}, "
        f"{near_ratios} of {len(ratios)} ratios within {NEAR_RATIO:.0%}."
    )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    from scenarios.registry import SCENARIOS

    parser = argparse.ArgumentParser(prog="python -m stress.simulate.validate", description=__doc__)
    parser.add_argument("--machine", metavar="FILE", help="profile that `machine --out` wrote on the same machine")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each native run")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="repeatable; all without")
    parser.add_argument("--allocator", action="append", choices=list(DESIGNS), help="repeatable; all without")
    parser.add_argument("--cpus", type=numbers, default=(1, 2), metavar="N,N", help="1,2 without")
    parser.add_argument("--step", choices=("access", "operation", "exact"), default="access")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="simulations at a time")
    parser.add_argument("--measure", type=Path, metavar="FILE", help="only play natively; what is measured goes there")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="take what was measured from there")
    parser.add_argument(
        "--fit", type=Path, metavar="FILE", help="fit access, this_cpu and overlap first; write it there"
    )
    parser.add_argument("--out", type=Path, help="write the cells there as JSON too")
    chosen = parser.parse_args(arguments)
    scenarios, allocators = chosen.scenario or list(SCENARIOS), chosen.allocator or list(DESIGNS)
    if chosen.measured:
        native = msgspec.json.decode(chosen.measured.read_bytes(), type=list[Measured])
    else:
        native = []
        for one in measure(scenarios, allocators, chosen.cpus, chosen.seconds):
            native.append(one)
            print(f"{one.scenario} {one.allocator} {one.design} {one.cpus}", file=sys.stderr)
            if chosen.measure:
                chosen.measure.write_bytes(msgspec.json.encode(native))
    if chosen.measure:
        return 0
    if not chosen.machine:
        parser.error("--machine says whose profile it is: python -m stress machine --out FILE writes this one's")
    profile = load(chosen.machine)
    wanted = [one for one in native if one.scenario in scenarios and one.allocator in allocators]
    wanted = [one for one in wanted if one.cpus in chosen.cpus]
    pairs = {(one.allocator, one.design) for one in wanted}
    ready([(virtual_main, allocator, features_of(design, allocator)) for allocator, design in pairs])
    cells = []
    with playing(chosen.jobs, chosen.step, seed=1) as play:
        if chosen.fit:
            profile = fit(profile, native, play)
            chosen.fit.write_text(dump(profile))
        for cell in compare(wanted, profile, play):
            cells.append(cell)
            print(f"{cell.scenario} {cell.allocator} {cell.design} {cell.cpus} {cell.kind}", file=sys.stderr)
    print(table(cells))
    if chosen.out:
        chosen.out.write_bytes(msgspec.json.encode(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
