"""Claims 4, 5, 6 and 8 asked of the default run: the storm, in which cgroups come and go while objects are freed."""

from __future__ import annotations

from stress.claims.claim import Finding, Verdict
from stress.claims.lab import Lab
from stress.claims.speed import SERIES, judge_equivalence, no_time, ratio_figure, slowdown
from stress.judge import verdict as equivalence
from stress.judge.ratio import MIN_PAIRS, Ratio
from stress.play.options import DEFAULT_SCENARIO, DEFAULT_SECONDS
from stress.result.data import Result
from stress.show import units

QUICK = {"operations": 20_000, "rounds": 40, "cgroups": 32}  # for tests of the plumbing


def default_run(lab: Lab, allocator: str, *after: str) -> Result:
    """What `python -m stress run` does with these designs after linux-3.16."""
    lab.need(allocator, after)
    seconds = lab.timed_seconds if lab.quick else DEFAULT_SECONDS
    settings = QUICK if lab.quick else {}
    return lab.run(
        DEFAULT_SCENARIO, "linux-3.16", *after, allocator=allocator, serial=False, settings=settings, seconds=seconds
    )


def no_impact(lab: Lab, allocator: str) -> Finding:
    """Claim 4: frees into live caches and allocations, under the series."""
    ratios = default_run(lab, allocator, *SERIES).ratios
    measured = [(f"frees into live caches, {name}", ratios[name].live) for name in SERIES]
    return judge_equivalence(measured + [(f"allocations, {name}", ratios[name].alloc) for name in SERIES])


def dead_frees(lab: Lab) -> Finding:
    """Claim 5: frees into dead caches, timed."""
    ratios = default_run(lab, "slub", *SERIES).ratios
    return judge_dead_frees({name: ratios[name].dead for name in SERIES})


def judge_dead_frees(ratios: dict[str, Ratio]) -> Finding:
    """Holds if they are surely slower under each design; fails if they surely are not under one."""
    figures = [ratio_figure(f"dead frees/s, {name}", ratio) for name, ratio in ratios.items()]
    if not ratios or any(ratio.low is None or ratio.high is None for ratio in ratios.values()):
        return Finding(Verdict.UNKNOWN, f"fewer than {MIN_PAIRS} launches", figures)
    said = "; ".join(f"{name}: {units.change(r.estimate or 1.0)} {units.interval(r)}" for name, r in ratios.items())
    if all((ratio.high or 1.0) < 1 for ratio in ratios.values()):
        return Finding(Verdict.HOLDS, said, figures)
    if any(equivalence.not_slower(ratio, 0.0) for ratio in ratios.values()):
        return Finding(Verdict.FAILS, said, figures)
    return Finding(Verdict.UNKNOWN, f"{said}, which includes no change", figures)


def full_tracking(lab: Lab) -> Finding:
    """Claim 6: frees into live caches with a list of full slabs."""
    ratio = default_run(lab, "slub", "full-tracking", "linux-3.16+P6").ratios["full-tracking"].live
    return slowdown(ratio, "frees into live caches", [ratio_figure("frees into live caches", ratio)])


def patch_6(lab: Lab) -> Finding:
    """Claim 8: frees into live caches and allocations with patch 6."""
    of = default_run(lab, "slub", "full-tracking", "linux-3.16+P6").ratios["linux-3.16+P6"]
    ratios = {"frees into live caches": of.live, "allocations": of.alloc}
    return no_time(list(ratios.values()), "", [ratio_figure(name, ratio) for name, ratio in ratios.items()])
