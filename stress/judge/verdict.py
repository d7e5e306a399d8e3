"""What the interval of a ratio allows to be said: `judge`. Everybody who puts a ratio into words asks here.

    equivalent    the whole interval lies within the margin of 1
    faster        it does not, and excludes 1 from above
    slower        it does not, and excludes 1 from below
    cannot tell   anything else, and how many more seconds of such pairs would settle it

An interval that excludes 1 and lies within the margin is equivalent: there is a difference, and it is
smaller than the margin (`Verdict.different`).

Two one-sided tests of equivalence (TOST) at level a are the interval of confidence 1 - 2a within the
margin; a two-sided test of a difference at level b is the interval of confidence 1 - b without 1. One
interval is used for both here, the one that is printed: at 95 % a difference is claimed falsely in at
most 5 % of cases, and equivalence in at most 2.5 %. (The customary TOST at 5 % would use the 90 %
interval and be content with about four fifths of the pairs.)
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from stress.judge.margin import DEFAULT_MARGIN
from stress.judge.ratio import CONFIDENCE, Ratio, Verdict, least_pairs


def judge(
    ratio: Ratio, margin: float = DEFAULT_MARGIN, *, pair_seconds: float | None = None, confidence: float = CONFIDENCE
) -> Verdict | None:
    """The verdict of a ratio whose interval has this confidence; None when there is no pair at all.

    margin: as a fraction, 0.02 being 2 %. pair_seconds: real time that one more pair takes, if known.
    """
    if ratio.estimate is None:
        return None
    call: Literal["equivalent", "faster", "slower", "cannot tell"] = "cannot tell"
    different = False
    more: int | None = least_pairs(confidence) - ratio.pairs
    if ratio.low is not None and ratio.high is not None:
        different = ratio.low > 1 or ratio.high < 1
        if within(ratio, margin):
            call = "equivalent"
        elif different:
            call = "faster" if ratio.low > 1 else "slower"
        else:
            more = more_pairs(ratio, margin)
    if call != "cannot tell":
        more = None
    seconds = None if more is None or pair_seconds is None else more * pair_seconds
    return Verdict(
        call=call, different=different, margin=margin, confidence=confidence, more_pairs=more, more_seconds=seconds
    )


def judged(
    ratio: Ratio, margin: float = DEFAULT_MARGIN, *, pair_seconds: float | None = None, confidence: float = CONFIDENCE
) -> Ratio:
    """The ratio with its verdict; see `judge`."""
    return msgspec.structs.replace(
        ratio, verdict=judge(ratio, margin, pair_seconds=pair_seconds, confidence=confidence)
    )


def verdict_of(ratio: Ratio) -> Verdict | None:
    """The verdict that a ratio carries; by the usual margin if it is of a time when results had none."""
    return ratio.verdict or judge(ratio)


def within(ratio: Ratio, margin: float = DEFAULT_MARGIN) -> bool:
    """Does the whole interval lie within the margin?"""
    return not_slower(ratio, margin) and ratio.high is not None and ratio.high <= 1 + margin


def not_slower(ratio: Ratio, margin: float = DEFAULT_MARGIN) -> bool:
    """Does no part of the interval lie beyond the margin on the slow side?"""
    return ratio.low is not None and ratio.low >= 1 - margin


def beyond(ratio: Ratio, margin: float = DEFAULT_MARGIN) -> Literal["", "slower", "faster"]:
    """The side on which the whole interval lies beyond the margin: a difference that is surely noticeable."""
    if ratio.low is None or ratio.high is None:
        return ""
    return "slower" if ratio.high < 1 - margin else "faster" if ratio.low > 1 + margin else ""


def more_pairs(ratio: Ratio, margin: float) -> int:
    """About how many more pairs the interval needs until it lies within the margin or excludes 1.

    Its half width shrinks with 1 / sqrt(pairs). Of the two ways to an end the nearer one counts, the
    estimate taken for the truth; so it is never more than a half width of half the margin needs.
    """
    assert ratio.estimate is not None and ratio.low is not None and ratio.high is not None
    half = math.log(ratio.high / ratio.low) / 2
    away = abs(math.log(ratio.estimate))
    enough = max(math.log1p(margin) - away, away)
    return max(1, math.ceil(ratio.pairs * ((half / enough) ** 2 - 1)))
