"""How near virtual time comes to this machine: `python -m stress.simulate.validate --machine PROFILE`.

The same tapes are played natively, a design alone at a time, on one and on two CPUs, and simulated with a profile
that `python -m stress machine` wrote here. A cell is a kind of section of a scenario under a design: ns of a CPU that
an operation takes.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from scenarios.tape import Workload
from stress.play.options import DEFAULT_MEMORY
from stress.play.workload import build_workload
from stress.profiles.load import dump, load
from stress.profiles.profile import Profile
from stress.simulate.native import measured
from stress.simulate.point import Job, play_point
from stress.simulate.sizes import sized

# allocator -> designs, the baseline first
DESIGNS = {"slub": ("linux-3.16", "v3", "linux-6.18-F_SHEAFASK"), "slab": ("linux-3.16", "v3")}
# Working sets that fit into a core's own cache, or nearly.
SETTINGS: dict[str, dict[str, str]] = {
    "remote-free": {"batch": "256", "rounds": "256"},
    "free-burst": {"objects": "1024", "bursts": "64"},
    "dead-free": {"slabs": "256", "cgroups": "16"},
    "pinned": {"slabs": "256", "cgroups": "16"},
    "offline-storm": {"operations": "200000"},
}
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
    workload: Workload, allocator: str, profile: Profile, seed: int, designs: Sequence[str]
) -> dict[str, dict[str, float]]:
    """The same in virtual time.

    Natively an interrupt is a word in a mailbox, and none are turned off; pages come from their zone, under its lock.
    """
    mailbox = dataclasses.replace(
        profile.ps, irq=0, interrupt=0, ipi=profile.ps.complex, wakeup=min(profile.ps.wakeup, MAILBOX_WAKEUP)
    )
    profile = dataclasses.replace(profile, ps=mailbox)
    found = {}
    for design in designs:
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
        )
        found[design] = play_point(job, lambda share: None).ns
    return found


def compare(
    scenarios: list[str], allocators: list[str], profile: Profile, seconds: float, seed: int = 1
) -> Iterator[Cell]:
    """Every cell, one after another."""
    for scenario in scenarios:
        for allocator in allocators:
            for cpus in (1, 2):
                workload = _workload(scenario, cpus, seed)
                designs = DESIGNS[allocator]
                real = {design: measured(workload, design, allocator, seconds, seed) for design in designs}
                model = simulated(workload, allocator, profile, seed, designs)
                baseline = designs[0]
                for design, kinds in real.items():
                    for kind, ns in kinds.items():
                        if kind not in model[design]:
                            continue
                        other = design != baseline and kind in real[baseline] and kind in model[baseline]
                        yield Cell(
                            scenario=scenario,
                            allocator=allocator,
                            design=design,
                            cpus=cpus,
                            kind=kind,
                            measured=ns,
                            simulated=model[design][kind],
                            measured_ratio=ns / real[baseline][kind] if other else None,
                            simulated_ratio=model[design][kind] / model[baseline][kind] if other else None,
                        )


def _workload(scenario: str, cpus: int, seed: int) -> Workload:
    return build_workload(scenario, sized(scenario, cpus, SETTINGS.get(scenario, {})), cpus, seed)[0]


# What `fit` looks at, which says nothing of how near it comes: (scenario, CPUs).
FITTED = (("pairs", 1), ("remote-free", 1), ("remote-free", 2))
FITTED_DESIGNS = (("slab", "linux-3.16"), ("slub", "linux-3.16"), ("slub", "linux-6.18-F_SHEAFASK"))
ACCESS = range(150, 605, 5)  # ps that are tried
THIS_CPU = range(0, 4050, 50)
OVERLAPS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)


def fit(profile: Profile, seconds: float, seed: int = 1) -> Profile:
    """The profile with three figures found by playing, each the one that is off least, as a factor.

    On one CPU what an access costs, with the instructions around it, and what an unlocked compare-and-swap adds; on two
    how many misses overlap.
    """

    def native(scenario: str, cpus: int) -> list[tuple[Workload, str, str, dict[str, float]]]:
        workload = _workload(scenario, cpus, seed)
        return [(workload, *of, measured(workload, of[1], of[0], seconds, seed)) for of in FITTED_DESIGNS]

    def model(of: Profile, played: list[tuple[Workload, str, str, dict[str, float]]]) -> np.ndarray:
        return np.array(
            [
                simulated(workload, allocator, of, seed, (design,))[design][kind]
                for workload, allocator, design, real in played
                for kind in real
            ]
        )

    def priced(access: int, this_cpu: int) -> Profile:
        return dataclasses.replace(profile, ps=dataclasses.replace(profile.ps, access=access, this_cpu=this_cpu))

    alone = native("pairs", 1) + native("remote-free", 1)
    real = np.array([ns for *_, kinds in alone for ns in kinds.values()])
    base = model(priced(0, 0), alone)
    accesses, swaps = (model(priced(*ps), alone) - base for ps in ((1000, 0), (0, 1000)))

    def off(ps: tuple[int, int]) -> float:
        return float(np.abs(np.log((base + (ps[0] * accesses + ps[1] * swaps) / 1000) / real)).sum())

    profile = priced(*min(itertools.product(ACCESS, THIS_CPU), key=off))
    both = native("remote-free", 2)
    real_of_both = np.array([ns for *_, kinds in both for ns in kinds.values()])

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
    parser.add_argument("--machine", required=True, metavar="FILE", help="profile that `machine --out` wrote here")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each native run")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="repeatable; all without")
    parser.add_argument("--allocator", action="append", choices=list(DESIGNS), help="repeatable; all without")
    parser.add_argument(
        "--fit", type=Path, metavar="FILE", help="fit access, this_cpu and overlap first; write it there"
    )
    parser.add_argument("--out", type=Path, help="write the cells there as JSON too")
    chosen = parser.parse_args(arguments)
    profile = load(chosen.machine)
    if chosen.fit:
        profile = fit(profile, chosen.seconds)
        chosen.fit.write_text(dump(profile))
    cells = []
    for cell in compare(chosen.scenario or list(SCENARIOS), chosen.allocator or list(DESIGNS), profile, chosen.seconds):
        cells.append(cell)
        print(f"{cell.scenario} {cell.allocator} {cell.design} {cell.cpus} {cell.kind}", file=sys.stderr)
    print(table(cells))
    if chosen.out:
        chosen.out.write_bytes(msgspec.json.encode(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
