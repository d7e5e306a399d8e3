"""From figures to verdicts.

A benchmark does more than allocate, and how much more is seldom told. So a prediction of the allocator's part alone
that is stronger than what was reported agrees with some share of the time, and that share is named; one that is weaker,
or the other way round, agrees with none. A reported change that is smaller than the tolerance cannot be told from none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stress.claims.reports.report import Row, RowOutcome, Verdict

MOST_NAMED = 3  # figures that a sentence can hold
MOST_CURED, LEAST_CURED = 0.5, 0.1  # of a loss: from here on the cause explains it, up to here it does not


def judge(
    low: float | None, high: float | None, ratios: Sequence[float], tolerance: float, *, alone: bool, same: bool
) -> tuple[Verdict, str, float | None]:
    """The verdict on ratios (a seed each) against a reported band, a sentence, and the allocator's share of the time
    that makes them agree, where there is one.

    low None: nothing was reported. high None: faster, without a figure. alone, same: as in `Row`.
    """
    if not ratios:
        return Verdict.UNKNOWN, "nothing could be played", None
    least, most = min(ratios), max(ratios)
    wide = 1 + tolerance
    if low is None:
        return Verdict.UNKNOWN, "there is no figure to hold it to", None
    if high is None:
        if least > wide:
            return Verdict.REPRODUCED, "faster, as was said; there is no figure to hold it to", None
        if most < 1 / wide:
            return Verdict.NOT, "slower, and was said to be faster", None
        return Verdict.UNKNOWN, "no difference beyond the tolerance", None
    near = least <= high * wide and most >= low / wide
    if same:
        if near:
            return Verdict.REPRODUCED, "no difference beyond the tolerance, as reported", None
        return Verdict.NOT, "a difference, and none was reported", None
    reported, ours = math.sqrt(low * high), math.exp(sum(map(math.log, ratios)) / len(ratios))
    small = max(abs(math.log(low)), abs(math.log(high))) <= math.log(wide)
    if near and (alone or not small):
        return Verdict.REPRODUCED, "within the tolerance", None
    if alone:
        return Verdict.NOT, f"{ours / reported - 1:+.0%} off", None
    share = (1 / reported - 1) / (1 / ours - 1) if ours != 1 else math.inf
    if 0 < share <= 1 and abs(math.log(ours)) > math.log(wide):
        return Verdict.UNKNOWN, f"it would be this if {share:.0%} of the time were the allocator's", share
    if 1 / wide <= ours <= wide and small:
        return Verdict.UNKNOWN, "both are smaller than the tolerance", None
    if (ours - 1) * (reported - 1) <= 0:
        return Verdict.NOT, "the other way round" if abs(math.log(ours)) > math.log(wide) else "no difference", None
    return Verdict.NOT, "weaker than reported, and nothing but the allocator is played", None


def of_pairs(verdicts: Sequence[Verdict]) -> Verdict:
    """A row that is played in several ways, as the report does not say which: what all of them say."""
    return verdicts[0] if verdicts and all(one is verdicts[0] for one in verdicts) else Verdict.UNKNOWN


def with_share(ratio: float, share: float) -> float:
    """A ratio of the allocator's rate, as a benchmark sees it that has this share of its time in the allocator."""
    return 1 / (1 + share * (1 / ratio - 1))


def summary(rows: Sequence[tuple[str, Verdict, str]], datum: str = "") -> tuple[Verdict, str]:
    """The verdict on a report; rows: name, verdict, reason. datum: the row that gave the allocator's share away, which
    so says nothing itself."""
    for name, verdict, reason in rows:
        if verdict is Verdict.NOT:
            return verdict, f"{name}: {reason}"
    left = [row for row in rows if row[0] != datum]
    if left and all(verdict is Verdict.REPRODUCED for _, verdict, _ in left):
        if len(left) > MOST_NAMED:
            return Verdict.REPRODUCED, f"all of {len(left)} figures are as reported"
        return Verdict.REPRODUCED, "; ".join(f"{name}: {reason}" for name, _, reason in left)
    if not rows:
        return Verdict.UNKNOWN, "nothing was played"
    return Verdict.UNKNOWN, "; ".join(
        f"{name}: {reason}" for name, verdict, reason in rows if verdict is Verdict.UNKNOWN
    )


def one_share(outcomes: Sequence[RowOutcome], rows: Sequence[Row]) -> tuple[list[tuple[str, Verdict, str]], str]:
    """Rows against one kernel have one unknown between them, the allocator's share of that kernel's time: the first row
    gives it away, and the others are predicted with it. Returns the rows as `summary` takes them, and that first row.

    Only rows that are played in one way take part.
    """
    found, datum, share, base = [], "", 0.0, None
    for outcome, row in zip(outcomes, rows, strict=True):
        only = outcome.predicted[0] if len(outcome.predicted) == 1 else None
        if only is not None and only.share is not None and not datum:
            datum, share, base = outcome.name, only.share, row.pairs[0].before
        elif only is not None and only.ratios and datum and row.pairs[0].before == base and not row.alone:
            ours = with_share(math.exp(sum(map(math.log, only.ratios)) / len(only.ratios)), share)
            verdict, reason, _ = judge(row.low, row.high, [ours], outcome.tolerance, alone=True, same=row.same)
            text = f"{ours:.2f} with the share of {share:.0%} that {datum} asks for, {reason}"
            found.append((outcome.name, verdict, text))
            continue
        found.append((outcome.name, outcome.verdict, outcome.reason))
    return found, datum


def explained(loss: float, rest: float, tolerance: float, *, stays: bool) -> tuple[Verdict, str, float | None]:
    """Is a loss (a ratio of rates) explained by what, when it is taken away, leaves `rest`? And the share that goes.

    stays: what is taken away is everything else.
    """
    if abs(math.log(loss)) <= math.log(1 + tolerance):
        return Verdict.UNKNOWN, "there is no loss to be explained here", None
    cured = 1 - math.log(rest) / math.log(loss)
    if stays:
        if cured <= 1 - MOST_CURED:
            return Verdict.REPRODUCED, "the loss is there with nothing but this cause", cured
        if cured >= 1 - LEAST_CURED:
            return Verdict.NOT, "with nothing but this cause there is no loss", cured
        return Verdict.UNKNOWN, f"this cause alone has {1 - cured:.0%} of the loss", cured
    if cured >= MOST_CURED:
        return Verdict.REPRODUCED, f"without the cause {min(cured, 1.0):.0%} of the loss goes", cured
    if cured <= LEAST_CURED:
        return Verdict.NOT, "the loss stays without the cause", cured
    return Verdict.UNKNOWN, f"a part of it: {cured:.0%} of the loss goes", cured
