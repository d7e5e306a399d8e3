"""Made-up comparisons: the shape that `calibrate` gathers, with figures that tests choose."""

from __future__ import annotations

import numpy as np

from stress.calibrate.samples import SHARES, Comparison, Samples, Setting
from stress.judge.ratio import estimate_ratio

SETTING = Setting(
    scenario="free-burst",
    parameters={"objects": 2048},
    allocator="slub",
    design="linux-3.16",
    cpus=2,
    seconds=4.0,
    memory=64 << 20,
    neighbour=0.0,
    sources="0123456789abcdef",
    machine="Model CPU, 2 CPUs, Linux 6.1",
)


def comparison(
    slowdown: float | None,
    seed: int,
    *,
    kind: str = "live",
    pairs: int = 16,
    noise: float = 0.01,
    shown: float | None = None,
    **fields,
) -> Comparison:
    """One comparison whose second side is slower by `shown`, or else by `slowdown`; of so many launches."""
    rng = np.random.default_rng(seed)
    true = np.log1p(-(shown if shown is not None else slowdown or 0.0))
    ratios = np.exp(true + noise * rng.standard_normal(pairs)).tolist()
    given = {
        "kind": kind,
        "slowdown": slowdown,
        "seconds": 4.0,
        "ratios": ratios,
        "judged": [estimate_ratio(ratios[: round(share * pairs)]) for share in SHARES],
        "spun": slowdown or 0.0,
        "left_out": 0.02,
        "waited": 0.001,
        "steal": 0.0,
    }
    return Comparison(**{**given, **fields})


def samples(*kinds: float | None, runs: int = 3, **fields) -> Samples:
    """So many comparisons of each kind."""
    made = [comparison(kind, 100 * run + index, **fields) for run in range(runs) for index, kind in enumerate(kinds)]
    return Samples(setting=SETTING, comparisons=made, commands=["python -m stress calibrate"])
