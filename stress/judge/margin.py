"""The margin of equivalence: how near to 1 a ratio of throughputs counts as equal."""

from __future__ import annotations

from stress.process.errors import UsageError

DEFAULT_MARGIN = 0.02
MOST_MARGIN = 0.5


def check_margin(margin: float) -> None:
    """The margin must be a fraction of 1 that leaves something to be found."""
    if not 0 < margin <= MOST_MARGIN:
        raise UsageError(
            f"--margin {margin:g}: a fraction above 0 and up to {MOST_MARGIN:g} is needed, such as 0.02 for 2 %"
        )
