"""A failing schedule made small: fewest preemptions, then fewest decisions.

A schedule is its deviations from the default (see `stress.explore.space`), and each stands for itself:
"`task`, at its n-th decision, gives way to `other`". So a candidate is the same schedule without some of
them; what does not fit any more is ignored. A candidate is taken when it fails in the same kind and is
smaller by (preemptions, deviations, decisions), so the loop ends: each round either takes one, and the
triple falls, or is the last. Depth-first search has found the fewest preemptions already; schedules of
random strategies shrink a lot.
"""

from __future__ import annotations

from stress.explore.search.strategies import Follow
from stress.explore.space.space import Outcome, Space


def minimise(space: Space, outcome: Outcome) -> Outcome:
    """The smallest failing execution that leaving out deviations leads to."""
    best = _run(space, outcome.deviations)
    if best.kind != outcome.kind:
        return outcome  # of a strategy that saw other decisions; nothing to shrink safely
    width = max(1, len(best.deviations) // 2)
    while width:
        smaller = None
        keys = list(best.deviations)
        for start in range(len(keys) - width, -1, -1):
            kept = {k: v for k, v in best.deviations.items() if k not in keys[start : start + width]}
            candidate = _run(space, kept)
            if candidate.kind == best.kind and not candidate.learned and _size(candidate) < _size(best):
                smaller = candidate
                break
        if smaller is not None:
            best = smaller
            width = min(width, len(best.deviations))
        else:
            width //= 2
    return best


def _run(space: Space, deviations: dict[tuple[int, int], int]) -> Outcome:
    strategy = Follow(deviations)
    strategy.begin()
    return space.execute(strategy.pick)


def _size(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.preemptions, len(outcome.deviations), outcome.points
