"""What the launches of a run say together: what they consisted of, what was left out, the parts of their spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

import msgspec
import numpy as np

from stress.judge.ratio import Ratio
from stress.measure import turns
from stress.measure.records import FREES, Block, RunRecord
from stress.result.data import TurnsSummary


def summary(record: RunRecord) -> TurnsSummary | None:
    """What the launches consisted of; None where there were none."""
    if not record.launches:
        return None
    return TurnsSummary(
        launches=len(record.launches),
        turns=sum(launch.took.size for launch in record.launches),
        median_seconds=float(np.median(np.concatenate([launch.took.ravel() for launch in record.launches]))) / 1e9,
        disturbed=fmean(float(launch.disturbed.mean()) for launch in record.launches),
        sections=sum(launch.counted for launch in record.launches),
        sections_left_out=sum(int(launch.left_out.sum()) for launch in record.launches),
    )


def share_left_out(record: RunRecord, block: Block) -> float | None:
    """Share of its launch's sections in which a worker was interrupted under some design, at most; None if the block is
    not of a launch, or where that is not seen."""
    if not record.watched or block.warmup or not 0 <= block.pair < len(record.launches):
        return None
    launch = record.launches[block.pair]
    interrupted, storms = int(launch.left_out.sum()), launch.took.shape[0]
    # What was interrupted in every storm is not among the sections that are known: with one storm, all of it.
    total = int(launch.sections.sum()) * storms + (interrupted if storms == 1 else 0)
    return min(1.0, interrupted / total) if total else float(interrupted > 0)


def parted(ratio: Ratio, ratios: Sequence[float], within: float | None) -> Ratio:
    """The ratio with the two parts of its spread."""
    if within is None or len(ratios) < 2:
        return ratio
    luck = stdev(map(math.log, ratios)) ** 2 - within**2
    return msgspec.structs.replace(ratio, within=within, between=math.sqrt(max(0.0, luck)))


def spread_within(record: RunRecord, design: str, kind: str) -> float | None:
    """Standard deviation of one launch's logarithmic ratio of a kind, from its turns: of all launches together."""
    names = list(record.switches)
    kinds = FREES if kind == "all" else (kind,)
    before, after = names.index(record.baseline), names.index(design)
    found = [
        spread
        for number, launch in enumerate(record.launches)
        if (spread := turns.spread_within(launch, before, after, kinds, record.seed + number)) is not None
    ]
    return math.sqrt(fmean(spread**2 for spread in found)) if found else None
