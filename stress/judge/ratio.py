"""Ratios of paired blocks with an interval, rates, quantiles. Pure functions.

The blocks of one pair lie close together in time, so what slows the machine down slows both of them
and cancels in their ratio. Ratios are averaged on the logarithmic scale, where 2 and 1/2 are equally
far from 1. The estimate is Hodges and Lehmann's: the median of the means of all pairs of values;
one disturbed block moves it little, and no value is thrown away.

The interval is a bootstrap of that estimate through SciPy. With few values a plain percentile
interval is too narrow (measured on heavy-tailed values: it holds the truth in 89 % of cases with five
of them, where 95 % is promised), so its level is widened by Student's t as Hesterberg proposes
("What teachers should know about the bootstrap", 2015, section 5.3).

The cost grows with the square of the values. More than `MAX_VALUES` are first joined in groups of
neighbours in time, each group becoming its own estimate: a run of any length ends in a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MIN_PAIRS = 5  # below it no interval of 95 % is given
CONFIDENCE = 0.95
RESAMPLES = 1999
MAX_VALUES = 60


class Verdict(msgspec.Struct, kw_only=True, frozen=True):
    """What a ratio's interval allows to be said; `stress.judge.verdict` has the rules.

    margin: the fraction of 1 that the interval was held against. confidence: of that interval.
    different: the interval excludes 1. So an equivalent ratio may be different, by less than the margin.
    more_pairs, more_seconds: what would settle a "cannot tell", roughly; null when unknown or settled.
    """

    call: Literal["equivalent", "faster", "slower", "cannot tell"]
    different: bool
    margin: float
    confidence: float
    more_pairs: int | None = None
    more_seconds: float | None = None


class Ratio(msgspec.Struct, kw_only=True, frozen=True):
    """after / before, dimensionless. Above 1 means more throughput after.

    pairs: independent values that it rests on: launches, or blocks of runs from before there were launches.
    within, between: standard deviations of one launch's logarithmic ratio, from its own turns and from its luck (where
    code and memory lie, its tapes); None where they are not known.
    low and high bound the interval of the verdict's confidence, 95 % unless it says otherwise; None when fewer
    than `least_pairs` of it exist. estimate is None when there is no pair at all. verdict is None then too, and
    where nobody asked for one.
    """

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: int = 0
    verdict: Verdict | None = None
    within: float | None = None
    between: float | None = None


def warm_up() -> None:
    """Import SciPy, which takes about a second, when that second matters least."""
    import scipy.stats  # noqa: F401


def concurrent_rate(operations: Sequence[float], nanoseconds: Sequence[float]) -> float | None:
    """Operations per second of all CPUs together: the sum of each CPU's operations / its own time.

    It is the rate at which the CPUs work while all of them are inside such sections. CPUs that spent
    no time in the sections add nothing; None when no CPU did.
    """
    rates = [1e9 * n / t for n, t in zip(operations, nanoseconds, strict=True) if n > 0 and t > 0]
    return math.fsum(rates) if rates else None


def least_pairs(confidence: float = CONFIDENCE) -> int:
    """Pairs below which no interval of this confidence is given: one more for every halving of the doubt.

    An interval made of n values lies between the smallest and the largest, which miss the truth once in 2^(n-1).
    """
    return MIN_PAIRS + max(0, math.ceil(math.log2((1 - CONFIDENCE) / (1 - confidence)) - 1e-9))


def pair_ratios(before: dict[int, float], after: dict[int, float]) -> list[float]:
    """after / before for every pair number that both have, in order of the pairs."""
    return [after[pair] / before[pair] for pair in sorted(before.keys() & after.keys())]


def estimate_ratio(ratios: Sequence[float], *, seed: int = 0, confidence: float = CONFIDENCE) -> Ratio:
    """The typical ratio (Hodges–Lehmann on logarithms) and its bootstrap interval.

    ratios: one positive number per pair. The same ratios and seed give the same interval.
    Raises ValueError when a ratio is not a positive finite number.
    """
    import numpy as np

    values = np.asarray(ratios, dtype=float)
    if values.size and not (np.all(np.isfinite(values)) and np.all(values > 0)):
        raise ValueError("ratios must be positive finite numbers")
    count = int(values.size)
    if count == 0:
        return Ratio()
    logs = np.log(values)
    if count > MAX_VALUES:
        logs = np.array([hodges_lehmann(group) for group in np.array_split(logs, MAX_VALUES)])
    estimate = float(np.exp(hodges_lehmann(logs)))
    if count < least_pairs(confidence):
        return Ratio(estimate=estimate, pairs=count)
    if np.ptp(logs) < 1e-12:  # nothing to resample: every pair agrees
        return Ratio(estimate=estimate, low=float(values.min()), high=float(values.max()), pairs=count)
    low, high = _bootstrap_interval(logs, seed, confidence)
    return Ratio(estimate=estimate, low=math.exp(low), high=math.exp(high), pairs=count)


def hodges_lehmann(values: npt.ArrayLike, axis: int = -1) -> npt.NDArray[np.float64]:
    """Median of the means of all pairs of values (each with itself included), along an axis."""
    import numpy as np

    values = np.moveaxis(np.asarray(values, dtype=float), axis, -1)
    i, j = np.triu_indices(values.shape[-1])
    return np.median((values[..., i] + values[..., j]) / 2, axis=-1)


def _bootstrap_interval(values: npt.NDArray[np.float64], seed: int, confidence: float) -> tuple[float, float]:
    import numpy as np
    from scipy import stats

    count = values.size
    widened = 1 - 2 * stats.norm.cdf(stats.t.ppf((1 - confidence) / 2, count - 1) * math.sqrt(count / (count - 1)))
    interval = stats.bootstrap(
        (values,),
        hodges_lehmann,
        n_resamples=RESAMPLES,
        confidence_level=float(widened),
        method="percentile",
        vectorized=True,
        batch=max(1, 2_000_000 // (count * (count + 1) // 2)),  # bounds memory at about 30 MB
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def quantiles(values: Iterable[int], at: Sequence[float]) -> list[int | None]:
    """For each probability the smallest value that at least this share of all values does not exceed.

    So every answer is a value that occurred, in the unit of the values; None when there are none.
    """
    ordered = sorted(values)
    if not ordered:
        return [None] * len(at)
    return [ordered[max(0, math.ceil(p * len(ordered)) - 1)] for p in at]


def spread(values: Sequence[float]) -> float | None:
    """(largest − smallest) / median, dimensionless; None for fewer than two values."""
    if len(values) < 2:
        return None
    import numpy as np

    return float(np.ptp(values) / np.median(values))
