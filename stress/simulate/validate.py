"""How near virtual time comes to this machine: `python -m stress.simulate.validate --machine PROFILE`.

The same tapes are played natively by `run`, on one and on two CPUs, and simulated with a profile that `python -m
stress machine` wrote here. A cell is a kind of section of a scenario under a design: ns an operation takes of a CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec

from stress.measure.records import FREES
from stress.play.options import DEFAULT_MEMORY
from stress.play.workload import build_workload
from stress.profiles.load import dump, load
from stress.profiles.profile import Profile
from stress.result.data import BlockSample, Result
from stress.simulate.point import Job, play_point
from stress.simulate.sizes import sized

# allocator -> designs, the baseline first
DESIGNS = {"slub": ("linux-3.16", "v3", "linux-6.18"), "slab": ("linux-3.16", "v3")}
# Small working sets: natively the worlds of all designs share the caches, turn by turn.
SETTINGS: dict[str, dict[str, str]] = {
    "remote-free": {"batch": "256", "rounds": "256"},
    "free-burst": {"objects": "1024", "bursts": "64"},
    "dead-free": {"slabs": "256", "cgroups": "16"},
    "pinned": {"slabs": "256", "cgroups": "16"},
    "offline-storm": {"operations": "200000"},
}
KINDS = ("live", "dead", "alloc", "mixed")
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


def measured(
    scenario: str, settings: dict[str, str], allocator: str, cpus: int, seconds: float
) -> dict[str, dict[str, float]]:
    """design -> kind -> ns an operation, by `python -m stress run` in a process of its own.

    Raises RuntimeError with its last words if it fails.
    """
    import subprocess

    before, *after = DESIGNS[allocator]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "stress", "run", "--scenario", scenario, "--allocator", allocator]
        command += ["--before", before, "--cpus", str(cpus), "--seconds", str(seconds), "--quiet", "--format", "json"]
        command += ["--out", out]
        for design in after:
            command += ["--after", design]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{scenario} on {allocator}: {done.stderr.decode().strip().splitlines()[-1:]}")
    result = msgspec.json.decode(done.stdout, type=Result)
    found: dict[str, dict[str, float]] = {}
    for design in (before, *after):
        blocks = [block for block in result.blocks if block.design == design and not block.warmup]
        rates = {kind: [rate for block in blocks if (rate := _rate(block, kind)) is not None] for kind in KINDS}
        found[design] = {kind: 1e9 * cpus / median(values) for kind, values in rates.items() if values}
    return found


def _rate(block: BlockSample, kind: str) -> float | None:
    rates = block.frees_per_second if kind in FREES else block.operations_per_second
    rate: float | None = getattr(rates, kind)
    return rate


def simulated(
    scenario: str,
    settings: dict[str, str],
    allocator: str,
    cpus: int,
    profile: Profile,
    seed: int,
    designs: Sequence[str],
) -> dict[str, dict[str, float]]:
    """The same in virtual time. Natively an interrupt is a word in a mailbox, and none are turned off."""
    mailbox = dataclasses.replace(
        profile.ps, irq=0, interrupt=0, ipi=profile.ps.complex, wakeup=min(profile.ps.wakeup, MAILBOX_WAKEUP)
    )
    profile = dataclasses.replace(profile, ps=mailbox)
    workload, _ = build_workload(scenario, settings, cpus, seed)
    found = {}
    for design in designs:
        job = Job(design, allocator, cpus, 1, profile, DEFAULT_MEMORY, seed, 0.0, workload, warm=True)
        found[design] = play_point(job, lambda share: None).ns
    return found


def compare(
    scenarios: list[str], allocators: list[str], profile: Profile, seconds: float, seed: int = 1
) -> Iterator[Cell]:
    """Every cell, one after another."""
    for scenario in scenarios:
        for allocator in allocators:
            for cpus in (1, 2):
                settings = sized(scenario, cpus, SETTINGS.get(scenario, {}))
                real = measured(scenario, settings, allocator, cpus, seconds)
                model = simulated(scenario, settings, allocator, cpus, profile, seed, DESIGNS[allocator])
                baseline = DESIGNS[allocator][0]
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


# Cells that `fit` looks at, which say nothing of how near it comes: (scenario, allocator, CPUs).
FITTED = (("pairs", "slab", 1), ("pairs", "slub", 1), ("remote-free", "slub", 2))
OVERLAPS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)


def fit(profile: Profile, seconds: float, seed: int = 1) -> Profile:
    """The profile with three figures found by playing.

    What an access costs where nothing else does (SLAB's pairs), what the unlocked compare-and-swap adds (SLUB's pairs),
    and how many misses overlap (SLUB's remote frees on two CPUs).
    """

    def native(scenario: str, allocator: str, cpus: int) -> tuple[dict[str, str], dict[str, float]]:
        settings = sized(scenario, cpus, SETTINGS.get(scenario, {}))
        return settings, measured(scenario, settings, allocator, cpus, seconds)[DESIGNS[allocator][0]]

    def priced(**ps: int) -> Profile:
        return dataclasses.replace(profile, ps=dataclasses.replace(profile.ps, **ps))

    def model(of: Profile, scenario: str, settings: dict[str, str], allocator: str, cpus: int) -> dict[str, float]:
        baseline = DESIGNS[allocator][0]
        return simulated(scenario, settings, allocator, cpus, of, seed, (baseline,))[baseline]

    settings, real = native("pairs", "slab", 1)
    access = round(1000 * real["mixed"] / model(priced(access=1000), "pairs", settings, "slab", 1)["mixed"])
    profile = priced(access=max(1, access))
    settings, real = native("pairs", "slub", 1)
    without = model(priced(this_cpu=0), "pairs", settings, "slub", 1)["mixed"]
    each = model(priced(this_cpu=1000), "pairs", settings, "slub", 1)["mixed"] - without
    profile = priced(this_cpu=max(0, round(1000 * (real["mixed"] - without) / each)))
    settings, real = native("remote-free", "slub", 2)

    def off(overlap: float) -> float:
        of = dataclasses.replace(profile, cache=dataclasses.replace(profile.cache, overlap=overlap))
        found = model(of, "remote-free", settings, "slub", 2)
        return sum(abs(math.log(found[kind] / ns)) for kind, ns in real.items())

    overlap = min(OVERLAPS, key=off)
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
    told = [cell for cell in cells if (cell.scenario, cell.allocator, cell.cpus) not in FITTED]
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
