"""Making comparisons: kinds take turns in a seeded order, Ctrl-C keeps what is done."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from statistics import fmean, median

import numpy as np

from scenarios.tape import SECTIONS
from shm.code_cache import model_hash
from stress.calibrate.options import CalibrateOptions
from stress.calibrate.samples import SHARES, Comparison, Samples, Setting, continued, write_samples
from stress.calibrate.stage import FULL_SPEED, Compared, Stage, staged
from stress.calibrate.tuning import Tuner
from stress.judge.ratio import estimate_ratio
from stress.play.launches import Launched
from stress.play.worker import Lost
from stress.process.errors import DamagedRun
from stress.process.host import describe_machine
from stress.show.progress import Progress
from stress.show.units import percent

Asked = tuple[float | None, int | None]  # slowdown, of which kind; no kind where there is none to slow down


def gather(options: CalibrateOptions, progress: Progress) -> tuple[Samples, bool]:
    """(All comparisons, those of the file among them; was it broken off?)

    Raises UsageError for what cannot be played or does not fit the file, DamagedRun when not one comparison was made.
    """
    samples, broken_off = None, False
    try:
        with staged(options, progress) as stage:
            samples = continued(options.samples, setting_of(options, stage))
            samples.commands.append(options.command)
            _compare_all(options, stage, samples, progress)
    except KeyboardInterrupt:
        broken_off = True
    except (Lost, TimeoutError) as error:
        print(f"the calibration broke off: {error}", file=sys.stderr)
        broken_off = True
    if samples is None or not samples.comparisons:
        raise DamagedRun("the calibration ended before its first comparison was complete")
    return samples, broken_off


def setting_of(options: CalibrateOptions, stage: Stage) -> Setting:
    """What comparisons of one table have in common."""
    machine = describe_machine()
    where = f"{machine['cpu']}, {machine['cpus_available']} CPUs, {machine['kernel']}, {machine['python']}"
    return Setting(
        scenario=options.scenario,
        parameters={name: list(v) if isinstance(v, tuple) else v for name, v in stage.parameters.items()},  # as read
        allocator=options.allocator,
        design=options.design,
        cpus=stage.cpus,
        seconds=options.seconds,
        memory=options.memory,
        neighbour=options.neighbour,
        sources=model_hash(),
        machine=f"{where}, numba {machine['numba']}",
    )


def asked_for(options: CalibrateOptions, stage: Stage) -> list[Asked]:
    """What is to be compared: one program with itself, the same code twice, and slowdowns of each kind of section."""
    like: list[Asked] = [(None, None)] if options.same else []
    like += [(0.0, None)] if 0.0 in options.slowdowns else []
    return like + [(slowdown, kind) for slowdown in options.slowdowns if slowdown for kind in stage.kinds]


def _compare_all(options: CalibrateOptions, stage: Stage, samples: Samples, progress: Progress) -> None:
    rng = np.random.default_rng(options.seed)
    asked = asked_for(options, stage)
    tuner = Tuner(stage.kinds)
    for kind in sorted({kind for _, kind in asked if kind is not None}):
        progress.phase(f"finding out how long frees of kind {SECTIONS[kind]} take, and a spin")
        tuner.try_out(stage, kind, seed=int(rng.integers(1 << 31)))
    tuner.recall(samples.comparisons)
    left = total = options.runs * len(asked)
    for _ in range(options.runs):
        for index in rng.permutation(len(asked)):
            slowdown, kind = asked[index]
            shown = "one program with itself" if slowdown is None else f"slowed by {percent(slowdown)}"
            shown += "" if kind is None else f" ({SECTIONS[kind]})"
            progress.advance(1 - left / total, f"{left} comparisons to go; {shown}")
            made = compare(stage, (slowdown, kind), tuner, options.seconds, int(rng.integers(1 << 31)))
            samples.comparisons += made
            left -= 1
            if options.samples is not None:
                write_samples(options.samples, samples)


def compare(stage: Stage, asked: Asked, tuner: Tuner, seconds: float, seed: int) -> list[Comparison]:
    """One comparison, as `run` measures and judges it; of like with like it is one of each kind of section."""
    slowdown, kind = asked
    slowness = tuner.slowness(slowdown, kind) if slowdown and kind is not None else FULL_SPEED
    began = time.monotonic()
    launched = stage.compare(slowdown is None, slowness, seconds, seed)
    took = time.monotonic() - began
    shown = {of: [stage.compared(one, of) for one in launched] for of in stage.kinds}
    made = [_judged(stage, launched, slowdown, of, shown[of], took) for of in (stage.kinds if kind is None else [kind])]
    for of, launches in shown.items():
        tuner.learn(of, launches)
    tuner.recall(made)
    return made


def _judged(
    stage: Stage,
    launched: Sequence[Launched],
    slowdown: float | None,
    kind: int,
    shown: Sequence[Compared],
    took: float,
) -> Comparison:
    ratios = [one.ratio for one in shown]
    cpu_seconds = took * stage.cpus
    waits = [one.disturbed.kept_waiting()[0] for one in launched]
    return Comparison(
        kind=SECTIONS[kind],
        slowdown=slowdown,
        seconds=round(took, 3),
        ratios=[round(ratio, 6) for ratio in ratios],
        judged=[estimate_ratio(ratios[: max(1, round(share * len(ratios)))]) for share in SHARES],
        spun=round(median(one.spun for one in shown), 6),
        left_out=round(fmean(int(t.left_out.sum()) / max(1, t.counted) for t in (one.table for one in launched)), 6),
        waited=None if None in waits else sum(w for w in waits if w is not None) / 1e9 / cpu_seconds,
        steal=sum(one.disturbed.steal_ticks for one in launched) / os.sysconf("SC_CLK_TCK") / cpu_seconds,
    )
