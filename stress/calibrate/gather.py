"""Making comparisons: workers are launched once, kinds take turns in a seeded order, Ctrl-C keeps what is done."""

from __future__ import annotations

import os
import sys
import time
from statistics import median

import numpy as np

from shm.code_cache import source_hash
from stress.calibrate.options import CalibrateOptions
from stress.calibrate.samples import SHARES, Comparison, Samples, Setting, continued, write_samples
from stress.calibrate.stage import ONE, TWO, Played, Stage, launched
from stress.calibrate.tuning import Tuner, spun_share
from stress.judge.ratio import estimate_ratio, least_pairs
from stress.play.worker import Lost
from stress.process.errors import DamagedRun
from stress.process.host import describe_machine
from stress.show.progress import Progress
from stress.show.units import percent

SETTLING = 4  # blocks after the launch that count for nothing: caches and the clock of the CPUs get warm


def gather(options: CalibrateOptions, progress: Progress) -> tuple[Samples, bool]:
    """(All comparisons, those of the file among them; was it broken off?)

    Raises UsageError for what cannot be played or does not fit the file, DamagedRun when not one comparison was made.
    """
    samples, broken_off = None, False
    try:
        with launched(options, progress) as stage:
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
        parameters=stage.parameters,
        allocator=options.allocator,
        design=options.design,
        cpus=stage.arena.load.cpus,
        seconds=options.seconds,
        memory=options.memory,
        sources=source_hash(),
        machine=f"{where}, numba {machine['numba']}",
    )


def _compare_all(options: CalibrateOptions, stage: Stage, samples: Samples, progress: Progress) -> None:
    rng = np.random.Generator(np.random.PCG64(options.seed))
    for _ in range(SETTLING):
        stage.play(ONE)
    progress.phase("finding out how many cycles a free takes, and a spin")
    tuner = Tuner(stage)
    tuner.recall(samples.comparisons)
    kinds = [*([None] if options.same else []), *options.slowdowns]
    left = options.runs * len(kinds)
    for _ in range(options.runs):
        for index in rng.permutation(len(kinds)):
            kind = kinds[index]
            shown = "one program with itself" if kind is None else f"slowed by {percent(kind)}"
            progress.phase(f"{left} comparisons to go, {left * options.seconds:.0f} s; {shown}")
            samples.comparisons.append(compare(stage, kind, tuner, options.seconds, swapped=bool(rng.integers(2))))
            left -= 1
            if options.samples is not None:
                write_samples(options.samples, samples)


def compare(stage: Stage, kind: float | None, tuner: Tuner, seconds: float, *, swapped: bool) -> Comparison:
    """One comparison: pairs of blocks, AB BA AB ..., until the seconds are spent, as `run` measures and judges them.

    kind: see `Comparison.slowdown`. swapped: begin with BA.
    """
    sides = ((ONE, tuner.slowness(0.0)), (ONE if kind is None else TWO, tuner.slowness(kind or 0.0)))
    ratios: list[float] = []
    spun: list[float] = []
    full_speed: list[Played] = []
    before, began = stage.counters(), time.monotonic()
    while len(ratios) < least_pairs() or time.monotonic() - began < seconds:
        order = (1, 0) if (len(ratios) % 2 == 0) == swapped else (0, 1)
        played = {side: stage.play(*sides[side]) for side in order}
        ratios.append(played[1].rate / played[0].rate)
        spun.append(spun_share(played[1]))
        full_speed.append(played[0])
    took = time.monotonic() - began
    disturbed = stage.counters().since(before)
    waited, _ = disturbed.kept_waiting()
    cpu_seconds = took * stage.arena.load.cpus
    comparison = Comparison(
        slowdown=kind,
        seconds=round(took, 3),
        ratios=[round(ratio, 6) for ratio in ratios],
        judged=[estimate_ratio(ratios[: max(1, round(share * len(ratios)))]) for share in SHARES],
        spun=round(median(spun), 6),
        waited=None if waited is None else waited / 1e9 / cpu_seconds,
        steal=disturbed.steal_ticks / os.sysconf("SC_CLK_TCK") / cpu_seconds,
    )
    tuner.learn(comparison, full_speed)
    return comparison
